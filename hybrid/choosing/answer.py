"""What choosing says: a point with its figures, what came after it, and why the rest was left out.

Values only; every one of them goes into JSON by `to_dict`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hybrid.choosing.limits import Limits, Violation

__all__ = ["Answer", "Figures", "Point", "ProfileCheck", "Proof", "RankedCandidate"]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a point comes to on one split, means per image. days: None where no battery is known."""

    split: str
    samples: int
    exit_fractions: tuple[float, ...]
    accuracy: float
    loss_points: float
    energy_pj: float
    latency_ms: float
    uplink_bytes: float
    edge_memory_kib: float
    days: float | None

    @property
    def edge_fraction(self) -> float:
        """Fraction that never asks the cloud."""
        return 1 - self.exit_fractions[-1]

    @property
    def by_limit(self) -> dict[str, float]:
        """The figures that a limit can be set on, in the limits' units."""
        return {
            "loss_points": self.loss_points,
            "energy_uj": self.energy_pj / 1e6,
            "latency_ms": self.latency_ms,
            "uplink_bytes": self.uplink_bytes,
            "edge_memory_kib": self.edge_memory_kib,
        } | ({} if self.days is None else {"days": self.days})


@dataclass(frozen=True, kw_only=True)
class Point:
    """A variant in one deployment mode, at thresholds.

    Args:
        mode: a name in `MODES`.
        thresholds: one per early exit of the variant; none for `static` and `cloud`.
        tune: the figures it was chosen by; of own images those of their half for it.
        test: the same on images that decided nothing; None where there is no such trace.
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
        """What it is a point of."""
        return self.network, self.mode, self.variant

    @property
    def shown(self) -> Figures:
        """The figures to report: those of test, where there are any."""
        return self.test or self.tune

    def to_dict(self) -> dict[str, Any]:
        """For JSON; None for what is not finite."""
        return _plain(asdict(self))


@dataclass(frozen=True, kw_only=True)
class RankedCandidate:
    """The best a candidate has, and the limits that it breaks; none if it keeps them all."""

    point: Point
    violations: tuple[Violation, ...]
    miss: float  # the largest share by which it goes beyond a limit; 0 if it keeps all

    @property
    def kept(self) -> bool:
        """True if every limit is kept."""
        return not self.violations

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        violations = [asdict(b) | {"excess": b.excess} for b in self.violations]
        return _plain({"point": self.point.to_dict(), "violations": violations})


@dataclass(frozen=True, kw_only=True)
class Proof:
    """With this confidence the point loses at most `bound_points` against the reference.

    Args:
        bound_points: percentage points; the limit itself where it was certified as a limit.
        comparisons: how many candidates shared what may go wrong.
        samples: labelled images of `certify`.
        observed_points: the loss on these images.
        reference: network and variant that is asked for every image.
    """

    bound_points: float
    confidence: float
    comparisons: int
    samples: int
    observed_points: float
    reference: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was asked, the best point or none, and where every candidate stands.

    Args:
        ranking: one per candidate: those that keep all limits by rising energy, then the others
            by how little they miss.
        runners_up: at most three, from other variants where those keep the limits.
        references: data set to the network and variant that its losses are counted against.
        comparisons: candidates that a certificate was asked for.
        absent: one sentence for each variant that could not compete.
        images, labelled: as in `Field`.
    """

    limits: Limits
    profile: str
    link: str
    scope: str
    measure: str
    references: Mapping[str, tuple[str, str]]
    best: Point | None
    proof: Proof | None
    runners_up: tuple[Point, ...]
    ranking: tuple[RankedCandidate, ...]
    comparisons: int
    settings: int
    exact: bool
    absent: tuple[str, ...]
    images: str = ""
    labelled: bool = True

    @property
    def left_out(self) -> tuple[RankedCandidate, ...]:
        """The rejected candidate of each mode that misses by the least, nearest first."""
        nearest: dict[str, RankedCandidate] = {}
        for ranked in self.ranking:
            if not ranked.kept:
                nearest.setdefault(ranked.point.mode, ranked)
        return tuple(nearest.values())

    @property
    def nearest_miss(self) -> RankedCandidate | None:
        """What comes nearest where nobody keeps the limits."""
        return None if self.best else self.ranking[0]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        miss = self.nearest_miss
        return _plain(
            {
                "best": self.best.to_dict() if self.best else None,
                "certificate": asdict(self.proof) if self.proof else None,
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
        )


@dataclass(frozen=True, kw_only=True)
class ProfileCheck:
    """The choice under another energy model.

    Args:
        profile: its name.
        own: the first choice's point at this profile's prices.
        violations: the limits that it breaks there.
        best: what would have been chosen there; None where nobody keeps the limits.
    """

    profile: str
    own: Point
    violations: tuple[Violation, ...]
    best: Point | None

    @property
    def agrees(self) -> bool:
        """True if the same candidate is chosen and the first choice meets every limit."""
        same = self.best is not None and self.best.candidate == self.own.candidate
        return same and not self.violations

    @property
    def excess_energy(self) -> float | None:
        """Share by which the first choice needs more energy than the best one here."""
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
    """The same with lists for tuples and None for what is not finite."""
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
