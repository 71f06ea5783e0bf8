"""The figures of Explore. The follower identifies the plotly traces that it moves by their `meta`.

Fractions are drawn in percent, energies in the unit the figure's axis names. Colours are slots of
`hybrid.ui.palette`, so one specification serves both themes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hybrid import policy
from hybrid.quant.levels import FULL_PRECISION
from hybrid.text.point import flow_labels
from hybrid.ui import palette, plots
from hybrid.ui.explore.data import Frontier, StaticPoint
from hybrid.zoo import exit_labels

__all__ = [
    "Figure",
    "Figures",
    "by_part",
    "certified_area",
    "flow",
    "over_threshold",
    "per_class",
    "tradeoff",
]


Floats = npt.NDArray[np.float64]
Figure = go.Figure
Figures = dict[str, go.Figure]

_RING = {"color": palette.INK, "width": 2}
_QUIET = palette.AXES
_MANY_PARTS = 12


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
    figure = plots.empty(height=330, margin={"l": 8, "r": 16, "t": 28, "b": 8})
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
    figure.update_layout(plots.empty(height=330).layout)
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


def flow(outcome: policy.Outcome, *, labelled: bool = True) -> go.Figure:
    """Images to the exits and the cloud, then to correct or incorrect; widths are counts."""
    exits = len(outcome.exit_counts) - 1
    colours = [*(palette.exit_colour(i) for i in range(exits)), palette.CLOUD]
    right, wrong = exits + 2, exits + 3
    figure = plots.empty(height=330, margin={"l": 4, "r": 4, "t": 6, "b": 16})
    figure.add_trace(
        go.Sankey(
            meta="flow",
            arrangement="fixed",
            textfont={"color": palette.INK, "size": 13},
            node={
                "label": flow_labels(outcome, exit_labels(exits), labelled=labelled),
                "color": [palette.TWIN_COLOUR, *colours, palette.RIGHT, palette.WRONG],
                "x": [0.001, *[0.45] * (exits + 1), 0.999, 0.999],
                "y": flow_places(outcome),
                "pad": 14,
                "thickness": 14,
                "line": {"width": 0},
                "hovertemplate": "%{label}<br>%{value:,} images<extra></extra>",
            },
            link={
                "source": [0] * (exits + 1) + [i + 1 for i in range(exits + 1) for _ in range(2)],
                "target": [i + 1 for i in range(exits + 1)] + [right, wrong] * (exits + 1),
                "value": flow_values(outcome),
                "color": [palette.faint(c, 0.45) for c in colours]
                + [palette.faint(c, alpha) for c in colours for alpha in (0.25, 0.5)],
                "hovertemplate": "%{source.label} → %{target.label}<br>%{value:,} images"
                "<extra></extra>",
            },
        )
    )
    return figure


def flow_values(outcome: policy.Outcome) -> list[int]:
    """Images by exit, then the correct and incorrect ones of each exit."""
    split = zip(outcome.exit_counts, outcome.correct_counts, strict=True)
    return [*outcome.exit_counts, *(n for count, right in split for n in (right, count - right))]


def flow_places(outcome: policy.Outcome) -> list[float]:
    """Heights of the nodes' middles, 0 at the top, in fixed order."""
    return [
        0.5,
        *_stacked(outcome.exit_fractions),
        *_stacked((outcome.accuracy, 1 - outcome.accuracy)),
    ]


def by_part(
    point: Mapping[str, float],
    twin: Mapping[str, float],
    *,
    scale_pj: float,
    unit: str,
    energy_range: tuple[float, float],
    beside: str,
) -> go.Figure:
    """Energy per image by part of the network, next to its baseline.

    Args:
        point, twin: part → pJ per image, in the order in which a sample passes the parts.
        energy_range: of the energy axis, in its unit.
        beside: name of the baseline.
    """
    ends = [part for part in ("heads", "radio", "cloud") if part in point]
    both = dict.fromkeys([*point, *twin])
    parts = [*(part for part in both if part not in ends), *ends]
    figure = plots.empty(height=max(330, 90 + 12 * len(parts)))
    bars = (
        ("Present point", point, _part_colours(parts), "parts"),
        (beside, twin, palette.TWIN_COLOUR, "twin_parts"),
    )
    for name, values, colour, meta in bars:
        figure.add_trace(
            go.Bar(
                name=name,
                meta=meta,
                orientation="h",
                y=[palette.part_label(part) for part in parts],
                x=np.array([values.get(part, 0.0) / scale_pj for part in parts]),
                marker={"color": colour},
                hovertemplate=f"%{{y}}: %{{x:,.3~r}} {unit}<extra>{name}</extra>",
            )
        )
    figure.update_xaxes(title_text=f"Energy per image ({unit})", range=energy_range, **_QUIET)
    size = 12 if len(parts) <= _MANY_PARTS else 9  # else plotly.js drops every other name
    figure.update_yaxes(autorange="reversed", dtick=1, tickfont={"size": size}, **_QUIET)
    figure.update_layout(
        barmode="group", bargap=0.25, bargroupgap=0.05, legend=plots.legend(traceorder="normal")
    )
    return figure


def per_class(
    counted: policy.PerClass, classes: Sequence[str], *, labelled: bool = True
) -> go.Figure:
    """By class: the share that takes each exit as bars, the accuracy as a mark."""
    fractions = 100 * counted.exit_fractions  # (classes, exits)
    exits = fractions.shape[1] - 1
    colours = [*(palette.exit_colour(i) for i in range(exits)), palette.CLOUD]
    height = max(330, 90 + 20 * len(classes))
    figure = plots.empty(height=height)
    names = exit_labels(exits)
    for i, colour in enumerate(colours):
        figure.add_trace(
            go.Bar(
                name=names[i],
                meta=f"class_{i}",
                orientation="h",
                y=list(classes),
                x=fractions[:, i],
                marker={"color": palette.faint(colour, 0.75)},
                hovertemplate=f"%{{y}}: %{{x:.1f}} %<extra>{names[i]}</extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            name=f"{'Accuracy' if labelled else 'Same as cloud'}, 95 % interval",
            meta="class_accuracy",
            x=100 * counted.accuracy,
            y=list(classes),
            mode="markers",
            marker={"symbol": "line-ns", "size": 13, "line": {"color": palette.INK, "width": 3}},
            hovertemplate="%{y}: %{x:.1f} %",
            cliponaxis=False,
        )
    )
    figure.add_trace(_class_intervals(counted, classes))
    figure.update_xaxes(title_text="Images of the class (%)", range=[0, 100], **_QUIET)
    # Class names that are digits are names, not numbers; an automatic range would leave gaps.
    figure.update_yaxes(range=[len(classes) - 0.5, -0.5], type="category", **_QUIET)
    legend = plots.legend(traceorder="normal", y=1 + 8 / height)
    figure.update_layout(barmode="stack", bargap=0.3, legend=legend)
    return figure


def class_intervals(counted: policy.PerClass) -> Floats:
    """(2 · classes,): the low ends of the accuracies in percent, then the high ends."""
    right = counted.correct_counts.sum(axis=1)
    ends = [
        policy.wilson(int(n), int(of)) if of else policy.Interval(low=np.nan, high=np.nan)
        for n, of in zip(right, counted.samples, strict=True)
    ]
    return 100 * np.array([one.low for one in ends] + [one.high for one in ends])


def _class_intervals(counted: policy.PerClass, classes: Sequence[str]) -> go.Scatter:
    """A thin mark at each end of the accuracy's interval."""
    return go.Scatter(
        name="End of the interval",
        showlegend=False,
        meta="class_interval",
        x=class_intervals(counted),
        y=[*classes, *classes],
        mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"color": palette.INK, "width": 1}},
        hovertemplate="%{y}: %{x:.1f} %",
        cliponaxis=False,
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


def _part_colours(parts: Sequence[str]) -> list[str]:
    return [palette.CLOUD if part == "cloud" else palette.INK for part in parts]


def _stacked(fractions: Sequence[float]) -> list[float]:
    """Middles of bars stacked from 0 to 1 with gaps between."""
    gap = 0.08
    room = 1 - gap * (len(fractions) - 1)
    middles, top = [], 0.0
    for fraction in fractions:
        middles.append(min(max(top + room * fraction / 2, 0.001), 0.999))
        top += room * fraction + gap
    return middles
