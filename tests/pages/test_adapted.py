"""A user's own model on every page, like any other network."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.adaptation.test_adapt import asked, kept, weights

__all__ = ["asked", "kept", "weights"]


@pytest.mark.slow
def test_every_page_shows_an_adapted_network(
    kept: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(kept))
    app = AppTest.from_file(str(root / "app.py"), default_timeout=120).run()
    assert not app.exception

    for page in sorted(root.glob("pages/*.py")):
        app.switch_page(f"pages/{page.name}").run()

        assert not app.exception, page
        assert not app.error, page

    app.switch_page("pages/networks.py").run()
    assert app.header[0].value == "plain on Handwritten digits, 8×8"
