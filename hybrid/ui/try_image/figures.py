"""The predictions of every exit for one image, and the layers that were run."""

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hybrid.inference.single import ExitSaid, StageRan
from hybrid.text import numbers
from hybrid.ui import palette, plots

__all__ = ["confidences", "parts_run", "probabilities"]

_ROW = 34  # pixels a bar takes with its gap
_FEW = 6  # part names that fit side by side on a phone


def probabilities(said: ExitSaid, *, colour: str) -> go.Figure:
    """An exit's most likely classes as bars from 0 to 1, the most likely on top."""
    names = plots.words(name for name, _ in said.top)
    values = np.array([value for _, value in said.top])
    rows = np.arange(len(names))  # not the names themselves: a digit would be taken as a place
    figure = go.Figure()
    figure.add_bar(
        x=values,
        y=rows,
        orientation="h",
        marker_color=[colour] + [palette.faint(colour)] * (len(names) - 1),
        text=[f"{name}  {numbers.percent(value)}" for name, value in said.top],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
    )
    for row, value in zip(rows, values, strict=True):
        # Beside the bars and not in them, so that no number is cut where a bar is short.
        figure.add_annotation(
            x=1,
            y=row,
            text=numbers.percent(value),
            showarrow=False,
            xanchor="left",
            xshift=6,
        )
    figure.update_layout(
        template="none",
        dragmode=False,
        height=_ROW * len(names) + 16,
        margin={"l": 8, "r": 64, "t": 8, "b": 8},
        bargap=0.35,
    )
    figure.update_xaxes(range=[0, 1], visible=False)
    figure.update_yaxes(
        tickvals=rows,
        ticktext=names,
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        automargin=True,
        ticks="",
    )
    return figure


def confidences(said: Sequence[ExitSaid], *, colours: Sequence[str]) -> go.Figure:
    """Each exit's confidence as a bar, its threshold as a mark; an exit not run has no bar."""
    names = [exit_.name for exit_ in said]
    values = np.array([exit_.confidence or 0.0 for exit_ in said])
    limits = [exit_.threshold for exit_ in said]
    figure = go.Figure()
    figure.add_bar(
        x=values,
        y=names,
        orientation="h",
        marker_color=list(colours),
        hovertemplate="%{y}: confidence %{x:.4f}<extra></extra>",
        name="Confidence",
    )
    figure.add_scatter(
        x=np.array([np.nan if limit is None else limit for limit in limits]),
        y=names,
        mode="markers",
        marker={
            "symbol": "line-ns",
            "size": 24,
            "line": {"width": 3, "color": palette.INK},
        },
        hovertemplate="%{y}: threshold %{x:.4f}<extra></extra>",
        name="Threshold",
    )
    for exit_ in said:
        if exit_.confidence is None:
            figure.add_annotation(
                x=0, y=exit_.name, text="not run", showarrow=False, xanchor="left", xshift=6
            )
    figure.update_layout(
        template="none",
        dragmode=False,
        height=_ROW * len(names) + 44,
        margin={"l": 8, "r": 16, "t": 8, "b": 28},
        bargap=0.4,
        showlegend=False,
    )
    figure.update_xaxes(
        range=[-0.005, 1.01],
        zeroline=False,
        tickvals=[0, 0.25, 0.5, 0.75, 1],
        gridcolor=palette.faint(palette.LINE),
    )
    figure.update_yaxes(autorange="reversed", automargin=True, ticks="")
    return figure


def parts_run(ran: Sequence[StageRan]) -> go.Figure:
    """Multiply-accumulates of every part: filled if its layers were called, else hollow."""
    colours = [_part_colour(part, ran) for part in ran]
    figure = go.Figure()
    figure.add_bar(
        x=np.arange(len(ran)),
        y=np.array([part.macs / 1e6 for part in ran]),
        marker={
            "color": [
                colour if part.called else palette.faint(colour, 0.0)
                for part, colour in zip(ran, colours, strict=True)
            ],
            "line": {"color": colours, "width": 1.5},
        },
        hovertext=[_part_words(part) for part in ran],
        hovertemplate="%{hovertext}<extra></extra>",
    )
    figure.update_layout(
        template="none",
        dragmode=False,
        height=250,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        showlegend=False,
        bargap=0.25,
    )
    figure.update_xaxes(
        tickvals=np.arange(len(ran)),
        ticktext=plots.words(part.name for part in ran),
        tickangle=-90 if len(ran) > _FEW else 0,
        automargin=True,
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        title_text="Million MACs",
        automargin=True,
        rangemode="tozero",
        zeroline=False,
        gridcolor=palette.faint(palette.LINE),
    )
    return figure


def _part_colour(part: StageRan, ran: Sequence[StageRan]) -> str:
    """The colour of the cloud, or of the first exit at or after the part."""
    if part.segment == "cloud":
        return palette.CLOUD
    behind = list(ran)[list(ran).index(part) :]
    exit_ = next((other.exit for other in behind if other.exit is not None), None)
    return palette.TWIN_COLOUR if exit_ is None else palette.exit_colour(exit_)


def _part_words(part: StageRan) -> str:
    return (
        f"{html.escape(part.name)} ({'device' if part.segment != 'cloud' else 'cloud'})<br>"
        f"{part.called} of {part.layers} layers called, {numbers.count(part.macs)} MACs"
    )
