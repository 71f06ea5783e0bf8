"""Every fragment and callback shows an error as its sentence: app.py guards only the page."""

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


def callbacks(source: str) -> dict[str, ast.expr]:
    """What a source gives widgets as callbacks, by its words; texts, as "rerun", left out."""
    return {
        ast.unparse(given.value): given.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for given in node.keywords
        if given.arg and given.arg.startswith("on_") and not isinstance(given.value, ast.Constant)
    }


def is_caught(given: ast.expr, known: set[str]) -> bool:
    """Whether it is made by `callback`, one of those known, or handed on under its name."""
    if isinstance(given, ast.Call):
        return ast.unparse(given.func) == "callback"
    name = ast.unparse(given).rpartition(".")[2]
    return name in known or name.startswith("on_")


def caught(source: str) -> set[str]:
    """The functions that `callback` makes, and those that do nothing."""
    return {
        one.name
        for one in functions(source)
        if "callback" in map(ast.unparse, one.decorator_list)
        or (len(one.body) == 1 and ast.get_docstring(one))
    }


def test_the_errors_of_every_callback_are_caught() -> None:
    sources = [path.read_text() for path in SOURCES]
    known = set().union(*map(caught, sources))
    given = {words: node for source in sources for words, node in callbacks(source).items()}

    assert len(given) >= 20
    assert [words for words, node in given.items() if not is_caught(node, known)] == []


@pytest.mark.parametrize(
    "source, is_found",
    [
        ("@callback\ndef f(): a()\nst.button('b', on_click=f)", True),
        ("def f(): a()\nst.button('b', on_click=f)", False),
        ("st.button('b', on_click=callback(job.stop))", True),
        ("st.button('b', on_click=job.stop)", False),
        ("st.button('b', on_click=lambda: a())", False),
    ],
)
def test_the_search_tells_a_callback_that_is_caught_from_another(
    source: str, is_found: bool
) -> None:
    (given,) = callbacks(source).values()

    assert is_caught(given, caught(source)) is is_found


def clicked() -> None:
    import streamlit as st

    from hybrid.errors import HybridError
    from hybrid.ui.guard import callback, guard, guarded

    @callback
    def delete(name: str) -> None:
        raise HybridError(f"{name} was deleted *elsewhere*.")

    @st.fragment
    @guarded
    def part() -> None:
        st.button("Delete", key="part", on_click=delete, args=("part",))

    with guard():
        st.button("Delete", key="page", on_click=delete, args=("page",))
        part()
    st.text("the rest of the page")


@pytest.mark.parametrize("place", ["page", "part"])
def test_an_error_in_a_callback_is_a_sentence_once_and_the_page_goes_on(place: str) -> None:
    app = AppTest.from_function(clicked, default_timeout=60).run()

    app.button(key=place).click().run()

    assert not app.exception
    assert [error.value for error in app.error] == [rf"{place} was deleted \*elsewhere\*."]
    assert app.text[0].value == "the rest of the page"
    assert not app.run().error


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
