"""The figures of Explore that show shares: of images by exit and class, of energy by part.

As in `hybrid.ui.explore.figures`, the follower identifies the plotly traces that it moves by their
`meta`, and fractions are drawn in percent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hybrid import policy
from hybrid.text.point import flow_labels
from hybrid.ui import palette, plots
from hybrid.zoo import exit_labels

__all__ = ["by_part", "flow", "per_class"]

Floats = npt.NDArray[np.float64]

_QUIET = palette.AXES
_MANY_PARTS = 12


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
                "x": [0.001, *[0.36] * (exits + 1), 0.999, 0.999],
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
                y=plots.words(classes),
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
            y=plots.words(classes),
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
        y=2 * plots.words(classes),
        mode="markers",
        marker={"symbol": "line-ns", "size": 9, "line": {"color": palette.INK, "width": 1}},
        hovertemplate="%{y}: %{x:.1f} %",
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
