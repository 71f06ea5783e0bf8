"""A sweep's results: a row per trial in plain values, CSV and JSON. Needs no torch.

Thresholds are chosen on tune, with `RULE`; the figures are those of test.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid import zoo
from hybrid.choosing import Figures, Limits, Point, choose, collect_candidates
from hybrid.evaluation import Prices
from hybrid.files import replacing

__all__ = ["CSV", "FORMAT", "JSON", "MAX_LOSS_POINTS", "RULE", "SweepRow", "priced", "row", "write"]

FORMAT = 1
CSV, JSON = "sweep.csv", "sweep.json"
MAX_LOSS_POINTS = 1.0
RULE = (
    f"the least energy among thresholds that lose at most {MAX_LOSS_POINTS:g} point of accuracy "
    "on tune against the model as given; if none do, the thresholds with the smallest loss"
)
_MODEL = ("static", 32)  # mode and bits of the model as given


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """A trial at its thresholds; figures are for test, means per image.

    Args:
        kept: whether the thresholds meet the limit of `RULE` on tune.
        exit_accuracy: exit name to accuracy on test if every image left there, final last.
        static_accuracy, static_energy_pj: of the static network of the same bits, which has no
            exits and runs on the device; of the model as given if the bits are 32.
        model_accuracy, model_energy_pj: of the model as given.
    """

    network: str
    cut: str
    exits: tuple[str, ...]
    bits: int
    seed: int
    thresholds: tuple[float, ...]
    kept: bool
    edge_fraction: float
    accuracy: float
    energy_pj: float
    uplink_bytes: float
    edge_memory_kib: float
    exit_accuracy: dict[str, float]
    static_accuracy: float
    static_energy_pj: float
    model_accuracy: float
    model_energy_pj: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = dict(vars(self))
        return values | {"exits": list(self.exits), "thresholds": list(self.thresholds)}


def row(network: str, bits: int, *, seed: int) -> SweepRow:
    """The row of a finished trial.

    Raises:
        UnknownNameError, TraceError, WeightsError: it is missing or damaged.
    """
    card = zoo.card(network)
    field = collect_candidates([network])
    limits = Limits(max_loss_points=MAX_LOSS_POINTS, confidence=None)
    standings = choose(field, limits, Prices()).ranking
    found = {(one.point.mode, one.point.bits): one for one in standings}
    hybrid, static, model = (found[key] for key in (("hybrid", bits), ("static", bits), _MODEL))
    point, figures = hybrid.point, _test(hybrid.point)
    names, right = _exits(card, point)
    return SweepRow(
        network=network,
        cut=card.stage_names[card.cut],
        exits=names[:-1],
        bits=bits,
        seed=seed,
        thresholds=point.thresholds,
        kept=hybrid.kept,
        edge_fraction=figures.edge_fraction,
        accuracy=figures.accuracy,
        energy_pj=figures.energy_pj,
        uplink_bytes=figures.uplink_bytes,
        edge_memory_kib=figures.edge_memory_kib,
        exit_accuracy=dict(zip(names, right, strict=True)),
        static_accuracy=_test(static.point).accuracy,
        static_energy_pj=_test(static.point).energy_pj,
        model_accuracy=_test(model.point).accuracy,
        model_energy_pj=_test(model.point).energy_pj,
    )


def priced() -> dict[str, str]:
    """The hardware profile, link and scope of the energies."""
    prices = Prices()
    return {"profile": prices.profile.name, "link": prices.link.name, "scope": prices.scope}


def write(rows: Sequence[SweepRow], folder: Path, *, about: dict[str, Any]) -> dict[str, Any]:
    """Write the rows as CSV and JSON to a folder; returns the JSON's values.

    Args:
        about: the sweep's request, skipped and failed trials, in plain values.
    """
    head = {"format": FORMAT} | about | priced() | {"split": "test", "rule": RULE}
    values = head | {"trials": [one.to_dict() for one in rows]}
    with replacing(folder / JSON) as path:
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
    with replacing(folder / CSV) as path:
        path.write_text(_csv(rows), "utf-8", newline="")
    return values


def _test(point: Point) -> Figures:
    assert point.test is not None  # a trial records it
    return point.test


def _exits(card: zoo.Card, point: Point) -> tuple[tuple[str, ...], tuple[float, ...]]:
    variant = card.variants[point.variant]
    return variant.exit_names, variant.accuracy["test"]


def _csv(rows: Sequence[SweepRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index, one in enumerate(rows):
        values = one.to_dict() | {
            "exits": " ".join(one.exits),
            "thresholds": " ".join(map(repr, one.thresholds)),
            "exit_accuracy": " ".join(f"{n}={a!r}" for n, a in one.exit_accuracy.items()),
        }
        if not index:
            writer.writerow(values)
        writer.writerow(values.values())
    return text.getvalue()
