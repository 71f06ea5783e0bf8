"""The figures of Explore. The follower identifies the plotly traces that it moves by their `meta`.

Fractions are drawn in percent, energies in the unit the figure's axis names. Colours are slots of
`hybrid.ui.palette`, so one specification serves both themes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hybrid import policy
from hybrid.quant.levels import FULL_PRECISION
from hybrid.ui import palette, plots
from hybrid.ui.explore.data import Frontier, StaticPoint

__all__ = [
    "Figure",
    "Figures",
    "certified_area",
    "over_threshold",
    "tradeoff",
]


Floats = npt.NDArray[np.float64]
Figure = go.Figure
Figures = dict[str, go.Figure]

_RING = {"color": palette.INK, "width": 2}
# Fixed margins: where plotly.js finds them itself, it draws a figure twice.
_QUIET = palette.AXES | {"automargin": False}
_LEFT, _BELOW = 56, 48  # pixels for three digits or a title, and both below


def tradeoff(
    frontiers: Sequence[Frontier],
    statics: Sequence[StaticPoint],
    *,
    bits: int,
    energy_pj: float,
    accuracy: float,
    scale_pj: float,
    unit: str,
    labelled: bool = True,
) -> go.Figure:
    """Accuracy against energy per image (log), a line per bit width, statics as points.

    Args:
        bits: the bit width whose line is highlighted.
        energy_pj, accuracy: of the current point.
        scale_pj, unit: of the energy axis.
        labelled: if False, accuracy is agreement with the final exit.
    """
    figure = plots.empty(height=330, margin={"l": _LEFT, "r": 16, "t": 28, "b": _BELOW})
    for frontier in frontiers:
        figure.add_trace(_frontier(frontier, scale_pj, unit))
    figure.add_trace(_labels(frontiers, scale_pj))
    figure.add_trace(_highlight(frontiers, bits, scale_pj))
    widest = max((s.bits for s in statics if s.bits < FULL_PRECISION), default=0)
    for static in statics:
        figure.add_trace(_static(static, scale_pj, unit, named=static.bits == widest))
    figure.add_trace(
        go.Scatter(
            x=np.array([energy_pj / scale_pj]),
            y=np.array([100 * accuracy]),
            mode="markers",
            name="Present point",
            meta="present",
            marker={"size": 15, "color": palette.WRONG, "line": _RING},
            hovertemplate=f"Present point<br>%{{y:.2f}} %<br>%{{x:,.3~r}} {unit}<extra></extra>",
            cliponaxis=False,
        )
    )
    figure.update_xaxes(title_text=f"Energy per image ({unit}, log)", type="log", **_QUIET)
    figure.update_xaxes(dtick="D2", tickformat="~g", showgrid=True)
    figure.update_yaxes(title_text=_right(labelled), **_QUIET)
    figure.update_layout(showlegend=False, hovermode="closest")
    return figure


def over_threshold(
    together: policy.ThresholdSweep,
    alone: Sequence[policy.ThresholdSweep],
    *,
    thresholds: Sequence[float],
    accuracy: float,
    edge_fraction: float,
    twin_accuracy: float | None,
    accuracy_range: tuple[float, float],
    area: go.Scatter | None = None,
    labelled: bool = True,
) -> go.Figure:
    """Accuracy above and edge exit fraction below, by threshold, with the current point marked.

    Args:
        together: all thresholds moved together.
        alone: one sweep per early exit, the others fixed; empty if one slider moves all.
        thresholds: those to mark: one per sweep of `alone`, else the common one.
        accuracy_range: of the upper axis, in percent.
        area: from `certified_area`; drawn below the curves.
    """
    figure = go.Figure().set_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.06)
    margin = {"l": _LEFT, "r": 16, "t": 36, "b": _BELOW}
    figure.update_layout(plots.empty(height=330, margin=margin).layout)
    if area is not None:
        figure.add_trace(area, row=1, col=1)
    values = (("accuracy", accuracy), ("edge_fraction", edge_fraction))
    for row, (field, now) in enumerate(values, start=1):
        colour = palette.LINE if alone else palette.INK
        every = _curve(together, field, "All", colour, legend=row == 1, meta=f"{field}_all")
        figure.add_trace(every, row=row, col=1)
        for number, sweep in enumerate(alone):
            line = _curve(
                sweep,
                field,
                f"Exit {number + 1}",
                palette.exit_colour(number),
                legend=row == 1,
                meta=f"{field}_{number}",
            )
            figure.add_trace(line, row=row, col=1)
        figure.add_trace(_marks(thresholds, now, field, alone=bool(alone)), row=row, col=1)
    if twin_accuracy is not None:
        figure.add_hline(
            y=100 * twin_accuracy,
            row=1,
            col=1,
            line={"color": palette.TWIN_COLOUR, "width": 1.5, "dash": "dash"},
            annotation={"text": "twin", "font": {"color": palette.TWIN_COLOUR, "size": 12}},
            annotation_position="bottom right",
        )
    figure.update_xaxes(range=[0, 1], **_QUIET)
    figure.update_xaxes(title_text="Threshold", row=2, col=1)
    figure.update_yaxes(**_QUIET)
    figure.update_yaxes(title_text=_right(labelled), nticks=5, range=accuracy_range, row=1, col=1)
    figure.update_yaxes(title_text="At the edge (%)", range=[-3, 103], nticks=4, row=2, col=1)
    figure.update_layout(
        hovermode="x", legend=plots.legend(traceorder="normal"), showlegend=bool(alone)
    )
    return figure


def certified_area(
    together: policy.ThresholdSweep, bounds: Floats, *, final_exit_accuracy: float
) -> go.Scatter:
    """Where the accuracy is, by common threshold: at most `bounds` below the final exit's.

    Args:
        bounds: (points of together,) fractions, of all settings at once.
    """
    least = 100 * np.maximum(final_exit_accuracy - bounds, 0)
    most = np.maximum(100 * together.accuracy, least)
    return go.Scatter(
        x=np.concatenate([together.grid, together.grid[::-1]]),
        y=np.concatenate([most, least[::-1]]),
        name="Bound for all settings at once",
        meta="bound",
        mode="lines",
        fill="toself",
        fillcolor=palette.faint(palette.LINE, 0.35),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,  # its name is in the chart's title: it would make the legend a column
    )


def _right(labelled: bool) -> str:
    return "Accuracy (%)" if labelled else "Same as cloud (%)"


def _frontier(frontier: Frontier, scale_pj: float, unit: str) -> go.Scatter:
    words = f"{frontier.bits} bit" if frontier.bits == 1 else f"{frontier.bits} bits"
    clicks = np.column_stack([np.full(len(frontier.energy_pj), frontier.bits), frontier.thresholds])
    where = ", ".join(f"%{{customdata[{i + 1}]:.4f}}" for i in range(clicks.shape[1] - 1))
    return go.Scatter(
        x=frontier.energy_pj / scale_pj,
        y=100 * frontier.accuracy,
        customdata=clicks,
        meta=f"frontier_{frontier.bits}",
        name=words,
        # Without markers: they would be thousands of elements, half the time to the first figures.
        mode="lines",
        line={"color": palette.LINE, "width": 2.5, "simplify": False},
        hovertemplate=f"{words}, thresholds {where}<br>%{{y:.2f}} %, %{{x:,.3~r}} {unit}<extra>"
        "Click to select</extra>",
        cliponaxis=False,
    )


def _labels(frontiers: Sequence[Frontier], scale_pj: float) -> go.Scatter:
    """Bit widths at the low ends of the lines, which are furthest apart; only 32 has a word."""
    labelled = [one for one in frontiers if len(one.energy_pj)]
    words = {FULL_PRECISION: f"{FULL_PRECISION} bits"}
    return go.Scatter(
        x=np.array([one.energy_pj[0] / scale_pj for one in labelled]),
        y=np.array([100 * one.accuracy[0] for one in labelled]),
        name="Bit widths",
        mode="text",
        text=[words.get(one.bits, str(one.bits)) for one in labelled],
        textposition="bottom center",
        textfont={"color": palette.TWIN_COLOUR, "size": 12},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _highlight(frontiers: Sequence[Frontier], bits: int, scale_pj: float) -> go.Scatter:
    """The selected bit width's line once more, in ink; the follower moves it to another's.

    It has as many points as the longest line, so that every line fits: its last one is repeated.
    """
    longest = max((len(frontier.energy_pj) for frontier in frontiers), default=0)
    x = y = np.full(longest, np.nan)
    for frontier in frontiers:
        if frontier.bits == bits:
            places = np.minimum(np.arange(longest), len(frontier.energy_pj) - 1)
            x, y = frontier.energy_pj[places] / scale_pj, 100 * frontier.accuracy[places]
    return go.Scatter(
        x=x,
        y=y,
        meta="highlight",
        name="Selected bit width",
        mode="lines",
        line={"color": palette.INK, "width": 2.5, "simplify": False},
        hoverinfo="skip",
        cliponaxis=False,
    )


def _static(static: StaticPoint, scale_pj: float, unit: str, *, named: bool) -> go.Scatter:
    """A diamond. Of several close together only one is labelled with the full name."""
    twin = static.bits == FULL_PRECISION
    name = "Twin" if twin else f"Static {static.bits} bit"
    return go.Scatter(
        x=np.array([static.energy_pj / scale_pj]),
        y=np.array([100 * static.accuracy]),
        name=name,
        mode="markers+text",
        text=[name.lower() if twin or named else str(static.bits)],
        textposition="bottom right" if not twin else "bottom center",
        textfont={"color": palette.TWIN_COLOUR, "size": 12},
        marker={
            "symbol": "diamond" if twin else "diamond-open",
            "size": 11,
            "color": palette.TWIN_COLOUR,
            "line": {"color": palette.TWIN_COLOUR, "width": 2},
        },
        hovertemplate=f"{name}<br>%{{y:.2f}} %, %{{x:,.3~r}} {unit}<extra></extra>",
        cliponaxis=False,
    )


def _curve(
    sweep: policy.ThresholdSweep,
    field: str,
    name: str,
    colour: str,
    *,
    legend: bool,
    meta: str,
) -> go.Scatter:
    return go.Scatter(
        x=sweep.grid,
        y=100 * getattr(sweep, field),
        mode="lines",
        name=name,
        meta=meta,
        legendgroup=name,
        showlegend=legend,
        line={"color": colour, "width": 2, "dash": "dot" if colour == palette.LINE else "solid"},
        hovertemplate=f"%{{y:.2f}} %<extra>{name}</extra>",
    )


def _marks(thresholds: Sequence[float], now: float, field: str, *, alone: bool) -> go.Scatter:
    colours = [palette.exit_colour(i) for i in range(len(thresholds))] if alone else palette.WRONG
    return go.Scatter(
        x=np.array(thresholds, np.float64),
        y=np.full(len(thresholds), 100 * now),
        mode="markers",
        name="Present point",
        meta=f"{field}_marks",
        showlegend=False,
        marker={"size": 12, "color": colours, "line": _RING},
        hovertemplate="%{x:.4f}: %{y:.2f} %<extra>Present point</extra>",
        cliponaxis=False,
    )
