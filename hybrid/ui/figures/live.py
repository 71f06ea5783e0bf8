"""The picture of a live run: how many images have left at each exit, beside what was promised."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hybrid.ui import palette

__all__ = ["counted"]


def counted(exit_counts: Sequence[int], promised: Sequence[int] | None) -> go.Figure:
    """A bar per exit, final last, and a line across it where the trace says it will end.

    Args:
        promised: of the whole split, in the same order; None where there is no trace.
    """
    exits = len(exit_counts) - 1
    names = palette.names(exits)
    colours = [*(palette.exit_colour(i) for i in range(exits)), palette.CLOUD]
    figure = go.Figure(
        layout={
            "template": "none",
            "height": 64 + 44 * len(names),
            "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
            "dragmode": False,
            "showlegend": False,
            "bargap": 0.35,
        }
    )
    figure.add_bar(
        name="Counted",
        orientation="h",
        x=np.array(exit_counts),
        y=names,
        marker={"color": colours},
        text=[f"{count:,}" for count in exit_counts],
        textposition="auto",
        textangle=0,
        hovertemplate="%{y}: %{x:,} images<extra>counted</extra>",
    )
    ends = list(exit_counts)
    if promised is not None:
        ends += promised
        figure.add_scatter(
            name="Promised",
            x=np.array(promised),
            y=names,
            mode="markers",
            marker={"symbol": "line-ns", "size": 26, "line": {"color": palette.INK, "width": 3}},
            hovertemplate="%{y}: %{x:,} images<extra>promised by the trace</extra>",
            cliponaxis=False,
        )
    quiet = {"zeroline": False, "showline": False, "ticks": "", "fixedrange": True}
    figure.update_xaxes(title_text="Images", range=[0, 1.04 * max(ends, default=1)], **quiet)
    figure.update_xaxes(automargin=True, nticks=6, tickformat=",d")
    figure.update_yaxes(autorange="reversed", automargin=True, **quiet)
    return figure
