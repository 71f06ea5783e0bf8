"""Every fragment shows an error as its sentence: it runs outside app.py, which guards the page."""

import ast

import pytest
from streamlit.testing.v1 import AppTest

from hybrid.ui.jobs import Workers
from tests.conftest import ROOT

SOURCES = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "hybrid" / "ui").rglob("*.py")]


def functions(source: str) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def fragments(source: str) -> dict[str, bool]:
    """The functions that a source makes fragments, and whether each is guarded inside that."""
    found, decorators = {}, {}
    for function in functions(source):
        names = [ast.unparse(one).partition("(")[0] for one in function.decorator_list]
        decorators[function.name] = names
        if "st.fragment" in names:
            found[function.name] = "guarded" in names[names.index("st.fragment") :]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "st.fragment" and node.args:
            name = ast.unparse(node.args[0])
            found[name] = "guarded" in decorators.get(name, ())
    return found


def test_every_fragment_is_guarded() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}": is_guarded
        for path in SOURCES
        for name, is_guarded in fragments(path.read_text()).items()
    }

    assert len(found) >= 8
    assert [name for name, is_guarded in found.items() if not is_guarded] == []


@pytest.mark.parametrize(
    "source, guarded",
    [
        ("@st.fragment\n@guarded\ndef f(): ...", True),
        ("@st.fragment(key='a')\n@guarded\ndef f(): ...", True),
        ("@guarded\n@st.fragment\ndef f(): ...", False),
        ("@st.fragment\ndef f(): ...", False),
        ("@guarded\ndef f(): ...\nst.fragment(f, run_every=1)()", True),
        ("def f(): ...\nst.fragment(f, run_every=1)()", False),
    ],
)
def test_the_search_tells_a_guarded_fragment_from_another(source: str, guarded: bool) -> None:
    assert fragments(source) == {"f": guarded}


def broken() -> None:
    import streamlit as st

    from hybrid.errors import HybridError
    from hybrid.ui import jobs

    def draw(_: jobs.Job) -> None:
        raise HybridError("The part is gone; record it again.")

    jobs.watch(st.session_state["job"], draw)
    st.text("the rest of the page")


def test_an_error_in_what_a_job_draws_is_a_sentence_and_the_page_goes_on() -> None:
    workers = Workers(workers=1)
    job = workers.start(lambda _: None)
    job.wait()
    app = AppTest.from_function(broken, default_timeout=60)
    app.session_state["job"] = job

    app.run()
    workers.close()

    assert not app.exception
    assert [error.value for error in app.error] == ["The part is gone; record it again."]
    assert app.text[0].value == "the rest of the page"
