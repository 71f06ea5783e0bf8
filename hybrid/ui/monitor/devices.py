"""The devices that the page watches: an uploaded one, or one made up at the present point."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from hybrid import data, zoo
from hybrid.certificates import disagreements
from hybrid.data.corruptions import corrupt
from hybrid.errors import LineError
from hybrid.monitor.plan import Plan, Promise, make_plan
from hybrid.monitor.simulate import simulated
from hybrid.monitor.source import stream
from hybrid.monitor.watch import Monitor, Status
from hybrid.traces.trace import Trace
from hybrid.ui import running
from hybrid.ui.cache import cached, trace, trace_file
from hybrid.ui.uploads import StoredUpload
from hybrid.ui.view import DEFAULT_SPLIT, View

__all__ = ["IMAGES", "MOST_LINES", "made_up", "plan_at", "usual", "watched"]

IMAGES = 40_000  # of a made-up device
MOST_LINES = 5_000_000  # of an upload: what 500 MB hold, so that short lines take no longer
_CHANGES_AT = 10_000
_CORRUPTED = 300  # images that are corrupted and run
_CORRUPTED_AT_ONCE = 25
_MOST_PERCENT = 99.0


def watched(plan: Plan, content: bytes | StoredUpload) -> Status:
    """The status after the lines of an uploaded file, of which only some are in memory at once.

    Raises:
        LineError: more lines than are read.
    """
    monitor, left = Monitor(plan), MOST_LINES
    with io.BytesIO(content) if isinstance(content, bytes) else content.open() as file:
        for batch in stream(file):
            left -= len(batch.texts)
            if left < 0:
                raise LineError(
                    f"The file has more than {MOST_LINES:,} lines, the most that a page reads; "
                    "upload a part of it, or use `hybrid monitor`, which has no limit."
                )
            monitor.read(batch.texts, last_is_whole=batch.last_is_whole)
    return monitor.status()


def usual(view: View) -> tuple[float, float]:
    """The disagreement on tune, and a promise to start with: a quarter and a point above, in %."""
    tune = trace(view.network, view.variant, "tune")
    seen = float(disagreements(tune, view.thresholds, view.measure).mean())
    return seen, min(_MOST_PERCENT, float(math.ceil(125 * seen + 1)))


def _tune(network: str, variant: str, *_: object) -> tuple[Path]:
    return trace_file(network, variant, "tune")


@cached(entries=16, files=_tune)
def plan_at(
    network: str, variant: str, thresholds: tuple[float, ...], measure: str, epsilon: float
) -> Plan:
    """The plan of a device at these thresholds, with a promise that was set by hand."""
    guide = trace(network, variant, "tune")
    return make_plan(
        guide,
        thresholds,
        Promise(epsilon=epsilon),
        bundle=guide.weights_sha256,
        network=network,
        variant=variant,
        measure=measure,
        window=_CHANGES_AT,
    )


@cached(entries=16)
def made_up(plan: Plan, corruption: str, strength: int) -> Status:
    """The status of a device whose images are corrupted after the first 10,000.

    Raises:
        DataMissingError, TraceError, WeightsError: there is no trace, or nothing to run.
    """
    clean = trace(plan.network, plan.variant, DEFAULT_SPLIT)
    worse = clean
    if strength:
        worse = corrupted(plan.network, plan.variant, corruption, strength)
    rng, monitor = np.random.default_rng(0), Monitor(plan)
    monitor.add(simulated(plan, clean, images=_CHANGES_AT, rng=rng, name="before"))
    monitor.add(simulated(plan, worse, images=IMAGES - _CHANGES_AT, rng=rng, name="after"))
    return monitor.status()


@cached(entries=32, files=lambda network, variant, *_: (zoo.weights_path(network, variant),))
def corrupted(network: str, variant: str, corruption: str, strength: int) -> Trace:
    """The trace of some corrupted test images; other sessions run in between."""
    from hybrid.inference.record import exit_logits, trace_of

    card, loaded = zoo.card(network), running.network(network, variant)
    test = data.load(card.dataset, DEFAULT_SPLIT, size=card.size, channels=card.channels)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(test.labels))[:_CORRUPTED]
    images = corrupt(test.images[rows], corruption, strength, rng)
    parts = []
    for start in range(0, len(rows), _CORRUPTED_AT_ONCE):
        part = slice(start, start + _CORRUPTED_AT_ONCE)
        with running.gate():
            some = replace(test, images=images[part], labels=test.labels[rows[part]])
            parts.append(exit_logits(loaded, some))
    return trace_of(
        loaded,
        parts,
        labels=test.labels[rows],
        name=network,
        variant=variant,
        split=DEFAULT_SPLIT,
        weights_sha256=trace(network, variant, DEFAULT_SPLIT).weights_sha256,
    )
