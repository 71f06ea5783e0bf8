"""Colours by role: one per exit, others for cloud and twin, the same in every figure and theme.

A figure names a *slot*, never a colour: Streamlit replaces the slot by an entry of the theme's
`chartCategoricalColors` in the browser, so one figure serves the light and the dark theme and its
specification does not change with it.

    figure.add_scatter(line_color=palette.exit_colour(0))
    figure.add_bar(marker_color=palette.faint(palette.CLOUD))
"""

from typing import Any

__all__ = [
    "AXES",
    "CLOUD",
    "INK",
    "LINE",
    "RIGHT",
    "SLOTS",
    "TWIN_COLOUR",
    "WRONG",
    "exit_colour",
    "exit_markdown",
    "faint",
    "part_label",
]

# The order of chartCategoricalColors in .streamlit/config.toml. Streamlit's plotly theme calls its
# entries #000001 … #000010.
SLOTS = (
    "exit 1", "exit 2", "exit 3", "exit 4", "cloud", "twin", "ink", "line", "right", "wrong",
)  # fmt: skip

_EARLY = 4
_MARKDOWN = ("blue", "orange", "green", "violet")  # theme colours set to those of the exits


def _slot(name: str) -> str:
    return f"#{SLOTS.index(name) + 1:06d}"


CLOUD = _slot("cloud")
TWIN_COLOUR = _slot("twin")
INK = _slot("ink")
LINE = _slot("line")  # in the background: grids, other bit widths
RIGHT = _slot("right")
WRONG = _slot("wrong")


def exit_colour(number: int) -> str:
    """Colour slot of an early exit, counted from 0. A fifth exit gets that of the first."""
    return _slot(f"exit {number % _EARLY + 1}")


def exit_markdown(number: int) -> str:
    """Theme colour of an early exit for Markdown, as in `:blue[Exit 1]`."""
    return _MARKDOWN[number % _EARLY]


def faint(slot: str, alpha: float = 0.4) -> str:
    """The slot's colour, made transparent.

    >>> faint("#000005", 0.5)  # Streamlit replaces the six digits and keeps the last two
    '#00000580'
    """
    return f"{slot}{round(alpha * 255):02x}"


# Every figure's axes. Streamlit's own colour for their text is too faint to read.
AXES: dict[str, Any] = {
    "zeroline": False,
    "showline": False,
    "ticks": "",
    "automargin": True,
    "tickfont_color": faint(INK, 0.8),
    "title_font_color": faint(INK, 0.8),
}


def part_label(part: str) -> str:
    """Label of a part of the network: its name, capitalised.

    >>> part_label("stem")
    'Stem'
    """
    return part[:1].upper() + part[1:]
