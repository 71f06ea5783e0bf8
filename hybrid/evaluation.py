"""A variant and thresholds to an operating point, from what lies in pretrained/. No torch.

Here the census of a card meets the prices of a profile and the counts of a trace.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hybrid import energy, policy, zoo
from hybrid.energy import ExitCosts, Link, Profile
from hybrid.errors import DataMissingError, UnknownNameError
from hybrid.trace import Trace

__all__ = [
    "Prices",
    "cloud_costs",
    "costs",
    "disagreement",
    "evaluate",
    "twin_accuracy",
    "twin_energy_pj",
]

TWIN = zoo.variant_name(32, static=True)


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What energy is counted, and at whose prices."""

    profile: Profile = field(default_factory=lambda: energy.load_profile(energy.DEFAULT_PROFILE))
    link: Link = field(default_factory=lambda: energy.load_link(energy.DEFAULT_LINK))
    scope: str = energy.SCOPES[0]

    def __post_init__(self) -> None:
        """Refuse a scope that there is not."""
        energy.check_scope(self.scope)


def costs(variant: zoo.Variant, prices: Prices) -> ExitCosts:
    """What one sample pays at each exit of a variant, the final exit last."""
    return energy.costs(
        variant.layers,
        exits=variant.exits,
        uplink_bytes=variant.uplink_bytes,
        profile=prices.profile,
        link=prices.link,
        scope=prices.scope,
        radio=variant.kind == "hybrid",
    )


def cloud_costs(card: zoo.Card, twin: zoo.Variant, prices: Prices) -> ExitCosts:
    """What one sample pays that is sent as a raw image, every layer of the twin in the cloud."""
    macs = sum(layer.macs for layer in twin.layers)
    compute_ms = macs / prices.profile.cloud_macs_per_second * 1000
    travel_ms = prices.link.round_trip_ms + prices.link.transfer_ms(card.image_bytes)
    return ExitCosts(
        energy_pj=(twin_energy_pj(card, twin, prices),),
        latency_ms=(compute_ms + travel_ms,),
        uplink_bytes=(float(card.image_bytes),),
    )


def twin_energy_pj(card: zoo.Card, variant: zoo.Variant, prices: Prices) -> float:
    """Energy per sample that a variant is compared with; see `energy.twin_energy_pj`.

    Without the twin's own census the variant's layers stand in, all at 32 bits and without heads:
    the architecture is the same.
    """
    return energy.twin_energy_pj(
        card.variants.get(TWIN, variant).layers,
        profile=prices.profile,
        link=prices.link,
        scope=prices.scope,
        image_bytes=card.image_bytes,
    )


def twin_accuracy(network: str, split: str) -> float | None:
    """The full-precision twin's accuracy on a split; None where no trace or no label is here."""
    if TWIN not in zoo.card(network).variants:
        return None
    try:
        recorded = zoo.trace(network, TWIN, split)
    except DataMissingError:
        return None
    return float(recorded.correct[:, -1].mean()) if recorded.labelled else None


def evaluate(
    network: str,
    bits: int,
    thresholds: Sequence[float] | str,
    *,
    static: bool = False,
    cloud: bool = False,
    measure: str = "max_probability",
    split: str = "test",
    prices: Prices | None = None,
) -> policy.OperatingPoint:
    """The operating point of a variant at these thresholds.

    Args:
        thresholds: one per early exit, as numbers or as text with commas.
        static: the static network of that bit width, which takes no threshold.
        cloud: where it runs: in the cloud, on raw images, and not on the device. Of the static
            32-bit network only.
        measure: a name in `hybrid.confidence.MEASURES`.

    Raises:
        UnknownNameError, BitWidthError, ThresholdError: for what there is not.
        DataMissingError, TraceError: where the split has no trace here, or a damaged one.
    """
    prices = prices or Prices()
    if split not in zoo.splits(network):
        raise UnknownNameError("split", split, zoo.splits(network))
    variant = zoo.variant(network, bits, static=static)
    card = zoo.card(network)
    paid = cloud_costs(card, variant, prices) if cloud else costs(variant, prices)
    return policy.operating_point(
        zoo.trace(network, variant.name, split),
        policy.check_thresholds(thresholds, variant.exits),
        measure=measure,
        costs=paid,
        twin_energy_pj=twin_energy_pj(card, variant, prices),
        twin_accuracy=twin_accuracy(network, split),
    )


def disagreement(trace: Trace, thresholds: Sequence[float], measure: str) -> float:
    """Fraction of the images whose answer, at the exit taken, is not the final exit's.

    It needs no label, and no accuracy is lost by leaving early beyond it.
    """
    return 1 - policy.outcome(trace.against_final, thresholds, measure).accuracy
