"""Hybrids next to static networks: one small figure per scope and profile, on one sheet."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hybrid.choosing.baselines import Curve, PricedCurves
from hybrid.ui import palette

__all__ = ["sheet"]

UJ = 1e6  # pJ in a µJ
_SYMBOLS = {1: "circle", 2: "square", 3: "triangle-up", 4: "diamond", 8: "star", 32: "x"}


def sheet(priced_curves: Sequence[PricedCurves]) -> go.Figure:
    """Accuracy over energy per image (log axis): hybrids as lines, statics as large symbols.

    Args:
        priced_curves: of one network; a row per scope and a column per profile.
    """
    scopes = list(dict.fromkeys(curves.scope for curves in priced_curves))
    profiles = list(dict.fromkeys(curves.profile for curves in priced_curves))
    titles = [f"{curves.scope}, {curves.profile}" for curves in priced_curves]
    figure = make_subplots(
        rows=len(scopes),
        cols=len(profiles),
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.12,
    )
    for index, curves in enumerate(priced_curves):
        place = {
            "row": scopes.index(curves.scope) + 1,
            "col": profiles.index(curves.profile) + 1,
        }
        for number, curve in enumerate(curves.hybrids):
            figure.add_trace(_line(curve, number, named=index == 0), **place)
        for curve in curves.statics:
            figure.add_trace(_symbol(curve, named=index == 0), **place)
    figure.update_xaxes(type="log", title_text="µJ an image", dtick="D2", title_standoff=4)
    figure.update_yaxes(title_text="accuracy, %", col=1)
    figure.update_layout(
        template="none",
        legend={"orientation": "h", "y": -0.09},
        height=320 * len(scopes),
        margin={"l": 60, "r": 20, "t": 40, "b": 60},
    )
    return figure


def _line(curve: Curve, number: int, *, named: bool) -> go.Scatter:
    bits = curve.variant.bits
    return go.Scatter(
        x=curve.energy_pj / UJ,
        y=100 * curve.accuracy,
        mode="lines",
        name=f"hybrid {bits} bit",
        legendgroup=curve.variant.name,
        showlegend=named,
        line={"color": palette.exit_colour(number), "width": 2, "dash": _dash(number)},
    )


def _dash(number: int) -> str:
    return "solid" if number < len(palette.SLOTS) - 6 else "dash"


def _symbol(curve: Curve, *, named: bool) -> go.Scatter:
    bits = curve.variant.bits
    title = "full-precision twin" if bits == 32 else f"static {bits} bit"
    return go.Scatter(
        x=curve.energy_pj / UJ,
        y=100 * curve.accuracy,
        mode="markers",
        name=title,
        legendgroup=curve.variant.name,
        showlegend=named,
        marker={
            "size": 12,
            "symbol": _SYMBOLS.get(bits, "hexagon"),
            "color": palette.TWIN_COLOUR if bits == 32 else palette.INK,
        },
    )
