"""A user's images and the test split: confidences, answers and the confusion matrix."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hybrid.ui import palette, plots

__all__ = ["confidences", "confusion", "shares"]

Floats = npt.NDArray[np.float64]

_QUIET = palette.AXES
_LEGEND = plots.legend(itemclick=False, traceorder="normal")
_ROW_HEIGHT = 22
_WORDS_FIT = 20  # with up to this many classes, every cell shows its number


def confidences(own: Floats, other: Floats, *, colour: str, names: tuple[str, str]) -> go.Figure:
    """Two histograms of one exit's confidence: bars for the user's images, a line for the others.

    Args:
        own, other: (bins,) shares of the images in bins of equal width from 0 to 1.
        colour: the exit's slot in the palette.
        names: the name of each in the legend.
    """
    bins = len(own)
    middles = (np.arange(bins) + 0.5) / bins
    figure = plots.empty(height=280, legend=_LEGEND)
    figure.add_bar(
        x=middles,
        y=100 * own,
        width=0.9 / bins,
        name=names[0],
        marker={"color": palette.faint(colour, 0.75)},
        hovertemplate="%{x:.3f}: %{y:.1f} %",
    )
    edges = np.arange(bins + 1) / bins
    figure.add_scatter(
        x=edges,
        y=100 * np.append(other, other[-1]),
        name=names[1],
        mode="lines",
        line={"color": palette.INK, "width": 2, "shape": "hv"},
        hovertemplate="%{y:.1f} %",
    )
    figure.update_layout(bargap=0, hovermode="x")
    figure.update_xaxes(title_text="Confidence", range=[0, 1], **_QUIET)
    figure.update_yaxes(title_text="Images (%)", rangemode="tozero", **_QUIET)
    return figure


def shares(rows: Sequence[tuple[str, Floats, str]], classes: Sequence[str]) -> go.Figure:
    """How often each class is the answer or the label: a bar per class and row.

    Args:
        rows: name in the legend, share of each class (classes,), slot of the palette.
    """
    figure = plots.empty(height=max(280, 90 + _ROW_HEIGHT * len(classes)), legend=_LEGEND)
    for name, values, colour in rows:
        figure.add_bar(
            x=100 * values,
            y=plots.words(classes),
            orientation="h",
            name=name,
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.1f} %",
        )
    figure.update_layout(barmode="group", bargap=0.25, bargroupgap=0.05)
    figure.update_xaxes(title_text="Images (%)", rangemode="tozero", **_QUIET)
    figure.update_yaxes(autorange="reversed", type="category", **_QUIET)
    return figure


def confusion(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> go.Figure:
    """Labels against answers; the darker a cell, the more of its row's images.

    Args:
        counts: (classes, classes), a row per true class.
    """
    per_row = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(classes) <= _WORDS_FIT
    figure = plots.empty(height=max(300, 110 + _ROW_HEIGHT * len(classes)), legend=_LEGEND)
    figure.add_heatmap(
        z=100 * counts / per_row,
        x=plots.words(classes),
        y=plots.words(classes),
        customdata=counts,
        text=np.where(counts > 0, counts.astype(str), "") if few else None,
        texttemplate="%{text}" if few else None,
        textfont={"color": palette.INK, "size": 12},
        zmin=0,
        zmax=100,
        colorscale=[[0, palette.faint(palette.exit_colour(0), 0)],
                    [1, palette.faint(palette.exit_colour(0), 0.6)]],
        showscale=False,
        xgap=1,
        ygap=1,
        hovertemplate="%{y} answered as %{x}: %{customdata}, %{z:.1f} %<extra></extra>",
    )  # fmt: skip
    names = {"type": "category", "showgrid": False}
    figure.update_xaxes(title_text="Answer", side="top", **names, **_QUIET)
    figure.update_yaxes(title_text="Label", autorange="reversed", **names, **_QUIET)
    return figure
