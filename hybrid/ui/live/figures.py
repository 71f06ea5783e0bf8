"""The picture of a live run: how many images have left at each exit, beside what was promised."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hybrid.ui import palette
from hybrid.zoo import exit_labels

__all__ = ["counted"]


def counted(exit_counts: Sequence[int], promised: Sequence[int] | None) -> go.Figure:
    """A bar per exit, final last, that grows over the faint bar which the trace promises.

    Args:
        promised: of the whole split, in the same order; None where there is no trace.
    """
    exits = len(exit_counts) - 1
    names = exit_labels(exits)
    colours = [*(palette.exit_colour(i) for i in range(exits)), palette.CLOUD]
    figure = go.Figure(
        layout={
            "template": "none",
            "height": 64 + 44 * len(names),
            "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
            "dragmode": False,
            "showlegend": False,
            "bargap": 0.35,
            "barmode": "overlay",
        }
    )
    if promised is not None:
        figure.add_bar(
            name="Promised",
            orientation="h",
            x=np.array(promised),
            y=names,
            marker={"color": [palette.faint(colour, 0.25) for colour in colours]},
            hovertemplate="%{y}: %{x:,} images<extra>promised by the trace</extra>",
        )
    figure.add_bar(
        name="Counted",
        orientation="h",
        x=np.array(exit_counts),
        y=names,
        marker={"color": colours},
        hovertemplate="%{y}: %{x:,} images<extra>counted</extra>",
    )
    ends = np.maximum(exit_counts, exit_counts if promised is None else promised)
    figure.add_scatter(
        name="Words",
        mode="text",
        x=ends,
        y=names,
        text=_words(exit_counts, promised),
        textposition="middle right",
        textfont={"color": palette.INK, "size": 13},
        cliponaxis=False,
        hoverinfo="skip",
    )
    quiet = palette.AXES | {"fixedrange": True}
    # Two fifths of the width are left for the words beside the longest bar, on a phone too.
    figure.update_xaxes(title_text="Images", range=[0, 1.65 * max(1, *ends)], **quiet)
    figure.update_xaxes(nticks=6, tickformat=",d")
    figure.update_yaxes(autorange="reversed", **quiet)
    return figure


def _words(exit_counts: Sequence[int], promised: Sequence[int] | None) -> list[str]:
    """What stands beside the bars; a no-break space keeps it off them."""
    if promised is None:
        return [f"\N{NO-BREAK SPACE}{count:,}" for count in exit_counts]
    return [
        f"\N{NO-BREAK SPACE}{n:,} of {of:,}" for n, of in zip(exit_counts, promised, strict=True)
    ]
