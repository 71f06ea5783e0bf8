"""The answer of a choice: the best point, its runners-up, and why the rest was left out.

Values only; each class has a `to_dict` for JSON.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hybrid.choosing.limits import Limits, Violation

__all__ = [
    "Answer",
    "Decided",
    "Figures",
    "Point",
    "ProfileCheck",
    "Proof",
    "RankedCandidate",
    "Uncertifiable",
]


class Decided(StrEnum):
    """Why an answer is what it is.

    LIMITS: the limits alone; with a certificate or without, the answer is the same.
    CERTIFICATE: a point that needs less energy meets every limit on the tuning images, but cannot
        be certified; another one was chosen, or none.
    UNCERTIFIED: no certificate was asked for, so the loss was only measured on the tuning images.
    """

    LIMITS = "limits"
    CERTIFICATE = "certificate"
    UNCERTIFIED = "uncertified"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of a point on one split, means per image.

    class_accuracy: of the class with the lowest. days: None if no battery is described.
    """

    split: str
    samples: int
    exit_fractions: tuple[float, ...]
    accuracy: float
    class_accuracy: float
    loss_points: float
    energy_pj: float
    latency_ms: float
    p95_latency_ms: float
    uplink_bytes: float
    edge_memory_kib: float
    days: float | None

    @property
    def edge_fraction(self) -> float:
        """Fraction of the images answered without the cloud."""
        return 1 - self.exit_fractions[-1]

    @property
    def by_limit(self) -> dict[str, float]:
        """The figures that a limit can be set on, in the limits' units."""
        return {
            "loss_points": self.loss_points,
            "energy_uj": self.energy_pj / 1e6,
            "latency_ms": self.latency_ms,
            "p95_latency_ms": self.p95_latency_ms,
            "uplink_bytes": self.uplink_bytes,
            "edge_memory_kib": self.edge_memory_kib,
            "accuracy_percent": 100 * self.accuracy,
            "class_accuracy_percent": 100 * self.class_accuracy,
        } | ({} if self.days is None else {"days": self.days})


@dataclass(frozen=True, kw_only=True)
class Point:
    """A variant in one deployment mode, at thresholds.

    Args:
        mode: a name in `MODES`.
        thresholds: one per early exit of the variant; none for `static` and `cloud`.
        tune: the figures by which it was chosen; for your own images, those of their tune half.
        test: the same on images that were not used for choosing; None without such a trace.
    """

    network: str
    mode: str
    variant: str
    bits: int
    thresholds: tuple[float, ...]
    measure: str
    weights_sha256: str
    tune: Figures
    test: Figures | None

    @property
    def candidate(self) -> tuple[str, str, str]:
        """Network, mode and variant."""
        return self.network, self.mode, self.variant

    @property
    def shown(self) -> Figures:
        """The figures to report: those on test if there are any."""
        return self.test or self.tune

    def to_dict(self) -> dict[str, Any]:
        """For JSON; None for values that are not finite."""
        return _plain(asdict(self))


@dataclass(frozen=True, kw_only=True)
class RankedCandidate:
    """The best point of a candidate, and the limits that it violates; none if it meets them all."""

    point: Point
    violations: tuple[Violation, ...]
    miss: float  # the largest share by which it exceeds a limit; 0 if it meets all

    @property
    def kept(self) -> bool:
        """True if every limit is met."""
        return not self.violations

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        violations = [asdict(b) | {"excess": b.excess} for b in self.violations]
        return _plain({"point": self.point.to_dict(), "violations": violations})


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A certificate: with this confidence, the point loses at most `bound_points`.

    Args:
        bound_points: percentage points; the limit itself if the limit was certified.
        comparisons: how many paths of points share the risk of error.
        samples: labelled images of `certify`.
        observed_points: the loss measured on these images.
        reference: network and variant that losses are relative to.
        without_cloud_points: the same bound while the cloud is down and the most confident early
            exit answers in its place; None if the cloud answers nothing.
    """

    bound_points: float
    confidence: float
    comparisons: int
    samples: int
    observed_points: float
    reference: tuple[str, str]
    without_cloud_points: float | None = None


@dataclass(frozen=True, kw_only=True)
class Uncertifiable:
    """A point that meets every limit on the tuning images but is not certified to.

    Args:
        bound_points: the lowest limit on the loss at which it would be certified; infinite if it
            would be at none.
        images: about how many images it takes to certify the limit that was asked for; None if a
            million are too few.
        samples: how many there are.
    """

    point: Point
    bound_points: float
    images: int | None
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return _plain(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The limits, the best point or none, and the ranking of all candidates.

    Args:
        without: the best point for the same limits if the loss is only measured on tune.
        uncertifiable: of each candidate, a point that needs less energy than the best one and that
            only the certificate rules out; nearest first.
        ranking: one per candidate: those that meet all limits by rising energy, then the others,
            the nearest miss first.
        runners_up: at most three, from other variants if those meet the limits.
        references: data set to the network and variant that its losses are counted against.
        comparisons: how many paths of points share the risk of error; 0 if no limit is certified.
        networks: those that have a candidate, in the order they were named.
        absent: one sentence for each variant that could not take part.
        images, labelled, deployed: as in `Field`.
        cloud_profile: the cloud's own profile; empty if the cloud is priced like the device.
    """

    limits: Limits
    profile: str
    link: str
    scope: str
    measure: str
    references: Mapping[str, tuple[str, str]]
    best: Point | None
    proof: Proof | None
    without: Point | None
    uncertifiable: tuple[Uncertifiable, ...]
    runners_up: tuple[Point, ...]
    ranking: tuple[RankedCandidate, ...]
    comparisons: int
    settings: int
    exact: bool
    absent: tuple[str, ...]
    networks: tuple[str, ...]
    images: str = ""
    labelled: bool = True
    cloud_profile: str = ""
    deployed: bool = False

    @property
    def decided(self) -> Decided:
        """What decided: the limits alone, or the certificate."""
        if self.limits.uncertified:
            return Decided.UNCERTIFIED
        if not self.limits.certified or self.best == self.without:
            return Decided.LIMITS
        return Decided.CERTIFICATE

    @property
    def certificate_cost_pj(self) -> float | None:
        """How much more energy an image needs because the loss is certified.

        None if no certificate was asked for, or if there is no point to compare.
        """
        if not self.limits.certified or self.best is None or self.without is None:
            return None
        return self.best.tune.energy_pj - self.without.tune.energy_pj

    @property
    def left_out(self) -> tuple[RankedCandidate, ...]:
        """Every candidate that violates a limit, the smallest miss first."""
        return tuple(ranked for ranked in self.ranking if not ranked.kept)

    @property
    def nearest_miss(self) -> RankedCandidate | None:
        """The candidate that comes closest to the limits; None if one meets them."""
        return None if self.best else self.ranking[0]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        miss = self.nearest_miss
        return _plain(
            {
                "best": self.best.to_dict() if self.best else None,
                "certificate": asdict(self.proof) if self.proof else None,
                "uncertified": self.limits.uncertified,
                "decided": str(self.decided),
                "without_certificate": self.without.to_dict() if self.without else None,
                "certificate_cost_pj": self.certificate_cost_pj,
                "uncertifiable": [one.to_dict() for one in self.uncertifiable],
                "runners_up": [point.to_dict() for point in self.runners_up],
                "nearest_miss": miss.to_dict() if miss else None,
                "left_out": [ranked.to_dict() for ranked in self.left_out],
                "limits": self.limits.to_dict(),
                "profile": self.profile,
                "link": self.link,
                "scope": self.scope,
                "measure": self.measure,
                "images": self.images,
                "labelled": self.labelled,
                "references": {name: list(of) for name, of in self.references.items()},
                "candidates": len(self.ranking),
                "comparisons": self.comparisons,
                "settings": self.settings,
                "exact": self.exact,
                "absent": list(self.absent),
            }
            | ({"cloud_profile": self.cloud_profile} if self.cloud_profile else {})
        )


@dataclass(frozen=True, kw_only=True)
class ProfileCheck:
    """The choice under another energy model.

    Args:
        profile: its name.
        own: the first choice's point at this profile's prices.
        violations: the limits that this point violates at these prices.
        best: the choice at this profile's prices; None if no candidate meets the limits.
    """

    profile: str
    own: Point
    violations: tuple[Violation, ...]
    best: Point | None

    @property
    def agrees(self) -> bool:
        """True if the first choice meets every limit and no other candidate needs less energy.

        It keeps its certificate, which does not depend on energy. So it may need less than the
        choice here, which is certified along the path of these prices.
        """
        if self.best is None or self.violations:
            return False
        same = self.best.candidate == self.own.candidate
        return same or self.own.tune.energy_pj <= self.best.tune.energy_pj

    @property
    def excess_energy(self) -> float | None:
        """How much more energy the first choice needs than the best one here, as a share."""
        if self.best is None or not self.best.tune.energy_pj:
            return None
        return self.own.tune.energy_pj / self.best.tune.energy_pj - 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        best = self.best.to_dict() if self.best else None
        excess, kept = self.excess_energy, not self.violations
        return _plain(
            {"profile": self.profile, "agrees": self.agrees, "keeps_limits": kept}
            | {"excess_energy": excess, "own": self.own.to_dict(), "best": best}
        )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _finite(value) for key, value in values.items()}


def _finite(value: Any) -> Any:
    """The same with lists for tuples and None for values that are not finite."""
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
