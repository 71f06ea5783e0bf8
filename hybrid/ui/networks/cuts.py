"""The cuts of a model as a picture in a file, for `hybrid cuts` and `hybrid sweep`.

Takes cuts and makes a plotly figure. It sets its own colours, because a file has no theme.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hybrid.errors import ModelError
from hybrid.files import replacing
from hybrid.text import numbers

if TYPE_CHECKING:
    from hybrid.models.cutting import Cut

__all__ = ["figure", "save_figure"]

_EDGE, _CLOUD, _INK, _LINE = "#1f5fd0", "#22335c", "#16202e", "#b7c0cb"
_CELL, _LEAST_WIDTH = 22, 720  # pixels a cut, and of the whole
_SUFFIXES = (".html", ".png")
_BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "chromium-headless-shell",
)  # fmt: skip
_INSTEAD = "install one, name it in BROWSER_PATH, or write a .html file"
_MARGIN = 16  # of a page without a style, left and right together
_PATIENCE_S = 120


def figure(cuts: Sequence["Cut"], *, title: str, bits: int, image_bytes: int) -> go.Figure:
    """Every cut in the order of computation, one column each.

    From the top: bytes sent per image (filled if one tensor is sent, hollow if a skip connection is
    sent too, dotted for the raw image), multiply-accumulates before and after the cut, and the
    edge's memory.

    Args:
        cuts: none of them refused.
        bits: of the edge's filters and activations and of what is sent.
        image_bytes: of the raw image.
    """
    drawn = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        subplot_titles=("Sent per image", "Multiply-accumulates", "Memory of the edge"),
    )
    words = [_words(cut, bits) for cut in cuts]
    _draw_sent(drawn, cuts, words, bits)
    drawn.add_hline(y=image_bytes, line={"color": _INK, "dash": "dot", "width": 1}, row=1, col=1)
    _draw_bars(drawn, cuts, words, bits)
    drawn.update_layout(
        template="none",
        title={"text": title, "x": 0.02, "y": 0.985, "yanchor": "top"},
        barmode="stack",
        width=max(_LEAST_WIDTH, 160 + _CELL * len(cuts)),
        height=900,
        margin={"l": 80, "r": 16, "t": 140, "b": 180},
        legend={"orientation": "h", "y": 1.05, "yanchor": "bottom", "traceorder": "normal"},
        font={"color": _INK},
    )
    _set_axes(drawn, cuts)
    return drawn


def _draw_sent(drawn: go.Figure, cuts: Sequence["Cut"], words: list[str], bits: int) -> None:
    for width, colour in ((32, _LINE), (bits, _EDGE)):
        drawn.add_scatter(
            x=np.arange(len(cuts)),
            y=[cut.wire_bytes(width) for cut in cuts],
            name=f"sent at {width} bit",
            mode="lines+markers",
            line={"color": colour, "width": 1},
            marker={
                "size": 9,
                "symbol": ["circle" if cut.clean else "circle-open" for cut in cuts],
                "color": colour,
            },
            hovertext=words,
            hovertemplate="%{hovertext}<extra></extra>",
            row=1,
            col=1,
        )


def _draw_bars(drawn: go.Figure, cuts: Sequence["Cut"], words: list[str], bits: int) -> None:
    bars = (
        ("before the cut", [cut.edge.macs for cut in cuts], _EDGE, 2),
        ("after the cut", [cut.cloud.macs for cut in cuts], _CLOUD, 2),
        ("edge weights", [cut.edge.weight_bytes(bits) for cut in cuts], _EDGE, 3),
        ("largest activations", [cut.edge.activation_bytes(bits) for cut in cuts], _LINE, 3),
    )
    for name, values, colour, row in bars:
        drawn.add_bar(
            x=np.arange(len(cuts)),
            y=values,
            name=name,
            marker_color=colour,
            hovertext=words,
            hovertemplate="%{hovertext}<extra></extra>",
            row=row,
            col=1,
        )


def _set_axes(drawn: go.Figure, cuts: Sequence["Cut"]) -> None:
    drawn.update_xaxes(zeroline=False)
    drawn.update_yaxes(title_text="bytes", type="log", row=1, col=1)
    drawn.update_yaxes(title_text="MACs", row=2, col=1)
    drawn.update_yaxes(title_text="bytes", row=3, col=1)
    drawn.update_xaxes(
        tickvals=np.arange(len(cuts)),
        ticktext=[cut.name for cut in cuts],
        tickangle=-90,
        row=3,
        col=1,
    )


def save_figure(drawn: go.Figure, path: Path) -> None:
    """Write the figure, as HTML that opens without a network or as PNG.

    Raises:
        ModelError: an unknown suffix, no browser that can draw a PNG, or no disk space.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise ModelError(f"A picture is written as .html or .png, not as {path.name}; rename it.")
    page = drawn.to_html(include_plotlyjs=True)
    try:
        with replacing(path) as draft:
            if suffix == ".html":
                draft.write_text(page, encoding="utf-8")
            else:
                size = (drawn.layout.width + _MARGIN, drawn.layout.height + _MARGIN)
                draft.write_bytes(_photograph(page, size))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be written ({error.strerror}); make room or name another folder."
        ) from error


def _photograph(page: str, size: tuple[int, int]) -> bytes:
    """A page as PNG, at two dots per pixel, drawn by a browser on this machine."""
    found = (shutil.which(name) for name in _BROWSERS)
    browser = os.environ.get("BROWSER_PATH") or next(filter(None, found), None)
    if browser is None:
        raise ModelError(f"A PNG needs Chromium or Chrome, and none is here; {_INSTEAD}.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        written, picture = Path(folder, "page.html"), Path(folder, "page.png")
        written.write_text(page, encoding="utf-8")
        command = [
            browser,
            "--headless",
            "--hide-scrollbars",
            "--force-device-scale-factor=2",
            f"--window-size={size[0]},{size[1]}",
            f"--user-data-dir={folder}/profile",
            f"--screenshot={picture}",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium starts for no root with it; the page is ours
        try:
            subprocess.run(
                [*command, written.as_uri()], check=True, capture_output=True, timeout=_PATIENCE_S
            )
            return picture.read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise ModelError(f"{browser} draws no PNG; {_INSTEAD}.") from error


def _words(cut: "Cut", bits: int) -> str:
    shapes = " and ".join("×".join(map(str, shape)) for shape in cut.shapes)
    return (
        f"after {cut.name}<br>{shapes}: {numbers.kilobytes(cut.wire_bytes())} at 32 bit, "
        f"{numbers.kilobytes(cut.wire_bytes(bits))} at {bits} bit<br>"
        f"{numbers.count(cut.edge.macs)} MACs before, {numbers.count(cut.cloud.macs)} after<br>"
        f"edge weights {numbers.kilobytes(cut.edge.weight_bytes(bits))}, largest activations "
        f"{numbers.kilobytes(cut.edge.activation_bytes(bits))}"
    )
