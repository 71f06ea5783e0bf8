"""Explore's five figures at a view, kept for all sessions.

    drawn = drawing.figure("flow", view)
    point = drawing.operating_point(view)

A visitor without a link sees figures that are drawn before the first one comes.
"""

from collections.abc import Callable

from hybrid import policy
from hybrid.text.point import against
from hybrid.ui.cache import cached
from hybrid.ui.explore import figures, load, shares
from hybrid.ui.explore.data import ExploreData
from hybrid.ui.view import View

__all__ = ["FOLLOWS", "figure", "operating_point"]


_ENTRIES = 40  # eight openings; a figure has up to 230 kB

# The fields of the view, besides the images, at whose change a figure is drawn again in a browser
# that follows the others by itself.
FOLLOWS: dict[str, tuple[str, ...]] = {
    "tradeoff": ("profile", "link", "scope"),
    "flow": (),
    "threshold": ("sliders",),
    "parts": ("profile", "link", "scope"),
    "classes": (),
}


@cached(entries=_ENTRIES, files=lambda _, view: load.all_files(view))
def figure(key: str, view: View) -> figures.Figure:
    """One of FOLLOWS at the view's thresholds.

    Raises:
        DataMissingError, TraceError: no trace of this bit width, or a damaged one.
    """
    return _FIGURES[key](view, load.explore_data(view), operating_point(view))


def operating_point(view: View) -> policy.OperatingPoint:
    """The operating point at the view's thresholds.

    Raises:
        DataMissingError, TraceError: as `figure`.
    """
    data = load.explore_data(view)
    return policy.operating_point(
        data.trace,
        view.thresholds,
        measure=view.measure,
        costs=data.prices.costs,
        twin_energy_pj=data.prices.twin_energy_pj,
        twin_accuracy=data.prices.twin_accuracy,
    )


def _tradeoff(view: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figure:
    """Accuracy against energy."""
    scale_pj, unit = data.energy_unit
    return figures.tradeoff(
        load.frontiers(view),
        data.statics,
        bits=view.bits,
        energy_pj=point.energy_pj,
        accuracy=point.outcome.accuracy,
        scale_pj=scale_pj,
        unit=unit,
        labelled=data.labelled,
    )


def _flow(_: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figure:
    """Where images stop."""
    return shares.flow(point.outcome, labelled=data.labelled)


def _parts(view: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figure:
    """Energy by part of the network."""
    scale_pj, unit = data.energy_unit
    return shares.by_part(
        data.prices.mean_parts(point.outcome),
        data.prices.twin_parts,
        scale_pj=scale_pj,
        unit=unit,
        energy_range=data.ranges.parts,
        beside=against(view.scope).capitalize(),
    )


def _classes(view: View, data: ExploreData, _: policy.OperatingPoint) -> figures.Figure:
    """Exits and accuracy by class."""
    classes = data.card.classes
    counted = policy.per_class(data.trace, view.thresholds, view.measure, classes=len(classes))
    return shares.per_class(counted, classes, labelled=data.labelled)


def _threshold(view: View, data: ExploreData, point: policy.OperatingPoint) -> figures.Figure:
    """Accuracy and edge fraction as each exit's threshold moves, the others fixed."""
    exits = [] if view.together else range(view.early_exits)
    # Without height: the follower opens it once it has the bounds, for which no figure waits.
    final = float(data.trace.correct[:, -1].mean())
    below = final - data.together.accuracy
    area = figures.certified_area(data.together, below, final_exit_accuracy=final)
    alone = [
        policy.sweep(
            data.trace,
            measure=view.measure,
            exit=number,
            others=view.thresholds,
            grid=data.together.grid,
        )
        for number in exits
    ]
    return figures.over_threshold(
        data.together,
        alone,
        thresholds=view.thresholds[: len(alone) or 1],
        accuracy=point.outcome.accuracy,
        edge_fraction=point.outcome.edge_fraction,
        twin_accuracy=data.prices.twin_accuracy,
        accuracy_range=data.ranges.accuracy,
        area=area,
        labelled=data.labelled,
    )


_FIGURES: dict[str, Callable[[View, ExploreData, policy.OperatingPoint], figures.Figure]] = {
    "tradeoff": _tradeoff,
    "flow": _flow,
    "threshold": _threshold,
    "parts": _parts,
    "classes": _classes,
}
