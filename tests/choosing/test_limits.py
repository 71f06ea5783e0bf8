"""Limits: what is none is refused in one sentence."""

import numpy as np
import pytest

from hybrid.choosing import Limits
from hybrid.choosing.limits import excess_share
from hybrid.errors import LimitError


@pytest.mark.parametrize(
    "given, words",
    [
        ({"max_loss_points": -1.0}, "the accuracy lost is -1 points; give a number of 0 or more"),
        ({"max_loss_points": 500.0}, "the accuracy lost is 500 points, but it is never more than"),
        ({"max_energy_uj": float("nan")}, "the energy is nan µJ; give a number"),
        ({"max_latency_ms": float("inf")}, "the mean latency is inf ms; give a number"),
        ({"max_p95_latency_ms": -2.0}, "the 95th percentile of the latency is -2 ms"),
        ({"min_accuracy_percent": 101.0}, "the accuracy is 101 %, but it is never more than 100"),
        ({"min_accuracy_percent": 0.9}, "accuracies are in percent, so write 90"),
        ({"min_class_accuracy_percent": 0.85}, "accuracies are in percent, so write 85"),
        ({"confidence": 0.0}, "A confidence of 0 cannot be had from samples"),
        ({"confidence": 1.0}, "A confidence of 100 % cannot be had from samples; write a fraction"),
        ({"confidence": 100.0}, "A confidence of 100 % cannot be had from samples"),
        ({"confidence": 95.0}, "a fraction, not a percentage; for 95 %, write 0.95"),
        ({"confidence": -0.5}, "A confidence of -0.5 cannot be had from samples"),
        ({"confidence": float("nan")}, "A confidence of nan"),
        ({"min_days": 30.0}, "images a day and the battery's mAh and its volts are missing"),
        ({"images_per_day": 9.0, "battery_mah": 9.0}, "its volts is missing"),
        ({"images_per_day": 0.0, "battery_mah": 9.0, "battery_volts": 3.0}, "images a day is 0"),
    ],
)
def test_what_no_limit_can_be_is_refused(given: dict[str, float], words: str) -> None:
    with pytest.raises(LimitError, match=words):
        Limits(**given)


def test_a_limit_of_nothing_is_missed_by_the_figure_itself() -> None:
    figures = {"uplink_bytes": np.array([0.0, 12.0])}

    assert excess_share(figures, Limits(max_uplink_bytes=0)).tolist() == [0, 12]


def test_the_miss_is_the_largest_share_over_all_limits() -> None:
    figures = {"energy_uj": np.array([12.0]), "latency_ms": np.array([15.0])}

    # 20 % over 10 µJ, 50 % over 10 ms
    assert excess_share(figures, Limits(max_energy_uj=10, max_latency_ms=10)).tolist() == [0.5]


def test_where_at_least_a_limit_is_required_the_missing_share_is_the_miss() -> None:
    figures = {"accuracy_percent": np.array([90.0, 81.0, 95.0])}

    assert excess_share(figures, Limits(min_accuracy_percent=90)).tolist() == [0, 0.1, 0]


def test_a_limit_of_a_hundred_points_needs_no_certificate() -> None:
    assert Limits(max_loss_points=99.0).certified
    assert not Limits(max_loss_points=100.0).certified
    assert not Limits(max_loss_points=100.0).uncertified
