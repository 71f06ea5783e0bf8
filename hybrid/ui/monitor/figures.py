"""A monitor's evidence, what is certified, and exits and confidences beside the trace's."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from hybrid.monitor.plan import Plan
from hybrid.monitor.recertify import Window
from hybrid.monitor.watch import Status
from hybrid.ui import palette, plots

__all__ = ["certified", "evidence", "exits"]

_LEGEND = plots.legend(itemclick=False, traceorder="normal")
_LEAST_LOG10 = -4.0  # evidence below this is drawn here: there is none


def evidence(status: Status, plan: Plan) -> go.Figure:
    """The evidence against the promise after every image, with its alarm lines."""
    images, wealth, recent = np.array(status.history).T
    figure = plots.empty(height=340, legend=_LEGEND)
    lines = (
        ("Evidence", wealth, -np.log10(plan.alpha), palette.CLOUD),
        ("Restarting test", recent, np.log10(plan.run_length), palette.exit_colour(1)),
    )
    for name, logs, limit, colour in lines:
        figure.add_scatter(
            x=images,
            y=np.maximum(logs, _LEAST_LOG10),
            name=name,
            mode="lines",
            line={"color": colour, "width": 2},
            hovertemplate="%{y:.2f}",
        )
        figure.add_scatter(
            x=images[[0, -1]],
            y=np.array([limit, limit]),
            name=f"{name}: alarm",
            mode="lines",
            line={"color": colour, "width": 1, "dash": "dash"},
            hoverinfo="skip",
        )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title_text="Images", **palette.AXES)
    figure.update_yaxes(title_text="Evidence (powers of ten)", **palette.AXES)
    return figure


def certified(windows: Sequence[Window], plan: Plan) -> go.Figure:
    """The bound of each window of images beside the promise."""
    figure = plots.empty(height=280, legend=_LEGEND)
    ends = np.array([one.end for one in windows])
    for name, values, symbol in (
        ("Certified: at most", [one.bound for one in windows], "triangle-down"),
        ("Estimated from the audits", [max(0.0, one.observed) for one in windows], "circle"),
    ):
        figure.add_scatter(
            x=ends,
            y=100 * np.array(values),
            name=name,
            mode="lines+markers",
            marker={"symbol": symbol, "size": 8},
            line={"color": palette.CLOUD if symbol == "circle" else palette.INK, "width": 1},
            hovertemplate="%{y:.2f} %",
        )
    figure.add_scatter(
        x=np.array([0, ends[-1]]),
        y=np.full(2, 100 * plan.promise.epsilon),
        name="Promised: at most",
        mode="lines",
        line={"color": palette.WRONG, "width": 1, "dash": "dash"},
        hovertemplate="%{y:.2f} %",
    )
    figure.update_xaxes(title_text="Images", rangemode="tozero", **palette.AXES)
    figure.update_yaxes(
        title_text="Answers that differ from the cloud's (%)", rangemode="tozero", **palette.AXES
    )
    return figure


def exits(status: Status, names: Sequence[str]) -> go.Figure:
    """The share of the images that each exit answers, on the device and in the trace."""
    seen = status.diagnostics
    figure = plots.empty(height=280, legend=_LEGEND)
    for name, shares, colour in (
        ("Device", seen.exit_shares, palette.CLOUD),
        ("Trace", seen.trace_exit_shares, palette.faint(palette.INK)),
    ):
        figure.add_bar(
            x=list(names),
            y=100 * shares,
            name=name,
            marker={"color": colour},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_xaxes(type="category", **palette.AXES)
    figure.update_yaxes(title_text="Images (%)", rangemode="tozero", **palette.AXES)
    return figure
