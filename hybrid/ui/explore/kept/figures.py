"""Two kept points as figures: on their frontiers, and their accuracy by class."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from hybrid.ui import palette, plots
from hybrid.ui.explore.data import Frontier
from hybrid.ui.explore.kept.evaluated import Evaluated

__all__ = ["accuracies", "curves"]

COLOURS = (palette.exit_colour(0), palette.exit_colour(1))
_RING = {"color": palette.INK, "width": 2}
_ROW_HEIGHT = 22


def curves(
    pair: Sequence[Evaluated], frontiers: Sequence[Frontier | None], *, scale_pj: float, unit: str
) -> go.Figure:
    """Each point on the frontier of its own network and bit width.

    Args:
        frontiers: one per point; None where there is none.
        scale_pj, unit: of the energy axis.
    """
    figure = plots.empty(height=330, hovermode="closest", legend=plots.legend())
    for found, frontier, colour in zip(pair, frontiers, COLOURS, strict=True):
        name = escape(found.kept.name)
        if frontier is not None:
            figure.add_scatter(
                x=frontier.energy_pj / scale_pj,
                y=100 * frontier.accuracy,
                mode="lines",
                name=f"Best of {escape(found.view.network)}, {found.view.bits} bit",
                legendgroup=name,
                showlegend=False,
                line={"color": colour, "width": 2},
                hovertemplate=f"%{{y:.2f}} %, %{{x:,.3~r}} {unit}",
            )
        figure.add_scatter(
            x=np.array([found.point.energy_pj / scale_pj]),
            y=np.array([100 * found.point.outcome.accuracy]),
            mode="markers",
            name=name,
            legendgroup=name,
            marker={"size": 15, "color": colour, "line": _RING},
            hovertemplate=f"{name}<br>%{{y:.2f}} %, %{{x:,.3~r}} {unit}<extra></extra>",
            cliponaxis=False,
        )
    title = f"Energy per image ({unit}, log)"
    figure.update_xaxes(title_text=title, type="log", nticks=8, tickformat="~g", **palette.AXES)
    labelled = all(found.labelled for found in pair)
    words = "Accuracy (%)" if labelled else "Same as cloud (%)"
    figure.update_yaxes(title_text=words, **palette.AXES)
    return figure


def accuracies(pair: Sequence[Evaluated]) -> go.Figure:
    """The accuracy of both points by class, joined by a line; both have the same classes."""
    classes = plots.words(pair[0].card.classes)
    values = [100 * found.by_class.accuracy for found in pair]
    figure = plots.empty(height=max(280, 90 + _ROW_HEIGHT * len(classes)), legend=plots.legend())
    gap = np.full(len(classes), None)
    figure.add_scatter(
        x=np.column_stack([*values, gap]).ravel(),
        y=[name for name in classes for _ in range(3)],
        mode="lines",
        line={"color": palette.LINE, "width": 3},
        showlegend=False,
        hoverinfo="skip",
    )
    for found, value, colour in zip(pair, values, COLOURS, strict=True):
        figure.add_scatter(
            x=value,
            y=classes,
            mode="markers",
            name=escape(found.kept.name),
            marker={"size": 11, "color": colour},
            hovertemplate="%{y}: %{x:.1f} %",
            cliponaxis=False,
        )
    words = "Accuracy (%)" if all(found.labelled for found in pair) else "Same as cloud (%)"
    figure.update_xaxes(title_text=words, **palette.AXES)
    figure.update_yaxes(range=[len(classes) - 0.5, -0.5], type="category", **palette.AXES)
    return figure
