"""Limits: what is none is refused in one sentence."""

import numpy as np
import pytest

from hybrid.choosing import Limits
from hybrid.choosing.limits import excess_share
from hybrid.errors import LimitError


@pytest.mark.parametrize(
    "given, words",
    [
        ({"max_loss_points": -1.0}, "max_loss_points is -1.0; a limit is a number that is 0 or"),
        ({"max_energy_uj": float("nan")}, "max_energy_uj is nan"),
        ({"max_latency_ms": float("inf")}, "max_latency_ms is inf"),
        ({"confidence": 0.0}, "A confidence of 0.0 cannot be had from samples"),
        ({"confidence": 1.0}, "A confidence of 1.0 cannot be had from samples"),
        ({"confidence": float("nan")}, "A confidence of nan"),
        ({"min_days": 30.0}, "images a day and the battery's mAh and its volts are missing"),
        ({"images_per_day": 9.0, "battery_mah": 9.0}, "its volts is missing"),
        ({"images_per_day": 0.0, "battery_mah": 9.0, "battery_volts": 3.0}, "images a day is miss"),
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
