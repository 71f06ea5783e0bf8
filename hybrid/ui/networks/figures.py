"""Figures of a network's training and calibration.

History rows and reliabilities go in, figures come out; no card, no file, no widget.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hybrid.traces.confidence import Reliability
from hybrid.ui import palette

__all__ = ["auroc", "reliability", "training"]

_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}
_SYMBOLS = ("circle", "diamond", "square", "triangle-up")


def training(history: Sequence[Mapping[str, float]], *, exit_names: Sequence[str]) -> go.Figure:
    """Accuracy of every exit on tune, epoch by epoch, and the training loss under it.

    Args:
        history: a row per epoch: `epoch`, `loss`, `tune_accuracy_exit<i>`.
        exit_names: names in the legend, final exit last.
    """
    epochs = np.array([row["epoch"] for row in history])
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.68, 0.32], vertical_spacing=0.06
    )
    for number, name in enumerate(exit_names):
        figure.add_scatter(
            x=epochs,
            y=np.array([100 * row[f"tune_accuracy_exit{number}"] for row in history]),
            name=name,
            mode="lines+markers" if len(epochs) <= _FEW_EPOCHS else "lines",
            line_color=_exit_colour(number, len(exit_names)),
            hovertemplate="%{y:.2f} %",
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=epochs,
        y=np.array([row["loss"] for row in history]),
        name="Training loss",
        mode="lines",
        line_color=palette.INK,
        line_width=1.5,
        showlegend=False,
        hovertemplate="%{y:.3f}",
        row=2,
        col=1,
    )
    _plain_axes(figure)
    figure.update_layout(height=380, hovermode="x unified", legend=_LEGEND)
    figure.update_yaxes(title_text="Accuracy on tune (%)", row=1, col=1)
    figure.update_yaxes(title_text="Loss", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="Epoch", tickformat="d", row=2, col=1)
    # whole epochs: by itself a tick stands at half of one, rounded
    figure.update_xaxes(dtick=-(-len(epochs) // 10) or 1)
    return figure


def reliability(before: Reliability, after: Reliability, *, colour: str) -> go.Figure:
    """Accuracy of one exit against its confidence: a reliability diagram.

    The line is after temperature scaling, the hollow points before it. On the diagonal, answers
    with confidence 0.8 are correct eight times in ten. Larger points have more samples in the bin.

    Args:
        before, after: of the same exit.
        colour: the exit's slot in the palette.
    """
    figure = go.Figure()
    figure.add_scatter(x=[0, 1], y=[0, 1], showlegend=False, **_DIAGONAL)
    figure.add_scatter(
        **_diagram(before), name="before", mode="markers", marker=_hollow(before, colour)
    )
    figure.add_scatter(
        **_diagram(after),
        name="after",
        mode="lines+markers",
        line_color=colour,
        marker={"size": _sizes(after), "color": colour, "line_width": 0},
    )
    _plain_axes(figure)
    figure.update_layout(height=280, legend=_LEGEND)
    figure.update_xaxes(range=[-0.04, 1.04], tickvals=[0, 0.5, 1], title_text="Confidence")
    figure.update_yaxes(range=[-0.04, 1.04], tickvals=[0, 0.5, 1], title_text="Accuracy")
    return figure


def auroc(values: Mapping[str, Sequence[float]], *, exit_names: Sequence[str]) -> go.Figure:
    """How often a correct answer is more confident than an incorrect one, by exit and measure.

    0.5 is guessing; 1 separates correct from incorrect answers perfectly. An exit that is always
    correct has no value and no point.

    Args:
        values: measure to one AUROC per exit, final last; NaN where there is none.
        exit_names: labels of the axis.
    """
    figure = go.Figure()
    colours = [_exit_colour(number, len(exit_names)) for number in range(len(exit_names))]
    for symbol, (measure, row) in zip(_SYMBOLS, values.items(), strict=False):
        figure.add_scatter(
            x=np.asarray(row, np.float64),
            y=list(exit_names),
            name=measure.replace("_", " "),
            mode="markers",
            marker={"size": 12, "symbol": symbol, "color": colours, "opacity": 0.85},
            hovertemplate="%{y}, " + measure.replace("_", " ") + ": %{x:.4f}<extra></extra>",
        )
    _plain_axes(figure)
    figure.update_layout(height=110 + 44 * len(exit_names), legend=_LEGEND)
    figure.update_xaxes(title_text="AUROC", range=[0.48, 1.02])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


_FEW_EPOCHS = 40
_LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemclick": False}
_DIAGONAL: dict[str, Any] = {
    "mode": "lines",
    "line": {"color": palette.LINE, "dash": "dot", "width": 1},
    "hoverinfo": "skip",
}


def _exit_colour(number: int, exits: int) -> str:
    return palette.CLOUD if number == exits - 1 else palette.exit_colour(number)


def _diagram(diagram: Reliability) -> dict[str, Any]:
    filled = diagram.counts > 0
    return {
        "x": diagram.mean_confidence[filled],
        "y": diagram.accuracy[filled],
        "customdata": diagram.counts[filled],
        "hovertemplate": "confidence %{x:.3f}, accuracy %{y:.3f}, %{customdata} images",
    }


def _sizes(diagram: Reliability) -> np.ndarray:
    counts = diagram.counts[diagram.counts > 0]
    return np.asarray(5 + 9 * np.sqrt(counts / counts.max()))


def _hollow(diagram: Reliability, colour: str) -> dict[str, Any]:
    return {
        "size": _sizes(diagram),
        "color": "rgba(0,0,0,0)",
        "line": {"color": palette.faint(colour, 0.8), "width": 1.5},
    }


def _plain_axes(figure: go.Figure) -> None:
    figure.update_layout(template="none", margin=_MARGIN, dragmode=False)
    axis = palette.AXES | {"gridcolor": palette.faint(palette.LINE)}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
