"""Where a model can be cut, as a picture for a file: what is sent, computed and held at each cut.

Rows as plain values go in, a plotly figure comes out; its colours are its own, since no page's
theme stands around a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hybrid.errors import ModelError
from hybrid.files import replacing
from hybrid.ui import numbers

if TYPE_CHECKING:
    from hybrid.networks.cutting import Cut

__all__ = ["figure", "save_figure"]

_EDGE, _CLOUD, _INK, _LINE = "#1f5fd0", "#22335c", "#16202e", "#b7c0cb"
_CELL, _LEAST_WIDTH = 22, 720  # pixels a cut, and of the whole
_SUFFIXES = (".html", ".png")


def figure(cuts: Sequence["Cut"], *, title: str, bits: int, image_bytes: int) -> go.Figure:
    """Every cut in the order in which an image meets them, one column each.

    From the top: bytes that an image sends (filled where one tensor crosses, hollow where a skip
    connection is carried along, dotted the raw image), multiply-accumulates before and behind the
    cut, and what the edge holds.

    Args:
        cuts: none of them refused.
        bits: of the edge's filters and activations and of what is sent.
        image_bytes: of the raw image.
    """
    places = np.arange(len(cuts))
    words = [_words(cut, bits) for cut in cuts]
    drawn = make_subplots(
        rows=3,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.05,
        subplot_titles=("Sent for an image", "Multiply-accumulates", "Memory of the edge"),
    )
    for width, colour in ((32, _LINE), (bits, _EDGE)):
        drawn.add_scatter(
            x=places,
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
    drawn.add_hline(y=image_bytes, line={"color": _INK, "dash": "dot", "width": 1}, row=1, col=1)
    bars = (
        ("before the cut", [cut.edge.macs for cut in cuts], _EDGE, 2),
        ("behind the cut", [cut.cloud.macs for cut in cuts], _CLOUD, 2),
        ("edge weights", [cut.edge.weight_bytes(bits) for cut in cuts], _EDGE, 3),
        ("largest activations", [cut.edge.activation_bytes(bits) for cut in cuts], _LINE, 3),
    )
    for name, values, colour, row in bars:
        drawn.add_bar(
            x=places,
            y=values,
            name=name,
            marker_color=colour,
            hovertext=words,
            hovertemplate="%{hovertext}<extra></extra>",
            row=row,
            col=1,
        )
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
    drawn.update_xaxes(zeroline=False)
    drawn.update_yaxes(title_text="bytes", type="log", row=1, col=1)
    drawn.update_yaxes(title_text="MACs", row=2, col=1)
    drawn.update_yaxes(title_text="bytes", row=3, col=1)
    drawn.update_xaxes(
        tickvals=places, ticktext=[cut.name for cut in cuts], tickangle=-90, row=3, col=1
    )
    return drawn


def save_figure(drawn: go.Figure, path: Path) -> None:
    """Write the figure, as HTML that opens without a network or as PNG.

    Raises:
        ModelError: another suffix, or PNG without what draws it.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ModelError(f"A picture is written as .html or .png, not as {path.name}; rename it.")
    with replacing(path) as draft:
        if path.suffix.lower() == ".html":
            draft.write_text(drawn.to_html(include_plotlyjs=True), encoding="utf-8")
            return
        try:
            draft.write_bytes(drawn.to_image(format="png", scale=2))
        except (ImportError, RuntimeError, ValueError) as error:
            raise ModelError(
                'A PNG needs kaleido and a Chrome (pip install "kaleido>=1"); name a .html file '
                "instead."
            ) from error


def _words(cut: "Cut", bits: int) -> str:
    shapes = " and ".join("×".join(map(str, shape)) for shape in cut.shapes)
    return (
        f"behind {cut.name}<br>{shapes}: {numbers.kilobytes(cut.wire_bytes())} at 32 bit, "
        f"{numbers.kilobytes(cut.wire_bytes(bits))} at {bits} bit<br>"
        f"{numbers.count(cut.edge.macs)} MACs before, {numbers.count(cut.cloud.macs)} behind<br>"
        f"edge weights {numbers.kilobytes(cut.edge.weight_bytes(bits))}, largest activations "
        f"{numbers.kilobytes(cut.edge.activation_bytes(bits))}"
    )
