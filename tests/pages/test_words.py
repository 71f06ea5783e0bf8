"""The words of the trade: every page explains those that it shows, and defines no others."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from hybrid.text import glossary

PAGES = ("explore", "choose", "try_image", "your_data", "live", "deploy", "monitor", "networks")
SHOWN = ("label", "body", "delta", "caption", "title", "placeholder")
DATA = {"json", "code"}  # names in files and commands, not words of a sentence
COMMAND = re.compile(r"`[^`]*`")  # the same inside a sentence
FRAME = {"selectbox", "button_group", "slider", "select_slider"}

Explore = Callable[..., AppTest]


def protos(block: Any) -> Iterator[tuple[str, Any]]:
    """Kind and content of every element of a page, the sidebar among them."""
    if (proto := getattr(block, "proto", None)) is not None:
        yield block.type, proto
    for child in getattr(block, "children", {}).values():
        yield from protos(child)


def texts(app: AppTest, *fields: str, kinds: set[str] | None = None) -> list[str]:
    """The texts in some fields of every element."""
    found = [
        getattr(proto, field, None)
        for kind, proto in protos(app._tree)  # noqa: SLF001  # it has no public walk of all kinds
        if kind not in DATA and (kinds is None or kind in kinds)
        for field in fields
    ]
    return [text for text in found if isinstance(text, str) and text]


def in_figures(app: AppTest) -> list[str]:
    """Titles of axes and names of traces of every figure."""
    specs = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    found = [trace.get("name") for spec in specs for trace in spec["data"]]
    found += [
        axis.get("title", {}).get("text")
        for spec in specs
        for name, axis in spec["layout"].items()
        if re.match(r"[xy]axis", name)
    ]
    return [text for text in found if text]


def opened(root: Path, page: str) -> AppTest:
    """A page on the digits, whose images come with scikit-learn."""
    app = AppTest.from_file(str(root / "app.py"), default_timeout=300)
    app.query_params["network"] = "digits-vgg"
    app.run()
    if page != PAGES[0]:
        app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_word_of_the_trade_on_a_page_is_explained_there_on_hover(
    root: Path, page: str
) -> None:
    app = opened(root, page)

    shown = [*texts(app, *SHOWN), *in_figures(app)]
    helps = "\n".join(texts(app, "help"))
    used = {term for text in shown for term in glossary.words(COMMAND.sub("", text))}

    assert len(used) >= 8
    assert {term for term in used if glossary.define(term) not in helps} == set()


@pytest.mark.slow
def test_the_controls_of_every_page_explain_the_words_that_pages_leave_to_them(
    explore: Explore,
) -> None:
    helps = "\n".join(texts(explore(), "help", kinds=FRAME))

    assert [term for term in glossary.IN_FRAME if glossary.define(term) not in helps] == []


def test_every_term_is_used_outside_the_glossary(root: Path) -> None:
    pages = [page for page in sorted((root / "docs").glob("*.md")) if page.name != "glossary.md"]
    sources = [*(root / "pages").glob("*.py"), *(root / "hybrid" / "ui").rglob("*.py")]
    written = "\n".join(path.read_text("utf-8") for path in (root / "README.md", *pages, *sources))

    assert set(glossary.TERMS) - set(glossary.words(written)) == set()


def test_no_name_of_a_term_stands_for_two() -> None:
    names = [name for term, of in glossary.TERMS.items() for name in (term, *of.also)]

    assert len({name.lower() for name in names}) == len(names)


def test_a_text_is_explained_term_by_term_after_its_note() -> None:
    said = glossary.explain("The twin's exits, certified", note="A note.")

    assert said == "\n".join(
        [
            "A note.  ",
            f"**Twin**: {glossary.TERMS['twin'].meaning}  ",
            f"**Certificate**: {glossary.TERMS['certificate'].meaning}",
        ]
    )
    assert glossary.explain("Nothing of the trade") is None
