"""The operating point of a variant at thresholds, from the files in pretrained/. Needs no torch.

Combines the census of a card, the prices of a profile and the counts of a trace.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hybrid import certificates, data, energy, policy, zoo
from hybrid.data import user_splits
from hybrid.energy import ExitCosts, Link, Profile
from hybrid.errors import (
    CertificateError,
    DataMissingError,
    FileError,
    PointError,
    UnknownNameError,
)
from hybrid.policy.points import early_confidences
from hybrid.traces.trace import Trace

__all__ = [
    "PART_OF_EXITS",
    "Certified",
    "Prices",
    "certified",
    "certified_before",
    "certified_without_cloud",
    "cloud_costs",
    "costs",
    "disagreement",
    "evaluate",
    "evaluate_variant",
    "ledger",
    "twin_accuracy",
    "twin_energy_pj",
    "twin_layers",
]

PART_OF_EXITS = 0.1  # the part of an answer's delta for the bounds by exit


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Which energy is counted, on which hardware and link.

    profile: of the device, and of the baseline. cloud: of the cloud; None: priced like the device.
    """

    profile: Profile = field(default_factory=lambda: energy.load_profile(energy.DEFAULT_PROFILE))
    link: Link = field(default_factory=lambda: energy.load_link(energy.DEFAULT_LINK))
    scope: str = energy.SCOPES[0]
    cloud: Profile | None = None

    @classmethod
    def named(cls, *, profile: str, link: str, scope: str, cloud: str = "") -> "Prices":
        """Prices by the names of their profiles, or by the paths of a user's own TOML files.

        Args:
            cloud: empty to price the cloud like the device.

        Raises:
            UnknownNameError, ProfileError: no such profile, link or scope, or a damaged file.
        """
        return cls(
            profile=energy.load_profile(profile),
            link=energy.load_link(link),
            scope=scope,
            cloud=energy.load_profile(cloud) if cloud else None,
        )

    @property
    def cloud_name(self) -> str:
        """Name of the cloud's own profile; empty if the cloud is priced like the device."""
        return self.cloud.name if self.cloud else ""

    def __post_init__(self) -> None:
        """Refuse an unknown scope."""
        energy.check_scope(self.scope)


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The answer to a question: the certificate at a point, and one for each early exit's images.

    Args:
        question: its number among those to the same images, from 1.
        delta_spent: chance that any bound of this answer does not hold.
        overall: of all images; its delta is that of all answers to these images together.
        exits: of the images that leave at each early exit; None if none does. Empty if that was
            not asked.
    """

    question: int
    delta_spent: float
    overall: certificates.Certificate
    exits: tuple[certificates.Certificate | None, ...]

    @property
    def answer(self) -> str:
        """The question's number, the bound and what was seen, in words."""
        made = self.overall
        of = "% of the answers" if made.method == "disagreement" else "points"
        return (
            f"question {self.question:,} to these {made.samples:,} images; at most "
            f"{certificates.rounded_up(made.bound):.1f} {of}; {100 * made.observed:.1f} were seen"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        by_exit = [None if one is None else _without_sharing(one) for one in self.exits]
        return _without_sharing(self.overall) | {
            "question": self.question,
            "delta_spent": self.delta_spent,
            "sentence": self.overall.sentence,
            "answer": self.answer,
            "exits": by_exit,
        }


def costs(variant: zoo.Variant, prices: Prices) -> ExitCosts:
    """Costs of one sample at each exit of a variant, the final exit last."""
    return energy.costs(
        variant.layers,
        exits=variant.early_exits,
        uplink_bytes=variant.uplink_bytes,
        profile=prices.profile,
        link=prices.link,
        scope=prices.scope,
        radio=not variant.is_static,
        cloud=prices.cloud,
    )


def cloud_costs(card: zoo.Card, twin: zoo.Variant, prices: Prices) -> ExitCosts:
    """Costs of one sample that is sent as a raw image, with the whole twin in the cloud."""
    there = replace(prices, profile=prices.cloud or prices.profile)
    macs = sum(layer.macs for layer in twin.layers)
    compute_ms = macs / there.profile.cloud_macs_per_second * 1000
    travel_ms = prices.link.round_trip_ms + prices.link.transfer_ms(card.image_bytes)
    return ExitCosts(
        energy_pj=(twin_energy_pj(card, twin, there),),
        latency_ms=(compute_ms + travel_ms,),
        uplink_bytes=(float(card.image_bytes),),
    )


def twin_energy_pj(card: zoo.Card, variant: zoo.Variant, prices: Prices) -> float:
    """Energy per sample that a variant is compared with, at the prices of the device's profile.

    See `energy.twin_energy_pj`.
    """
    return energy.twin_energy_pj(
        twin_layers(card, variant),
        profile=prices.profile,
        link=prices.link,
        scope=prices.scope,
        image_bytes=card.image_bytes,
    )


def twin_layers(card: zoo.Card, variant: zoo.Variant) -> tuple[energy.Layer, ...]:
    """The census of the twin that a variant is compared with.

    Without a trained twin the variant's own layers are used, at 32 bits and without heads: the
    architecture is the same.
    """
    layers = card.variants.get(zoo.TWIN, variant).layers
    return tuple(
        replace(layer, weight_bits=32, activation_bits=32) for layer in layers if layer.exit is None
    )


def twin_accuracy(network: str, split: str) -> float | None:
    """The full-precision twin's accuracy on a split; None without a trace or labels."""
    if zoo.TWIN not in zoo.card(network).variants:
        return None
    try:
        recorded = zoo.trace(network, zoo.TWIN, split)
    except DataMissingError:
        return None
    return float(recorded.correct[:, -1].mean()) if recorded.labelled else None


def evaluate(
    network: str,
    bits: int,
    thresholds: Sequence[float] | str,
    *,
    static: bool = False,
    measure: str = "max_probability",
    split: str = "test",
    prices: Prices | None = None,
) -> policy.OperatingPoint:
    """The operating point at a bit width; see `evaluate_variant`.

    Args:
        static: the static network of that bit width, which takes no threshold.

    Raises:
        UnknownNameError, BitWidthError: no such network or bit width.
    """
    card, variant = zoo.card(network), zoo.variant(network, bits, static=static)
    return evaluate_variant(card, variant, thresholds, measure=measure, split=split, prices=prices)


def evaluate_variant(
    card: zoo.Card,
    variant: zoo.Variant,
    thresholds: Sequence[float] | str,
    *,
    cloud: bool = False,
    measure: str = "max_probability",
    split: str = "test",
    prices: Prices | None = None,
) -> policy.OperatingPoint:
    """The operating point of a variant at these thresholds.

    Args:
        card: of the variant's network.
        thresholds: one per early exit, as numbers or as text with commas.
        cloud: it runs in the cloud on raw images and not on the device; only for the static
            32-bit network.
        measure: a name in `hybrid.traces.confidence.MEASURES`.

    Raises:
        UnknownNameError, ThresholdError: an unknown split or measure, or bad thresholds.
        PointError: another variant in the cloud.
        DataMissingError, TraceError: the split has no trace here, or a damaged one.
    """
    prices, network = prices or Prices(), card.network
    if split not in zoo.splits(network):
        raise UnknownNameError("split", split, zoo.splits(network))
    if cloud and variant.name != zoo.TWIN:
        raise PointError(
            f"{variant.name} does not run in the cloud alone; only {zoo.TWIN} is sent raw images."
        )
    paid = cloud_costs(card, variant, prices) if cloud else costs(variant, prices)
    return policy.operating_point(
        zoo.trace(network, variant.name, split),
        policy.check_thresholds(thresholds, variant.early_exits),
        measure=measure,
        costs=paid,
        twin_energy_pj=twin_energy_pj(card, variant, prices),
        twin_accuracy=twin_accuracy(network, split),
    )


def disagreement(trace: Trace, thresholds: Sequence[float], measure: str) -> float:
    """Fraction of the images whose answer at the exit taken differs from the final exit's.

    It needs no labels, and early exits cost at most this much accuracy.
    """
    return 1 - policy.outcome(trace.against_final, thresholds, measure).accuracy


def certified(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    *,
    measure: str = "max_probability",
    split: str = "test",
    confidence: float = 0.95,
    method: str = "",
) -> Certified:
    """Upper bounds on the accuracy that early exits cost, as the answer to a question.

    A new question takes the next number in the ledger of the images that certify; see
    `certificates.ledger`. The same question has the same answer again.

    Args:
        split: one of the user's own splits certifies for images like its own; for any other split
            `certify` is used. Without labels the disagreement is bounded instead.
        confidence: above 0 and below 1, of all answers to the same images together.
        method: a name of `certificates.METHODS`; if empty, the one that suits the images.

    Raises:
        CertificateError: a network without early exits, a ledger that cannot be read or written, or
            as in `hybrid.certificates`.
        ThresholdError: bad thresholds.
        DataMissingError, TraceError: the split has no trace here, or a damaged one.
    """
    recorded, question = _question(
        network, variant, thresholds, measure, split, confidence, method=method
    )
    number = ledger(network, split).ask(question)
    return _answer(recorded, question, number)


def certified_without_cloud(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    *,
    measure: str = "max_probability",
    split: str = "test",
    confidence: float = 0.95,
) -> Certified:
    """Upper bound on the accuracy lost while the cloud is down: a question of its own.

    Images that would go to the cloud are answered by their most confident early exit.

    Args and errors as in `certified`.
    """
    recorded, asked = _question(network, variant, thresholds, measure, split, confidence)
    question = replace(asked, method=f"{asked.method} without the cloud")
    number = ledger(network, split).ask(question)
    spent = certificates.spent(number, question.delta)
    made = certificates.certify(
        recorded,
        question.thresholds,
        delta=spent,
        method=asked.method,
        measure=measure,
        cloud=False,
    )
    overall = replace(made, delta=question.delta)
    return Certified(question=number, delta_spent=spent, overall=overall, exits=())


def certified_before(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    *,
    measure: str = "max_probability",
    split: str = "test",
    confidence: float = 0.95,
    read: Callable[[str, str, str], Trace] = zoo.trace,
) -> Certified | None:
    """The answer of `certified` if the question was asked before, else None; asks nothing.

    Args:
        read: a trace by network, variant and split, as from memory.
    """
    recorded, question = _question(network, variant, thresholds, measure, split, confidence, read)
    number = ledger(network, split).number(question)
    return None if number is None else _answer(recorded, question, number)


def _file_name(dataset: str) -> str:
    """A data set's name as part of a file's: that of an image folder is a path."""
    if dataset in data.DATASETS:
        return dataset
    digest = hashlib.sha256(dataset.encode(errors="replace")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '', Path(dataset).stem)[:40]}-{digest}"


def ledger(network: str, split: str) -> certificates.Ledger:
    """The ledger of the images that certify for a split; networks on the same images share it.

    It is in the folder of the user's splits, under `.questions`.

    Raises:
        CertificateError: there is no home folder.
    """
    if split in zoo.SPLITS:
        card = zoo.card(network)
        images = card.sources.get("certify")  # a folder, for images that were given apart
        name = _file_name(images) if images else f"{_file_name(card.dataset)}-certify"
    else:
        about = user_splits.split(network, split)
        name = f"{network}-{split}-{about.key[:12]}"
    try:
        return certificates.Ledger(path=user_splits.folder() / ".questions" / f"{name}.json")
    except FileError as error:
        raise CertificateError(
            "There is no home folder to note the question in, so nothing is certified; name a "
            "folder with HYBRID_TRACES."
        ) from error


def _question(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    measure: str,
    split: str,
    confidence: float,
    read: Callable[[str, str, str], Trace] = zoo.trace,
    method: str = "",
) -> tuple[Trace, certificates.Question]:
    """The trace that certifies, and a question to it that can be answered."""
    if not variant.early_exits:
        raise CertificateError(
            f"{network} {variant.name} has no early exits, so there is nothing to certify; name "
            "a bit width that has early exits."
        )
    own = split not in zoo.SPLITS
    recorded = read(network, variant.name, split if own else "certify")
    method = method or _method(recorded)
    certificates.check_trace(recorded, method)
    early_confidences(recorded, measure)  # a measure that does not exist asks nothing
    return recorded, certificates.Question(
        weights_sha256=recorded.weights_sha256,
        thresholds=policy.check_thresholds(thresholds, variant.early_exits),
        measure=measure,
        method=method,
        delta=certificates.check_delta(round(1 - confidence, 12)),
    )


def _method(recorded: Trace) -> str:
    """How these images certify; fixed by their number and whether they have labels."""
    if not recorded.labelled:
        return "disagreement"
    return "exact" if recorded.samples <= certificates.MOST_SAMPLES else "betting"


def _answer(recorded: Trace, question: certificates.Question, number: int) -> Certified:
    """The bounds at the question's part of delta, of which the exits together get a little."""
    spent = certificates.spent(number, question.delta)
    overall = certificates.certify(
        recorded,
        question.thresholds,
        delta=(1 - PART_OF_EXITS) * spent,
        method=question.method,
        measure=question.measure,
    )
    exits = certificates.certify_exits(
        recorded,
        question.thresholds,
        delta=PART_OF_EXITS * spent,
        method=question.method,
        measure=question.measure,
    )
    return Certified(
        question=number,
        delta_spent=spent,
        overall=replace(overall, delta=question.delta),
        exits=tuple(one and replace(one, delta=question.delta) for one in exits),
    )


def _without_sharing(one: certificates.Certificate) -> dict[str, Any]:
    """A certificate for JSON; how delta is shared is told by the question's number."""
    return {key: value for key, value in one.to_dict().items() if key != "comparisons"}
