"""A kept point with its figures, from the traces on this machine.

found = evaluate(kept)                 # raises HybridError, as where a trace is missing
record(found.view, found.point)        # its fields and figures, numbers as numbers
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid import policy, zoo
from hybrid.text.point import honest
from hybrid.traces.trace import Trace
from hybrid.ui.cache import counted, trace
from hybrid.ui.explore import load
from hybrid.ui.explore.data import ExplorePrices
from hybrid.ui.explore.kept.points import KeptPoint
from hybrid.ui.view import SAME_AS_DEVICE, View
from hybrid.zoo import WEIGHTS, Card

__all__ = ["Evaluated", "as_csv", "as_json", "evaluate", "record"]

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """A kept point with its network's card, trace and prices.

    Without labels, the point is counted against the final exit's answers, as everywhere on Explore.
    """

    kept: KeptPoint
    card: Card
    labelled: bool
    trace: Trace
    prices: ExplorePrices
    point: policy.OperatingPoint

    @property
    def view(self) -> View:
        """The view that was kept."""
        return self.kept.view

    @property
    def by_class(self) -> policy.PerClass:
        """The point by true class."""
        return policy.per_class(
            self.trace, self.view.thresholds, self.view.measure, classes=len(self.card.classes)
        )


def evaluate(kept: KeptPoint) -> Evaluated:
    """The figures of a kept point.

    Raises:
        UnknownNameError, DataMissingError, TraceError: its network, split or trace is not here.
    """
    view = kept.view
    prices, recorded = load.prices(view), counted(view.network, view.variant, view.split)
    return Evaluated(
        kept=kept,
        card=zoo.card(view.network),
        labelled=trace(view.network, view.variant, view.split).labelled,
        trace=recorded,
        prices=prices,
        point=policy.operating_point(
            recorded,
            view.thresholds,
            measure=view.measure,
            costs=prices.costs,
            twin_energy_pj=prices.twin_energy_pj,
            twin_accuracy=prices.twin_accuracy,
        ),
    )


def record(view: View, point: policy.OperatingPoint) -> dict[str, Any]:
    """A point's fields and figures, numbers as numbers; `hybrid evaluate --point` reads it.

    Args:
        point: its accuracy is unknown without labels, see `hybrid.text.point.honest`.
    """
    from hybrid.choosing import PointFile, to_json  # here, because the first figures do not need it

    written = PointFile(
        network=view.network,
        variant=view.variant,
        mode="hybrid",
        bits=view.bits,
        thresholds=view.thresholds,
        measure=view.measure,
        weights_sha256=zoo.card(view.network).recorded[view.variant].files[WEIGHTS],
        profile=view.profile,
        cloud_profile="" if view.cloud == SAME_AS_DEVICE else view.cloud,
        link=view.link,
        scope=view.scope,
        split=view.split,
    )
    shown = {"sliders": view.sliders} | ({"form": view.form} if view.deployed else {})
    return to_json(written) | shown | point.as_row()


def as_json(found: Sequence[Evaluated]) -> str:
    """Kept points as a file that Explore imports; each is a point that the command line reads."""
    return json.dumps({"format": FORMAT, "kept_points": _records(found)}, indent=2)


def as_csv(found: Sequence[Evaluated]) -> str:
    """One row per kept point; a list takes a column for each of its entries."""
    rows = [_flat(one) for one in _records(found)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _records(found: Sequence[Evaluated]) -> list[dict[str, Any]]:
    return [
        {"name": one.kept.name} | record(one.view, honest(one.point, labelled=one.labelled))
        for one in found
    ]


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Entries of a list under their number, from 1: thresholds becomes threshold_1 and so on."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, list):
            flat |= {f"{key.removesuffix('s')}_{i}": one for i, one in enumerate(value, start=1)}
        else:
            flat[key] = value
    return flat
