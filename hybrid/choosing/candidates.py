"""The candidates of a choice: each variant in each deployment mode, with its traces and points."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hybrid import zoo
from hybrid.choosing.modes import Mode, modes_of
from hybrid.choosing.search import Options, Steps, options, steps, worst_class
from hybrid.data import user_splits
from hybrid.energy import ExitCosts
from hybrid.errors import DataMissingError, LimitError, TraceError, UnknownNameError
from hybrid.evaluation import Prices
from hybrid.traces.confidence import MEASURES
from hybrid.traces.trace import Trace

__all__ = [
    "Candidate",
    "CandidateTrace",
    "Field",
    "candidate",
    "class_accuracy",
    "collect_candidates",
    "taken_from",
]

LoadTrace = Callable[[str, str, str], Trace]  # network, variant, split
Traces = Mapping[tuple[str, str, str], Trace]  # network, variant, purpose


@dataclass(frozen=True, kw_only=True, eq=False)
class CandidateTrace:
    """A trace in one deployment mode, with the reference's answers.

    | field             | shape      |                                                 |
    |-------------------|------------|-------------------------------------------------|
    | labels            | (n,)       | the true class                                  |
    | correct           | (n, exits) | where an exit of this mode is correct           |
    | classes           | (n, exits) | the answers of these exits                      |
    | confidences       | (n, exits) | by measure                                      |
    | reference_classes | (n,)       | the answers of the full-precision reference     |
    """

    split: str
    labels: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.int64]
    confidences: Mapping[str, npt.NDArray[np.float32]]
    reference_classes: npt.NDArray[np.int64]

    @property
    def samples(self) -> int:
        """How many samples, n."""
        return len(self.labels)

    @cached_property
    def reference_right(self) -> int:
        """How many samples the reference answers correctly."""
        return int(np.count_nonzero(self.reference_classes == self.labels))

    def loss_points(self, right: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Accuracy lost against the reference, in percentage points, with `right` correct."""
        return 100 * (self.reference_right - np.asarray(right, np.int64)) / self.samples

    @cached_property
    def against_reference(self) -> "CandidateTrace":
        """The same with the reference as its final exit, which no sample takes.

        The mode's own last exit becomes an early exit at which any sample may leave. So a
        certificate for early exits against the final exit also holds for any mode against the
        reference.
        """
        classes = np.column_stack([self.classes, self.reference_classes])
        sure = {
            name: np.column_stack([values[:, :-1], np.ones((self.samples, 2), np.float32)])
            for name, values in self.confidences.items()
        }
        return CandidateTrace(
            split=self.split,
            labels=self.labels,
            correct=classes == self.labels[:, None],
            classes=classes,
            confidences=sure,
            reference_classes=self.reference_classes,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """One variant in one deployment mode.

    Args:
        seen: split to its trace; splits without a trace are absent, but tune is always there.
        options: threshold combinations that decide in this mode, counted on tune.
        moves: the thresholds and sample orders needed to refine the options.
        reference: True if its answers are the reference's own; then it loses nothing.
    """

    network: str
    mode: Mode
    variant: zoo.Variant
    card: zoo.Card
    seen: Mapping[str, CandidateTrace]
    options: Options
    moves: Steps
    reference: bool

    @property
    def early_exits(self) -> int:
        """Early exits of the variant, with one threshold each."""
        return self.variant.early_exits

    def costs(self, prices: Prices) -> ExitCosts:
        """Costs of one sample at each exit of this mode."""
        return self.mode.costs(self, prices)

    @cached_property
    def edge_memory_kib(self) -> float:
        """KiB of memory that the device needs; if it only sends, the size of the image."""
        return self.mode.memory_bytes(self) / 1024

    def all_thresholds(self, searched: Sequence[float]) -> tuple[float, ...]:
        """One per early exit of the variant."""
        return tuple(self.mode.all_thresholds(np.array([searched], np.float64))[0].tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """All candidates of a choice, before any price or limit is known.

    Args:
        references: data set to (network, variant) that the loss of its networks is counted
            against: the full-precision twin that is the most accurate on tune.
        absent: one sentence for each variant that cannot take part.
        images: as in `collect_candidates`.
        labelled: whether the images have labels. Without labels the reference's answers count as
            correct. The loss is then the share of answers that differ from it, and no loss of
            accuracy can be larger.
        deployed: whether only deployment forms take part, and the twin.
    """

    candidates: tuple[Candidate, ...]
    references: Mapping[str, tuple[str, str]]
    measure: str
    absent: tuple[str, ...]
    images: str = ""
    labelled: bool = True
    deployed: bool = False

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that have a candidate, in the order they were named."""
        return tuple(dict.fromkeys(one.network for one in self.candidates))


def collect_candidates(
    networks: Sequence[str],
    *,
    images: str = "",
    measure: str = "max_probability",
    deployed: bool = False,
    load: LoadTrace = zoo.trace,
    progress: Callable[[int, int], None] | None = None,
) -> Field:
    """All candidates that these networks offer.

    Args:
        networks: names, as `zoo.networks` lists them.
        images: name of the user's own images, recorded in two halves, `<images>-tune` and
            `<images>-certify`; empty for the splits of the networks' data sets.
        measure: a name in `hybrid.traces.confidence.MEASURES`.
        deployed: only deployment forms take part, which answer as a device does, and the twin.
        load: network, variant and split to a trace.
        progress: called with the variants done and their total.

    Raises:
        LimitError: no network, none with a trace to choose on, or no deployment form.
        UnknownNameError: an unknown network or measure.
    """
    if measure not in MEASURES:
        raise UnknownNameError("confidence measure", measure, MEASURES)
    named = [_card(name, deployed=deployed) for name in dict.fromkeys(networks)]
    if not named:
        raise LimitError("No network was named to choose among; name at least one.")
    cards = [card for card in named if not images or images in user_splits.halved(card.network)]
    absent = [_without(card.network, images) for card in named if card not in cards]
    traces = _traces(cards, images, load, absent)
    references = _references(cards, traces)
    found = []
    entries = _entries(cards, traces)
    for done, (card, mode, variant) in enumerate(entries):
        if progress:
            progress(done, len(entries))
        found.append(_entered(card, mode, variant, traces, references[card.dataset], measure))
    if not found:
        raise LimitError(f"There is nothing to choose among: {' '.join(absent)}")
    return Field(
        candidates=tuple(found),
        references=references,
        measure=measure,
        absent=tuple(absent),
        images=images,
        labelled=all(recorded.labelled for recorded in traces.values()),
        deployed=deployed,
    )


def _card(network: str, *, deployed: bool) -> zoo.Card:
    card = zoo.card(network)
    if not deployed:
        return card
    if not card.deployed:
        raise LimitError(
            f"{network} has no deployment forms; make them with `hybrid freeze {network}`."
        )
    return card.as_deployed


def taken_from(images: str) -> dict[str, str]:
    """Purpose to its split; your own images have no split to report on.

    >>> taken_from("mine")
    {'tune': 'mine-tune', 'certify': 'mine-certify'}
    """
    if not images:
        return {split: split for split in zoo.SPLITS}
    return {purpose: f"{images}-{purpose}" for purpose in ("tune", "certify")}


def candidate(
    *,
    card: zoo.Card,
    mode: Mode,
    variant: zoo.Variant,
    seen: Mapping[str, CandidateTrace],
    measure: str,
    reference: bool = False,
) -> Candidate:
    """A candidate with the points that it offers, found on tune."""
    moves = steps(seen["tune"], measure)
    return Candidate(
        network=card.network,
        mode=mode,
        variant=variant,
        card=card,
        seen=seen,
        options=mode.offered(options(seen["tune"], measure, moves)),
        moves=moves,
        reference=reference,
    )


def class_accuracy(of: Candidate, measure: str) -> npt.NDArray[np.float64]:
    """(m,): the lowest accuracy of a class at each of a candidate's options, as a fraction."""
    tune = of.seen["tune"]
    found = options(tune, measure, of.moves)
    numbered = replace(found, right=np.arange(len(found.right)))
    return worst_class(tune, measure, of.moves)[of.mode.offered(numbered).right]


def _without(network: str, images: str) -> str:
    kept = ", ".join(user_splits.halved(network)) or "none"
    return (
        f"{network} has no images called {images}, recorded in two halves (it has {kept}); record "
        f"them with `hybrid import-images {network} … --name {images} --tune-certify`."
    )


def _traces(
    cards: Sequence[zoo.Card], images: str, load: LoadTrace, absent: list[str]
) -> dict[tuple[str, str, str], Trace]:
    """(network, variant, purpose) to its trace; why a variant cannot compete goes to `absent`."""
    traces = {}
    for card in cards:
        for variant in card.variants:
            for purpose, split in taken_from(images).items():
                try:
                    traces[card.network, variant, purpose] = load(card.network, variant, split)
                except (DataMissingError, TraceError) as error:
                    if purpose == "tune":
                        absent.append(str(error))
                        break
    return traces


def _entries(cards: Sequence[zoo.Card], traces: Traces) -> list[tuple[zoo.Card, Mode, zoo.Variant]]:
    """Each variant that has a trace to choose on, in each mode it can be deployed in."""
    return [
        (card, mode, variant)
        for card in cards
        for variant in card.variants.values()
        for mode in modes_of(variant)
        if (card.network, variant.name, "tune") in traces
    ]


def _references(cards: Sequence[zoo.Card], traces: Traces) -> dict[str, tuple[str, str]]:
    """Data set to the network and variant that losses are relative to."""
    recorded = any((c.network, v, "tune") in traces for c in cards for v in c.variants)
    datasets = dict.fromkeys(card.dataset for card in cards) if recorded else {}
    return {dataset: _reference(dataset, cards, traces) for dataset in datasets}


def _reference(dataset: str, cards: Sequence[zoo.Card], traces: Traces) -> tuple[str, str]:
    """The most accurate twin; if none has a trace, the variant with the best final exit."""
    own = {card.network for card in cards if card.dataset == dataset}
    known = [key for key in traces if key[0] in own and key[2] == "tune"]
    twins = [key for key in known if key[1] == zoo.TWIN]
    accuracy = {
        (card.network, v.name): v.accuracy for card in cards for v in card.variants.values()
    }

    def right(key: tuple[str, str, str]) -> float:
        if traces[key].labelled:
            return float(traces[key].correct[:, -1].mean())
        # from its card, on the data set's images: these have no labels
        return accuracy[key[:2]].get("tune", (0.0,))[-1]

    return max(twins or known, key=right)[:2]


def _entered(
    card: zoo.Card,
    mode: Mode,
    variant: zoo.Variant,
    traces: Traces,
    reference: tuple[str, str],
    measure: str,
) -> Candidate:
    seen = {}
    for purpose in zoo.SPLITS:
        own = traces.get((card.network, variant.name, purpose))
        asked = traces.get((*reference, purpose))
        if own is not None and asked is not None:
            seen[purpose] = see(own, mode, asked)
    return candidate(
        card=card,
        mode=mode,
        variant=variant,
        seen=seen,
        measure=measure,
        reference=(card.network, variant.name) == reference and variant.is_static,
    )


def see(trace: Trace, mode: Mode, reference: Trace) -> CandidateTrace:
    """A trace in a deployment mode; without labels the reference's answers count as correct.

    Raises:
        TraceError: the reference's trace is of other images.
    """
    if not np.array_equal(trace.labels, reference.labels):
        raise TraceError(
            f"The traces of {trace.network} {trace.variant} and {reference.network} "
            f"{reference.variant} on {trace.split} are not of the same images; record both again "
            "with `hybrid trace`."
        )
    kept = slice(0, mode.exits(trace.all_exits))
    labels = trace.labels if trace.labelled else reference.classes[:, -1]
    return CandidateTrace(
        split=trace.split,
        labels=labels,
        correct=(trace.correct if trace.labelled else trace.classes == labels[:, None])[:, kept],
        classes=trace.classes[:, kept],
        confidences={name: values[:, kept] for name, values in trace.confidences.items()},
        reference_classes=reference.classes[:, -1],
    )
