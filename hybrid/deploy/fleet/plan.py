"""A day of a fleet at an operating point: traffic, energy, waiting times, replicas needed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hybrid import evaluation, policy, zoo
from hybrid.deploy.fleet import day
from hybrid.deploy.fleet.queueing import Cloud, Served, simulate
from hybrid.errors import FleetError
from hybrid.evaluation import Prices

__all__ = ["Fleet", "Plan", "by_threshold", "cloud_ms", "plan"]

COMMON = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # thresholds of all exits that are compared
_MOST_REPLICAS = 1000
_MOST_REQUESTS = 20_000_000  # a day; about two minutes and 1 GB
_PICO_PER_JOULE = 1e12


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """So many devices, and how they spend a day.

    Args:
        images_per_day: of each device.
        pattern: one of `day.PATTERNS`.
    """

    devices: int
    images_per_day: float
    pattern: str = "day"

    def __post_init__(self) -> None:
        """Refuse a fleet without devices or images."""
        if self.devices < 1 or not 0 < self.images_per_day < math.inf:
            raise FleetError("A fleet has at least one device that takes at least one image.")

    @property
    def images(self) -> float:
        """Of all devices in a day."""
        return self.devices * self.images_per_day


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a day takes.

    to_cloud: share of the images that are sent. before_cloud_ms: of such an image, on the device
    and the link, there and back. uplink_bytes, device_energy_j: of all devices; the energy is that
    of edge, memory and radio. needed: replicas that answer 99 % of the busiest hour's requests
    `within_ms`; None if no number does.
    """

    fleet: Fleet
    point: policy.OperatingPoint
    cloud: Cloud
    served: Served
    to_cloud: float
    before_cloud_ms: float
    uplink_bytes: float
    device_energy_j: float
    within_ms: float
    needed: int | None

    @property
    def requests(self) -> int:
        """Images sent to the cloud in this day."""
        return len(self.served.in_cloud_ms)

    def as_row(self) -> dict[str, Any]:
        """All figures by name, for JSON and tables."""
        served, images = self.served, self.fleet.images
        return {
            "devices": self.fleet.devices,
            "images": round(images),
            "accuracy": self.point.outcome.accuracy if self.point.outcome.labelled else None,
            "edge_fraction": self.point.outcome.edge_fraction,
            "requests": self.requests,
            "peak_requests_per_s": _peak(self.fleet, self.to_cloud),
            "uplink_bytes": self.uplink_bytes,
            "device_energy_j": self.device_energy_j,
            "replicas": self.cloud.replicas,
            "replicas_needed": self.needed,
            "utilization": served.busy_s / (day.HOURS * day.HOUR_S * self.cloud.replicas),
            "in_cloud_ms": {
                f"p{share}": served.percentile_ms(share / 100) for share in (50, 95, 99)
            },
            "latency_ms": {
                f"p{share}": self.before_cloud_ms + served.percentile_ms(share / 100)
                for share in (50, 95, 99)
            },
            "refused": served.refused,
        }


def plan(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    fleet: Fleet,
    cloud: Cloud,
    *,
    as_needed: bool = False,
    measure: str = "max_probability",
    split: str = "test",
    prices: Prices | None = None,
    within_ms: float = 50.0,
    seed: int = 0,
) -> Plan:
    """Simulate one day.

    Args:
        thresholds: one per early exit.
        cloud: with its own number of replicas.
        as_needed: take as many replicas as are needed instead.
        prices: for energy on the device and latency; the scope is always the device's.
        within_ms: the replicas needed answer 99 % of the busiest hour's requests within this time.

    Raises:
        FleetError: more requests than can be simulated.
        Others as `evaluation.evaluate_variant`.
    """
    prices = replace(prices or Prices(), scope="device")
    card = zoo.card(network)
    point = evaluation.evaluate_variant(
        card, variant, thresholds, measure=measure, split=split, prices=prices
    )
    to_cloud = 1 - point.outcome.edge_fraction
    rates = day.rates_per_s(fleet.images * to_cloud, fleet.pattern)
    if rates.sum() * day.HOUR_S > _MOST_REQUESTS:
        raise FleetError(
            f"{rates.sum() * day.HOUR_S:,.0f} requests per day are more than the "
            f"{_MOST_REQUESTS:,} that can be simulated; simulate a part of the fleet."
        )
    needed = _needed(cloud, float(rates.max()), within_ms, seed)
    if as_needed:
        cloud = replace(cloud, replicas=needed or _MOST_REPLICAS)
    rng = np.random.default_rng(seed)
    served = simulate(day.request_times(rates, rng), cloud, rng)
    costs = evaluation.costs(variant, prices)
    return Plan(
        fleet=fleet,
        point=point,
        cloud=cloud,
        served=served,
        to_cloud=to_cloud,
        before_cloud_ms=costs.latency_ms[-1] - cloud_ms(variant, prices),
        uplink_bytes=point.uplink_bytes * fleet.images,
        device_energy_j=point.energy_pj * fleet.images / _PICO_PER_JOULE,
        within_ms=within_ms,
        needed=needed,
    )


def cloud_ms(variant: zoo.Variant, prices: Prices) -> float:
    """Milliseconds that one image takes in the cloud, by the profile's speed."""
    macs = sum(layer.macs for layer in variant.layers if layer.segment == "cloud")
    profile = prices.cloud or prices.profile
    return macs / profile.cloud_macs_per_second * 1000


def by_threshold(
    network: str,
    variant: zoo.Variant,
    fleet: Fleet,
    cloud: Cloud,
    *,
    measure: str = "max_probability",
    split: str = "test",
    prices: Prices | None = None,
) -> Iterator[dict[str, float]]:
    """What a day takes at other thresholds, the same at every exit; nothing is simulated.

    Yields for each of COMMON: threshold, accuracy, edge_fraction, peak_requests_per_s, replicas
    (busy at most 80 % of the busiest hour), uplink_bytes and device_energy_j of a day.
    """
    prices = replace(prices or Prices(), scope="device")
    one_per_s = replace(cloud, replicas=1).most_per_s
    for threshold in COMMON:
        point = evaluation.evaluate_variant(
            zoo.card(network),
            variant,
            [threshold] * variant.early_exits,
            measure=measure,
            split=split,
            prices=prices,
        )
        peak = _peak(fleet, 1 - point.outcome.edge_fraction)
        yield {
            "threshold": threshold,
            "accuracy": point.outcome.accuracy,
            "edge_fraction": point.outcome.edge_fraction,
            "peak_requests_per_s": peak,
            "replicas": math.ceil(peak / (0.8 * one_per_s)),
            "uplink_bytes": point.uplink_bytes * fleet.images,
            "device_energy_j": point.energy_pj * fleet.images / _PICO_PER_JOULE,
        }


def _peak(fleet: Fleet, to_cloud: float) -> float:
    return day.peak_rate_per_s(fleet.images * to_cloud, fleet.pattern)


def _needed(cloud: Cloud, peak_per_s: float, within_ms: float, seed: int) -> int | None:
    """The fewest replicas that answer 99 % of the busiest hour's requests within a time.

    More replicas never wait longer, so bisection finds them.
    """
    if within_ms <= cloud.mean_ms:
        return None

    def keeps(replicas: int) -> bool:
        rng = np.random.default_rng(seed)
        times = day.request_times([peak_per_s], rng)
        served = simulate(times, replace(cloud, replicas=replicas), rng)
        return not served.refused and served.percentile_ms(0.99) <= within_ms

    enough = max(1, math.ceil(peak_per_s / replace(cloud, replicas=1).most_per_s))
    fewest = enough
    while enough <= _MOST_REPLICAS and not keeps(enough):
        fewest, enough = enough + 1, 2 * enough
    if enough > _MOST_REPLICAS:
        return None
    while fewest < enough:
        middle = (fewest + enough) // 2
        fewest, enough = (fewest, middle) if keeps(middle) else (middle + 1, enough)
    return enough
