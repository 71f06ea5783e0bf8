"""Words of strangers, such as names of files, classes and networks, shown as they are."""

import re

__all__ = ["plain", "printable"]

_JOINER = "\u2060"  # takes no room, and no line breaks there
# Pairs of backticks stay: our own sentences mark commands with them, and what is inside is no
# Markdown. A pair beside a third backtick would end elsewhere.
_CODE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")
_SPECIAL = re.compile(r"[\\`*\[\]<>$~&|]|(?<!\w)_|_(?!\w)|^(?:[+-]+|#+)(?=\s|$)")
_LIST = re.compile(r"^(\d+)([.)])(?=\s|$)")
# Streamlit makes links, icons and colours of these after Markdown has taken the backslashes away.
_LATER = re.compile(r"(?<=:)(?=\S)|(?<=@)|(?<=www)(?=\.)", re.IGNORECASE)


def plain(words: str) -> str:
    r"""The words, escaped: neither links nor pictures, emphasis, formulas, icons or colours.

    >>> plain("![x](y) of a_b"), plain("run `hybrid train` again")
    ('!\\[x\\](y) of a_b', 'run `hybrid train` again')
    """
    line = " ".join(words.split())
    parts, start = [], 0
    for code in _CODE.finditer(line):
        parts += [_escaped(line[start : code.start()]), code.group()]
        start = code.end()
    return "".join([*parts, _escaped(line[start:])])


def printable(words: str) -> str:
    r"""The words without characters that steer a terminal; lines and tabs stay.

    >>> printable("a\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(one if one.isprintable() or one in "\n\t" else "�" for one in words)


def _escaped(words: str) -> str:
    return _LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", _LATER.sub(_JOINER, words)))
