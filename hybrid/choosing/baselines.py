"""A network's hybrids compared with its static networks, by scope and profile. Needs no torch.

A hybrid's best thresholds are found on `tune` and reported on `test`, where they are compared at
the accuracy of a static network. This chooses no point for use: `hybrid.choosing` does, and it
never reads `test`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hybrid import energy, policy, zoo
from hybrid.evaluation import Prices, costs, evaluate_variant
from hybrid.traces.trace import Trace

__all__ = [
    "PROFILES",
    "WITHIN",
    "ComparedPoint",
    "Comparison",
    "Curve",
    "PricedCurves",
    "compared_points",
    "comparisons",
    "comparisons_at",
    "priced_curves",
]

# Three published models of energy: the paper's group, Google's for quantized layers, a real chip.
PROFILES = ("purdue-45nm", "qkeras-45nm", "gap9")
GRID_SIZE = 41  # thresholds per exit whose combinations are tried on tune
WITHIN = 0.005  # accuracy that counts as equal: half a point, one standard error of 2,500 images
POINTS = 40  # points of each hybrid's frontier that are evaluated on test


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve(policy.Frontier):
    """One variant on test: a hybrid's frontier, or the single point of a static network."""

    variant: zoo.Variant


@dataclass(frozen=True, kw_only=True, eq=False)
class PricedCurves:
    """All variants of a network under one scope and one profile."""

    scope: str
    profile: str
    hybrids: tuple[Curve, ...]
    statics: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A static network and the cheapest hybrid point at most half a point less accurate.

    Args:
        hybrid: variant of that point; empty if no hybrid is as accurate.
        hybrid_energy_pj: energy of that point; infinite if there is none.
        hybrid_thresholds: one per early exit of that point; empty if there is none.
    """

    static: str
    accuracy: float
    static_energy_pj: float
    hybrid: str
    hybrid_energy_pj: float
    hybrid_thresholds: tuple[float, ...] = ()

    @property
    def static_wins(self) -> bool:
        """Whether the static network needs less energy for its accuracy than any hybrid."""
        return self.static_energy_pj < self.hybrid_energy_pj


@dataclass(frozen=True, kw_only=True)
class ComparedPoint:
    """One of the two points of a comparison on test, with all figures that can decide it.

    point: in the scope asked for. device_energy_pj: the battery's share per image, radio included.
    edge_bytes: weights that the device holds, exit heads included.
    """

    variant: zoo.Variant
    point: policy.OperatingPoint
    device_energy_pj: float
    edge_bytes: int


def priced_curves(
    network: str, *, scopes: Sequence[str] = energy.SCOPES, profiles: Sequence[str] = PROFILES
) -> list[PricedCurves]:
    """Every scope under every profile.

    Raises:
        UnknownNameError, DataMissingError: a network, scope, profile or trace is missing.
    """
    counted = [_count(network, one) for one in zoo.card(network).variants.values()]
    return [
        _priced_curves(counted, Prices(profile=energy.load_profile(profile), scope=scope))
        for scope, profile in product(scopes, profiles)
    ]


def comparisons(curves: PricedCurves) -> list[Comparison]:
    """Compare each static network with all hybrids."""
    return [_compare(static, curves.hybrids) for static in curves.statics]


def comparisons_at(network: str, prices: Prices) -> list[Comparison]:
    """Compare each static network of one network with all its hybrids, at these prices only.

    Raises:
        UnknownNameError, DataMissingError, TraceError: a network or trace is missing or damaged.
    """
    counted = [_count(network, one) for one in zoo.card(network).variants.values()]
    return comparisons(_priced_curves(counted, prices))


def compared_points(
    network: str, comparison: Comparison, prices: Prices
) -> tuple[ComparedPoint, ComparedPoint | None]:
    """The two points of a comparison: static network and hybrid (None if there is none).

    Args:
        network: the network that was compared.
        comparison: one of those from `comparisons`.
        prices: profile, link and scope of the energy that is compared.
    """
    card = zoo.card(network)
    static = _compared_point(card, card.variants[comparison.static], (), prices)
    if not comparison.hybrid:
        return static, None
    hybrid = card.variants[comparison.hybrid]
    return static, _compared_point(card, hybrid, comparison.hybrid_thresholds, prices)


def _compared_point(
    card: zoo.Card, variant: zoo.Variant, thresholds: Sequence[float], prices: Prices
) -> ComparedPoint:
    point, radio = (
        evaluate_variant(card, variant, thresholds, prices=one)
        for one in (prices, replace(prices, scope="device"))
    )
    return ComparedPoint(
        variant=variant,
        point=point,
        device_energy_pj=radio.energy_pj,
        edge_bytes=energy.edge_weight_bytes(variant.layers),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Counted:
    """Counts on tune at every combination of thresholds, without prices."""

    variant: zoo.Variant
    points: policy.AllPoints
    test: Trace


def _count(network: str, variant: zoo.Variant) -> _Counted:
    tune = zoo.trace(network, variant.name, "tune")
    sure = tune.confidences["max_probability"]
    grids = [policy.threshold_grid(sure[:, i], GRID_SIZE) for i in range(variant.early_exits)]
    return _Counted(
        variant=variant,
        points=policy.all_points(tune, grid=grids),
        test=zoo.trace(network, variant.name, "test"),
    )


def _priced_curves(counted: Sequence[_Counted], prices: Prices) -> PricedCurves:
    curves = [_curve(one, prices) for one in counted]
    return PricedCurves(
        scope=prices.scope,
        profile=prices.profile.name,
        hybrids=tuple(c for c in curves if not c.variant.is_static),
        statics=tuple(c for c in curves if c.variant.is_static),
    )


def _curve(counted: _Counted, prices: Prices) -> Curve:
    paid = costs(counted.variant, prices)
    found = policy.frontier_on(counted.points, counted.test, paid, most=POINTS)
    return Curve(variant=counted.variant, **vars(found))


def _compare(static: Curve, hybrids: Sequence[Curve]) -> Comparison:
    accuracy = float(static.accuracy[0])
    able = [
        (float(curve.energy_pj[at]), curve.variant.name, tuple(curve.thresholds[at].tolist()))
        for curve in hybrids
        for at in np.flatnonzero(curve.accuracy >= accuracy - WITHIN)
    ]
    spent, name, thresholds = min(able, default=(float("inf"), "", ()))
    return Comparison(
        static=static.variant.name,
        accuracy=accuracy,
        static_energy_pj=float(static.energy_pj[0]),
        hybrid=name,
        hybrid_energy_pj=spent,
        hybrid_thresholds=thresholds,
    )
