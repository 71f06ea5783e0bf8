"""How long answers took, beside what the profiles promise."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from hybrid.deploy.measuring.measure import LIMITS_MS, AtExit
from hybrid.ui import palette, plots
from hybrid.zoo import exit_labels

__all__ = ["latencies"]


def latencies(exits: tuple[AtExit, ...]) -> go.Figure:
    """Answers by the time that they took, a line per exit, and what is promised as a dotted one."""
    figure = plots.empty(height=250, legend=plots.legend(traceorder="normal"))
    early = len(exits) - 1
    colours = [*(palette.exit_colour(i) for i in range(early)), palette.CLOUD]
    most = 1
    for name, colour, one in zip(exit_labels(early), colours, exits, strict=True):
        if one.total is None:
            continue
        counts = np.array(one.total.histogram)
        most = max(most, int(counts.max()))
        _steps(figure, name, colour, counts)
    for colour, one in zip(colours, exits, strict=True):
        if one.images:
            line = {"color": colour, "dash": "dot", "width": 2}
            figure.add_vline(x=np.log10(max(one.promised_ms, LIMITS_MS[0])), line=line)
    limits = [0.01, 0.1, 1, 10, 100, 1000, 10_000]
    figure.update_xaxes(
        title_text="Milliseconds until the answer (log)",
        tickvals=np.log10(limits),
        ticktext=[f"{one:g}" for one in limits],
        **palette.AXES,
    )
    figure.update_yaxes(title_text="Images", range=[0, 1.1 * most], **palette.AXES)
    return figure


def _steps(figure: go.Figure, name: str, colour: str, counts: np.ndarray) -> None:
    """A histogram over LIMITS_MS, drawn over the logarithm so that its steps are even."""
    edges = np.log10([LIMITS_MS[0] / 2, *LIMITS_MS, 2 * LIMITS_MS[-1]])
    seen = np.flatnonzero(counts)
    first, last = max(0, seen[0] - 1), min(len(counts), seen[-1] + 2)
    shown = np.append(counts[first:last], 0)
    figure.add_scatter(
        name=name,
        x=edges[first : last + 1],
        y=shown,
        mode="lines",
        line={"shape": "hv", "color": colour, "width": 2},
        fill="tozeroy",
        fillcolor=palette.faint(colour, 0.15),
        hovertemplate="%{y:,} images<extra>" + name + "</extra>",
    )


def commands(bundle: str, options: Mapping[str, str]) -> str:
    """The commands for two machines."""
    words = " ".join(f"{name} {value}" for name, value in options.items())
    return (
        f"hybrid export {words} --out {bundle}\n"
        f"hybrid cloud {bundle} --host 0.0.0.0 --token-file token --tls-cert cert.pem "
        "--tls-key key.pem   # on the server\n"
        f"hybrid edge {bundle} --watch incoming --cloud https://SERVER:8000 --token-file token "
        "--ca cert.pem   # on the device"
    )
