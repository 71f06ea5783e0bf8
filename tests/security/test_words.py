"""Strangers' words as Markdown: a renderer of Markdown gives them back as they were."""

import html
import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hybrid.text.plain import plain, printable
from hybrid.ui import plots

JOINER = "\u2060"
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", "table"])
# Turned into links, icons and colours in the text that a renderer of Markdown gives.
LATER = re.compile(r"https?://\w|www\.\w|:\w+\[|:material/\w+:|\w@\w+\.\w", re.IGNORECASE)

pieces = st.sampled_from(
    ["![", "](", ")", "http://e.org/a.png", "www.e.org", "*", "_", "`", "``", "#", "- ", "1. ",
     "\n", "<", ">", "<img src=x>", "&lt;", "$", "\\", ":red[", "]", ":material/home:", "|", "~~",
     "a", " ", "cat", "me@e.org", "[x]: http://e.org", "---", "    "]
)  # fmt: skip
words = st.lists(pieces | st.text(max_size=6), max_size=14).map("".join)


def seen(markdown: str) -> str:
    """The text that a reader sees; fails where there is more than text and code."""
    page = RENDERER.render(markdown).strip()
    inside = re.fullmatch(r"(?:<p>(.*)</p>)?", page, re.DOTALL)
    assert inside is not None, page
    text = re.sub(r"</?code>", "`", inside[1] or "")
    assert not re.search(r"<[a-z/!?]", text), page
    return html.unescape(text)


@given(words)
@example("![x](http://e.org/a.png)")
@example("`![x](u)``")
@example("\\`![x](u)`")
def test_a_reader_sees_the_words_and_nothing_else(given_words: str) -> None:
    line = " ".join(given_words.split()).replace("\0", "�")

    text = seen(plain(line))

    # A code span of blanks and letters loses one blank at each end.
    assert text.replace(JOINER, "").replace(" ", "") == line.replace(" ", "")


@given(words)
def test_nothing_is_left_that_becomes_a_link_or_an_icon_later(given_words: str) -> None:
    outside_code = re.sub(r"`[^`]*`", "", seen(plain(given_words)))

    assert not LATER.search(outside_code)


def test_commands_in_our_own_sentences_stay_code() -> None:
    assert RENDERER.render(plain("Run `hybrid train` for a_b.")) == (
        "<p>Run <code>hybrid train</code> for a_b.</p>\n"
    )


@given(st.text())
def test_no_control_character_reaches_a_terminal(given_words: str) -> None:
    shown = printable(given_words).replace("\n", "").replace("\t", "")

    assert shown.isprintable()
    assert len(printable(given_words)) == len(given_words)


def test_plotly_gets_no_tag() -> None:
    assert plots.words(["<a href='http://e.org'>cat</a>", "dog"]) == [
        "&lt;a href='http://e.org'&gt;cat&lt;/a&gt;",
        "dog",
    ]


@given(st.text(alphabet="<!-/script> a", max_size=30))
def test_json_in_a_report_s_script_has_no_tag_and_the_same_value(word: str) -> None:
    from hybrid.ui.choose.report import in_script

    written = in_script({"name": word})

    assert "<" not in written
    assert json.loads(written) == {"name": word}
