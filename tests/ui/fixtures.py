"""A made-up pretrained folder that the dashboard finds instead of the real one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.ui.synthetic import write_pretrained


@pytest.fixture
def toy(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two networks, one with a bit width that has lost its trace; made once, copied for each."""
    made = tmp_path_factory.getbasetemp() / "toy"
    if not made.exists():
        write_pretrained(made, network="trees-toy", exits=2, bits=(1, 2, 4))
        write_pretrained(made, network="trees-wide", exits=3, bits=(2, 8))
        (made / "trees-wide" / "hybrid-8bit" / "trace-test.parquet").unlink()
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path


@pytest.fixture
def explore(toy: Path, root: Path) -> Callable[..., AppTest]:
    """Open Explore by a link, its query as keywords, with its downloads open."""

    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        app.session_state["explore_downloads"] = True
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return run
