"""A session's live run: its settings, the job that does it, and its results in words."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from hybrid.inference import live
from hybrid.inference.live import (
    AgainstEverything,
    AgainstTrace,
    LiveRequest,
    Progress,
    RecentImage,
)
from hybrid.text import glossary, numbers
from hybrid.ui import jobs, running
from hybrid.ui.charts import Box
from hybrid.ui.jobs import Job, Report, Turns
from hybrid.ui.view import DEFAULT_SPLIT, View

__all__ = [
    "LiveRun",
    "agreement",
    "counts_words",
    "elsewhere",
    "elsewhere_words",
    "measurement",
    "recent_words",
    "request_of",
    "savings",
    "setting",
    "start",
]


KIND = "live run"  # of the jobs


@dataclass(frozen=True, kw_only=True)
class LiveRun:
    """A run: the view it was started from, the request, the job."""

    view: View
    request: LiveRequest
    job: Job

    def priced_as(self, view: View) -> "LiveRun":
        """The same run at the prices of another view."""
        asked = ("profile", "cloud", "link", "scope")
        priced = replace(self.view, **{name: getattr(view, name) for name in asked})
        return replace(self, view=priced)


def request_of(view: View, batch: int = 1, engine: str = "") -> LiveRequest:
    """The view's network over the test split at the view's thresholds.

    Args:
        engine: of a deployment form, by its name; empty for the fastest.
    """
    return LiveRequest(
        network=view.network,
        variant=view.variant,
        split=DEFAULT_SPLIT,
        thresholds=view.thresholds,
        measure=view.measure,
        batch=batch,
        engine=engine if view.deployed else "",
    )


def start(view: View, batch: int, engine: str = "") -> LiveRun:
    """Submit a run to the pool."""
    request, gate = request_of(view, batch, engine), running.gate()
    job = jobs.pool().start(
        lambda report: _work(request, gate, report),
        key=(KIND, setting(view), uuid.uuid4().hex),
        wanted=jobs.tab_is_open(),
    )
    return LiveRun(view=view, request=request, job=job)


def elsewhere(own: Job | None) -> list[tuple[str, Job]]:
    """The live runs of other sessions and tabs that have not ended: the setting, and the job."""
    return [(job.key[1], job) for job in jobs.pool().alike(KIND) if job is not own]


def elsewhere_words(settings: str, job: Job) -> str:
    """Another session's run in a sentence."""
    progress: Progress | None = job.progress
    if progress is None:
        return f"A live run of {settings} waits in another tab or session."
    return (
        f"A live run of {settings} goes on in another tab or session: "
        f"{numbers.count(progress.done)} of {numbers.count(progress.samples)} images. Both share "
        "this machine, so each is slower."
    )


def _work(request: LiveRequest, gate: Turns, report: Report) -> None:
    jobs.spare_a_core()
    from hybrid.deploy.network import load_variant  # torch: only where a network is really run

    network, dataset = live.load(request, partial(load_variant, engine=request.engine))
    for progress in live.run(network, dataset, request, gate=gate):
        report(progress)


def setting(view: View) -> str:
    """The settings of a run, in words.

    >>> setting(View(network="digits-vgg", bits=1, thresholds=(0.5, 0.875)))
    'digits-vgg at 1 bit, thresholds 0.5000 and 0.8750 of max_probability'
    """
    bits = "1 bit" if view.bits == 1 else f"{view.bits} bits"
    limits = _listed([numbers.fixed(threshold, 4) for threshold in view.thresholds])
    noun = "threshold" if view.early_exits == 1 else "thresholds"
    network = f"{view.network} as deployed" if view.deployed else view.network
    return f"{network} at {bits}, {noun} {limits} of {view.measure}"


def counts_words(counts: Sequence[int]) -> str:
    """Images by exit.

    >>> counts_words((314, 25, 20))
    '314 images at exit 1, 25 at exit 2 and 20 in the cloud'
    """
    first, *rest = (numbers.count(count) for count in counts)
    noun = "image" if counts[0] == 1 else "images"
    places = [f"at exit {number + 1}" for number in range(len(rest))] + ["in the cloud"]
    words = [f"{first} {noun} {places[0]}"]
    return _listed(words + [f"{n} {place}" for n, place in zip(rest, places[1:], strict=True)])


def agreement(against: AgainstTrace, done: int) -> str:
    """Whether the run agrees with the trace, and if not, why."""
    difference = (
        "and every confidence is equal to the last bit"
        if not against.largest_difference
        else f"and no confidence differs by more than {_small(against.largest_difference)}"
    )
    if not against.moved:
        return (
            f"Each of {numbers.count(done)} images took the exit expected from the trace, "
            f"{difference}."
        )
    return (
        f"{numbers.count(against.moved)} of {numbers.count(done)} images exited elsewhere than in "
        "the trace. With another batch size, sums are added in another order; a value that is then "
        "rounded to the next level shifts the confidence. Their confidence was within "
        f"{_small(against.moved_distance)} of the threshold, {difference}."
    )


def measurement(progress: Progress, request: LiveRequest) -> str:
    """A description of what was measured."""
    threads = jobs.threads()
    return (
        f"Measured on {numbers.count(progress.full_images)} of the "
        f"{numbers.count(progress.done)} images: one batch in {live.FULL_EVERY} was run twice, "
        "with early exits and through the whole network with all heads, in alternating order: "
        f"{numbers.significant(progress.full_images_seconds)} s against "
        f"{numbers.significant(progress.full_seconds)} s, {request.batch} at a time, on "
        f"{threads} thread{'s' * (threads > 1)}{_engine_words(request)}. Reading and normalizing "
        f"images is not counted. Energy and uplink of all {numbers.count(progress.done)} images "
        "are computed, not measured: the layers that ran, at the hardware profile's prices."
    )


def _engine_words(request: LiveRequest) -> str:
    """The engine, where it was chosen.

    >>> view = View(network="digits-vgg", bits=1, thresholds=(0.5, 0.8), form="deployed")
    >>> _engine_words(request_of(view, engine="c"))
    ', the edge segment by the engine c on one'
    """
    one = " on one" if request.engine == "c" else ""
    return f", the edge segment by the engine {request.engine}{one}" if request.engine else ""


def savings(against: AgainstEverything, *, scope: str) -> tuple[Box, ...]:
    """The savings of early exits in four numbers."""
    faster = "not measured" if against.time_ratio is None else numbers.ratio(against.time_ratio)
    return (
        Box(
            "Speed-up, measured",
            faster,
            f"by MACs {numbers.ratio(against.everything_macs / against.macs)}",
            glossary.define("MAC"),
        ),
        Box(
            "MACs run",
            numbers.percent(against.macs / against.everything_macs),
            _of_macs(against.macs, against.everything_macs),
        ),
        Box(
            f"Energy ({scope})",
            numbers.energy(against.energy_pj),
            f"instead of {numbers.energy(against.everything_pj)}",
        ),
        Box(
            "Uplink",
            numbers.kilobytes(against.uplink_bytes),
            f"instead of {numbers.kilobytes(against.everything_bytes)}",
            glossary.define("uplink"),
        ),
    )


def recent_words(seen: Sequence[RecentImage], classes: Sequence[str]) -> list[str]:
    """A caption for each of the latest images: its class, and the answer if that is another."""
    return [
        classes[one.label]
        if one.label == one.answer
        else f"{classes[one.label]} taken for {classes[one.answer]}"
        for one in seen
    ]


def _listed(words: Sequence[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def _of_macs(macs: int, everything: int) -> str:
    """Some of all multiply-accumulates, both in the unit that suits all.

    >>> _of_macs(218_000_000, 374_300_000), _of_macs(2_227_700_000, 3_743_000_000)
    ('218 of 374 MMAC', '2.23 of 3.74 GMAC')
    """
    scale, unit = next(
        (scale, unit)
        for scale, unit in ((1e12, "TMAC"), (1e9, "GMAC"), (1e6, "MMAC"), (1.0, "MAC"))
        if everything >= scale or scale == 1
    )
    return (
        f"{numbers.significant(macs / scale)} of {numbers.significant(everything / scale)} {unit}"
    )


def _small(value: float) -> str:
    """A difference near zero: two digits, never in powers of ten.

    >>> _small(3.28e-06), _small(0.0123)
    ('0.0000033', '0.012')
    """
    digits = 2
    while value < 10 ** (1 - digits) and digits < 12:
        digits += 1
    return numbers.fixed(value, digits)
