"""A made-up pretrained folder that the dashboard finds instead of the real one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.ui.synthetic import write_pretrained


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two networks, one with a bit width that has lost its trace."""
    write_pretrained(tmp_path, network="trees-toy", exits=2, bits=(1, 2, 4))
    write_pretrained(tmp_path, network="trees-wide", exits=3, bits=(2, 8))
    (tmp_path / "trees-wide" / "hybrid-8bit" / "trace-test.parquet").unlink()
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path


@pytest.fixture
def explore(toy: Path, root: Path) -> Callable[..., AppTest]:
    """Open Explore by a link; its query as keywords."""

    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return run
