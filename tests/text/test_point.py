"""Sentences about an operating point."""

import pytest

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.text import point
from hybrid.ui.explore.data import Alternative

COSTS = ExitCosts(energy_pj=(1e6, 4e6), latency_ms=(1.0, 60.0), uplink_bytes=(0.0, 1000.0))
COUNTED = policy.Outcome(
    samples=10_000,
    thresholds=(0.8,),
    measure="max_probability",
    exit_counts=(6525, 3475),
    correct_counts=(6000, 3000),
    final_exit_correct=9100,
)
POINT = policy.OperatingPoint(
    outcome=COUNTED,
    energy_pj=2_042_500.0,  # 0.6525 · 1 µJ + 0.3475 · 4 µJ
    latency_ms=21.5025,
    uplink_bytes=347.5,
    twin_energy_pj=11_233_750.0,
    twin_accuracy=0.9041,
)


def test_every_headline_has_its_unit_and_what_it_is_compared_with() -> None:
    shown = point.headlines(POINT, COSTS, scope="compute", image_bytes=3072)

    assert {h.key: (h.value, h.note) for h in shown} == {
        "edge": ("65.3 %", "6,525 of 10,000"),  # 65.25 is rounded up, as the browser does
        "accuracy": ("90.00 %", "−0.41 points"),
        "energy": ("2.04 µJ", "compute"),
        "reduction": ("5.50×", "compute"),
        "latency": ("21.5 ms", "via cloud 60.0 ms"),
        "uplink": ("348 B", "raw image 3.07 kB"),
    }


def test_an_energy_and_its_reduction_are_explained_with_the_baselines_energy() -> None:
    shown = {h.key: h for h in point.headlines(POINT, COSTS, scope="compute", image_bytes=3072)}

    assert "The energy of running the full-precision twin is 11.2 µJ." in shown["energy"].help
    assert "full-precision twin, 11.2 µJ, divided by" in shown["reduction"].help


def alternative(bits: int, *thresholds: float) -> Alternative:
    return Alternative(bits=bits, thresholds=thresholds, accuracy=0.905, energy_pj=1.5e6)


def test_a_better_point_of_a_frontier_is_named_with_its_bit_width() -> None:
    said = [
        point.verdict(POINT, alternative(bits, 0.7), static_bits=[4], scope="compute")
        for bits in (1, 3)
    ]

    assert said == [
        f"With {bits} and well-chosen thresholds you get 90.50 % at 1.50 µJ per image (compute), "
        "against 90.00 % at 2.04 µJ here."
        for bits in ("1 bit", "3 bits")
    ]


def test_a_better_static_network_is_named_as_one() -> None:
    said = point.verdict(POINT, alternative(3), static_bits=[3], scope="compute")

    assert said == (
        "The static 3-bit network gives 90.50 % at 1.50 µJ per image (compute), against 90.00 % at "
        "2.04 µJ here."
    )


@pytest.mark.parametrize(
    "static_bits, end",
    [
        ([2, 32], "no bit width and no static network."),
        (
            [32],
            (
                "no bit width, and not the full-precision twin. A static network with fewer bits "
                "might, but none is recorded here."
            ),
        ),
        ([], "no bit width. No static network is recorded here to compare with."),
    ],
)
def test_where_nothing_is_better_the_sentence_names_what_was_compared(
    static_bits: list[int], end: str
) -> None:
    said = point.verdict(POINT, None, static_bits=static_bits, scope="device")

    assert said == f"Nothing in the chart reaches this accuracy with less energy (device): {end}"


def test_without_labels_nothing_is_compared() -> None:
    said = point.verdict(POINT, None, static_bits=[4], scope="compute", labelled=False)

    assert said == point.UNLABELLED
