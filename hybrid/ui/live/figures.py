"""The figure of a live run: images counted at each exit, compared with those expected."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hybrid.ui import palette, plots
from hybrid.zoo import exit_labels

__all__ = ["counted"]


def counted(exit_counts: Sequence[int], expected: Sequence[int] | None) -> go.Figure:
    """A bar per exit, final last, that grows over the faint bar expected from the trace.

    Args:
        expected: for the whole split, in the same order; None if there is no trace.
    """
    exits = len(exit_counts) - 1
    names = exit_labels(exits)
    colours = [*(palette.exit_colour(i) for i in range(exits)), palette.CLOUD]
    figure = plots.empty(
        height=64 + 44 * len(names),
        margin={"l": 8, "r": 16, "t": 8, "b": 8},
        showlegend=False,
        bargap=0.35,
        barmode="overlay",
    )
    if expected is not None:
        faint = [palette.faint(colour, 0.25) for colour in colours]
        _bars(figure, "Expected", names, expected, faint, note="expected from the trace")
    _bars(figure, "Counted", names, exit_counts, colours, note="counted")
    ends = np.maximum(exit_counts, exit_counts if expected is None else expected)
    figure.add_scatter(
        name="Words",
        mode="text",
        x=ends,
        y=names,
        text=_words(exit_counts, expected),
        textposition="middle right",
        textfont={"color": palette.INK, "size": 13},
        cliponaxis=False,
        hoverinfo="skip",
    )
    quiet = palette.AXES
    # Two fifths of the width are left for the words next to the longest bar, even on a phone.
    figure.update_xaxes(title_text="Images", range=[0, 1.65 * max(1, *ends)], **quiet)
    figure.update_xaxes(nticks=6, tickformat=",d")
    figure.update_yaxes(autorange="reversed", **quiet)
    return figure


def _bars(
    figure: go.Figure,
    name: str,
    exits: Sequence[str],
    counts: Sequence[int],
    colours: Sequence[str],
    *,
    note: str,
) -> None:
    figure.add_bar(
        name=name,
        orientation="h",
        x=np.array(counts),
        y=exits,
        marker={"color": colours},
        hovertemplate="%{y}: %{x:,} images<extra>" + note + "</extra>",
    )


def _words(exit_counts: Sequence[int], expected: Sequence[int] | None) -> list[str]:
    """The words next to the bars, separated from them by a no-break space."""
    if expected is None:
        return [f"\N{NO-BREAK SPACE}{count:,}" for count in exit_counts]
    return [
        f"\N{NO-BREAK SPACE}{n:,} of {of:,}" for n, of in zip(exit_counts, expected, strict=True)
    ]
