"""The figures of Choose: all candidates, those within the limits, and the energy models.

Energies are drawn in the unit the axis names, losses in points. Colours are slots of
`hybrid.ui.palette`, so one specification serves both themes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from hybrid.choosing import Answer, Decided, LossCurve, ParetoSet, Point, ProfileCheck
from hybrid.text import candidate, choice, numbers
from hybrid.ui import palette, plots

__all__ = ["CURVES", "MODE_COLOURS", "axes", "loss_curve", "profiles", "trade"]

Floats = npt.NDArray[np.float64]

MODE_COLOURS = {
    "hybrid": palette.exit_colour(0),
    "edge": palette.exit_colour(1),
    "static": palette.TWIN_COLOUR,
    "cloud": palette.CLOUD,
}
CURVES = ("With the certificate", "Without it")
_SYMBOLS = {"hybrid": "circle", "edge": "square", "static": "diamond", "cloud": "star"}
_QUIET = palette.AXES
_AROUND = 5  # times the limit of loss are seen at first
_DOTS = {"This choice": "circle", "Best there": "diamond-open"}
_WIDE = 20  # times from the least to the most: a log axis
_WIDE_CURVE = 5  # likewise: ticks at 1, 2 and 5 only
_TICKS = 5  # of an axis of the parallel coordinates


def trade(pareto_sets: Sequence[ParetoSet], answer: Answer) -> go.Figure:
    """Accuracy lost against energy per image: points within every limit filled, the rest faint.

    The choice has a ring, and so has the one without the certificate. Each point's `customdata`
    tells which row of which candidate it is.
    """
    scale_pj, unit = _unit(pareto_sets)
    figure = plots.empty(height=420)
    for number, one in enumerate(pareto_sets):
        figure.add_trace(_candidate(one, number, scale_pj, unit))
    figure.add_traces([_key(mode) for mode in sorted({one.mode for one in pareto_sets})])
    if answer.without is not None and answer.decided is Decided.CERTIFICATE:
        figure.add_trace(_ring("Without certificate", answer.without, scale_pj, palette.INK))
    if answer.best is not None:
        figure.add_trace(_ring("The choice", answer.best, scale_pj, palette.WRONG))
    limits = answer.limits
    line = {"color": palette.INK, "width": 1.5, "dash": "dot"}
    if limits.max_energy_uj is not None:
        figure.add_vline(x=limits.max_energy_uj * 1e6 / scale_pj, line=line)
    if limits.max_loss_points is not None:
        figure.add_hline(y=limits.max_loss_points, line=line)
    figure.update_xaxes(
        title_text=f"Energy per image ({answer.scope}, {unit}, log)",
        type="log",
        dtick="D2",
        tickformat="~g",
        **_QUIET,
    )
    figure.update_yaxes(
        title_text="Accuracy lost on tune (points)", range=_losses(pareto_sets, answer), **_QUIET
    )
    figure.update_layout(hovermode="closest", dragmode="pan", legend=plots.legend())
    return figure


def axes(pareto_sets: Sequence[ParetoSet], answer: Answer) -> go.Figure:
    """All candidates as lines over parallel axes; dragging along an axis filters them.

    Blue lines meet every limit that can be checked on tune; the choice is red.
    """
    scale_pj, unit = _unit(pareto_sets)
    modes = [mode for mode in MODE_COLOURS if any(one.mode == mode for one in pareto_sets)]
    bits = sorted({one.bits for one in pareto_sets})
    columns: list[dict[str, Any]] = [
        _named("Mode", [modes.index(one.mode) for one in pareto_sets], pareto_sets, modes),
        _named("Bits", [bits.index(one.bits) for one in pareto_sets], pareto_sets, bits),
        _axis("Lost (points)", _column(pareto_sets, "loss_points")),
        _axis(f"Energy ({unit})", _column(pareto_sets, "energy_uj") * 1e6 / scale_pj, log=True),
        _axis("Latency (ms)", _column(pareto_sets, "latency_ms"), log=True),
        _axis("Uplink (B)", _column(pareto_sets, "uplink_bytes")),
        _axis("Memory (KiB)", _column(pareto_sets, "edge_memory_kib")),
    ]
    if all("days" in one.figures for one in pareto_sets):
        columns.append(_axis("Days", _column(pareto_sets, "days"), log=True))
    names = sorted({one.network for one in pareto_sets})
    if len(names) > 1:
        places = [names.index(one.network) for one in pareto_sets]
        columns.insert(0, _named("Network", places, pareto_sets, names))
    over = np.concatenate([one.over for one in pareto_sets])
    shade = np.where(over == 0, 1.0, 0.0)
    chosen = _chosen_rows(pareto_sets, answer.best)
    shade[chosen] = 2.0
    order = np.argsort(shade, kind="stable")  # the last line drawn is on top
    for column in columns:
        column["values"] = column["values"][order]
    # a name stands left of the first axis, at 6 pixels a letter
    left = 12 + 6 * max(map(len, names)) if len(names) > 1 else 40
    figure = plots.empty(height=380, margin={"l": left, "r": 64, "t": 76, "b": 16})
    figure.add_trace(
        go.Parcoords(
            dimensions=columns,
            line={
                "color": shade[order],
                "cmin": 0,
                "cmax": 2,
                "colorscale": [
                    [0, palette.LINE], [0.25, palette.LINE],
                    [0.25, MODE_COLOURS["hybrid"]], [0.75, MODE_COLOURS["hybrid"]],
                    [0.75, palette.WRONG], [1, palette.WRONG],
                ],
            },
            labelangle=-30,  # on a phone, labels side by side would overlap
            labelfont={"color": palette.INK, "size": 12},
            tickfont={"color": palette.INK, "size": 10},
            rangefont={"color": palette.TWIN_COLOUR, "size": 1},
            unselected={"line": {"color": palette.LINE, "opacity": 0.12}},
        )
    )  # fmt: skip
    return figure


def loss_curve(curve: LossCurve, limit: float | None) -> go.Figure:
    """Least energy over the loss allowed, with and without the certificate.

    Args:
        limit: the limit of loss that is set; marked.
    """
    both = np.concatenate([curve.certified_energy_pj, curve.uncertified_energy_pj])
    found = both[np.isfinite(both)]
    scale_pj, unit = numbers.energy_unit(float(np.median(found)) if len(found) else 1e6)
    figure = plots.empty(height=320)
    for title, energy_pj, look in (
        (CURVES[0], curve.certified_energy_pj, {"color": palette.exit_colour(0)}),
        (CURVES[1], curve.uncertified_energy_pj, {"color": palette.TWIN_COLOUR, "dash": "dash"}),
    ):
        if np.isfinite(energy_pj).any():
            figure.add_trace(_steps(title, curve.allowed_points, energy_pj / scale_pj, unit, look))
    if limit is not None:
        line = {"color": palette.INK, "width": 1.5, "dash": "dot"}
        figure.add_vline(x=limit, line=line)
    figure.update_xaxes(title_text="Accuracy that may be lost (points)", **_QUIET)
    wide = len(found) > 0 and found.max() > _WIDE_CURVE * found.min()
    figure.update_yaxes(
        title_text=f"Least energy per image ({unit}, log)", type="log",
        dtick="D2" if wide else "D1", tickformat="~g", **_QUIET,
    )  # fmt: skip
    figure.update_layout(hovermode="closest", dragmode=False, legend=plots.legend())
    return figure


def profiles(found: Sequence[ProfileCheck]) -> go.Figure:
    """Energy of the first choice under each energy model, next to that model's own choice."""
    figure = plots.empty(height=90 + 34 * len(found))
    names = [one.profile for one in found]
    own = np.array([one.own.tune.energy_pj / 1e6 for one in found])
    best = np.array([one.best.tune.energy_pj / 1e6 if one.best else np.nan for one in found])
    dots = (
        ("This choice", own, palette.exit_colour(0), [choice.verdict(one) for one in found]),
        (
            "Best there",
            best,
            palette.TWIN_COLOUR,
            [candidate.name(one.best) if one.best else "none" for one in found],
        ),
    )
    for title, values, colour, words in dots:
        figure.add_trace(
            go.Scatter(
                name=title,
                mode="markers",
                y=names,
                x=values,
                customdata=words,
                marker={"color": colour, "size": 13, "symbol": _DOTS[title]},
                hovertemplate="%{y}: %{x:,.3~r} µJ<br>%{customdata}<extra>" + title + "</extra>",
                cliponaxis=False,
            )
        )
    finite = [value for value in (*own, *best) if value > 0]  # not a number is not more than 0
    wide = bool(finite) and max(finite) > _WIDE * min(finite)
    if wide:
        figure.update_xaxes(type="log", dtick="D2", tickformat="~g")
    else:
        figure.update_xaxes(rangemode="tozero")
    unit = "µJ, log" if wide else "µJ"
    figure.update_xaxes(title_text=f"Energy per image ({unit})", **_QUIET)
    figure.update_yaxes(autorange="reversed", **_QUIET)
    figure.update_layout(legend=plots.legend())
    return figure


def _key(name: str) -> go.Scatter:
    """A mode's entry in the legend, drawn like a point that meets the limits."""
    marker = {"symbol": _SYMBOLS[name], "size": 8, "color": MODE_COLOURS[name]}
    return go.Scatter(x=[None], y=[None], name=name.capitalize(), mode="markers", marker=marker)


def _steps(
    title: str, allowed: Floats, energies: Floats, unit: str, look: dict[str, Any]
) -> go.Scatter:
    """A curve that keeps its value up to the next loss."""
    return go.Scatter(
        name=title,
        x=allowed,
        y=energies,
        mode="lines+markers",
        line=look | {"shape": "hv", "width": 2},
        marker={"size": 8},
        hovertemplate=f"%{{x:.2~f}} points allowed: %{{y:,.3~r}} {unit}<extra>{title}</extra>",
        cliponaxis=False,
    )


def _candidate(one: ParetoSet, number: int, scale_pj: float, unit: str) -> go.Scatter:
    colour = MODE_COLOURS[one.mode]
    keeps = one.over == 0
    where = [candidate.thresholds(row) or "no threshold" for row in one.thresholds.tolist()]
    bits = "" if one.mode == "cloud" else f" {one.bits} bit"
    return go.Scatter(
        x=one.figures["energy_uj"] * 1e6 / scale_pj,
        y=one.figures["loss_points"],
        customdata=[[number, row, at] for row, at in enumerate(where)],
        name=one.mode.capitalize(),
        showlegend=False,
        mode="lines+markers",
        line={"color": palette.faint(colour, 0.35), "width": 1},
        marker={
            "symbol": _SYMBOLS[one.mode],
            "size": np.where(keeps, 8, 5),
            "color": [colour if kept else palette.faint(colour, 0.3) for kept in keeps],
        },
        hovertemplate=f"{one.network}, {one.mode}{bits}<br>%{{customdata[2]}}<br>"
        f"%{{x:,.3~r}} {unit}, %{{y:.2f}} points lost<extra></extra>",
        cliponaxis=False,
    )


def _ring(name: str, point: Point, scale_pj: float, colour: str) -> go.Scatter:
    return go.Scatter(
        x=np.array([point.tune.energy_pj / scale_pj]),
        y=np.array([point.tune.loss_points]),
        name=name,
        mode="markers",
        marker={
            "symbol": "circle-open",
            "size": 18,
            "color": colour,
            "line": {"color": colour, "width": 3},
        },
        hovertemplate=f"{name}: {candidate.short(point)}<extra></extra>",
        cliponaxis=False,
    )


def _losses(pareto_sets: Sequence[ParetoSet], answer: Answer) -> list[float]:
    """The range shown at first: around the limit if there is one; the rest can be panned to."""
    losses = _column(pareto_sets, "loss_points")
    low, high = float(losses.min()), float(losses.max())
    limit = answer.limits.max_loss_points
    if limit is not None:
        high = min(high, max(_AROUND * limit, low + 1))
    room = 0.06 * (high - low or 1)
    return [low - room, high + room]


def _chosen_rows(pareto_sets: Sequence[ParetoSet], best: Point | None) -> npt.NDArray[np.bool_]:
    """The row of the choice among all rows, or the nearest row of its candidate."""
    rows = [np.zeros(len(one.over), np.bool_) for one in pareto_sets]
    if best is not None:
        for one, mask in zip(pareto_sets, rows, strict=True):
            if (one.network, one.mode, one.variant) == best.candidate:
                apart = np.abs(one.figures["energy_uj"] - best.tune.energy_pj / 1e6)
                mask[int(np.argmin(apart))] = True
    return np.concatenate(rows)


def _column(pareto_sets: Sequence[ParetoSet], name: str) -> Floats:
    return np.concatenate([one.figures[name] for one in pareto_sets])


def _named(
    label: str, places: Sequence[int], pareto_sets: Sequence[ParetoSet], words: Sequence[object]
) -> dict[str, Any]:
    sizes = [len(one.over) for one in pareto_sets]
    return {
        "label": label,
        "values": np.repeat(np.array(places, np.float64), sizes),
        "tickvals": list(range(len(words))),
        "ticktext": [str(word) for word in words],
        "range": [-0.3, max(len(words) - 1, 0) + 0.3],
    }


def _axis(label: str, values: Floats, *, log: bool = False) -> dict[str, Any]:
    """An axis of numbers; on a log scale the ticks are still labelled with the numbers."""
    finite = np.where(np.isfinite(values), values, np.nan)
    shown = np.log10(np.maximum(finite, 1e-6)) if log else finite
    top = np.nanmax(shown) if np.isfinite(shown).any() else 0.0
    shown = np.where(np.isnan(shown), top, shown)
    ticks = np.linspace(shown.min(), shown.max(), _TICKS)
    said = 10**ticks if log else ticks
    return {
        "label": label,
        "values": shown,
        "tickvals": ticks.tolist(),
        "ticktext": [_tick(float(value)) for value in said],
    }


def _tick(value: float) -> str:
    """A tick label of two significant digits: on a phone an axis has 40 pixels for labels.

    >>> _tick(0.05123), _tick(-12.4), _tick(1234), _tick(98_765)
    ('0.051', '-12', '1.2k', '99k')
    """
    if abs(value) >= 999.5:
        return f"{float(f'{value / 1000:.2g}'):g}k"
    return f"{float(f'{value:.2g}'):g}"


def _unit(pareto_sets: Sequence[ParetoSet]) -> tuple[float, str]:
    """Size in pJ and name of the unit that suits the median of the energies drawn."""
    return numbers.energy_unit(float(np.median(_column(pareto_sets, "energy_uj"))) * 1e6)
