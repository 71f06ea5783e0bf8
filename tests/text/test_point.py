"""Sentences about an operating point."""

from hybrid import policy
from hybrid.energy import ExitCosts
from hybrid.text import point
from hybrid.ui.explore.data import StaticPoint

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
        "accuracy": ("90.00 %", "−0.41 points vs twin"),
        "energy": ("2.04 µJ", "twin 11.2 µJ"),
        "reduction": ("5.50×", "compute"),
        "latency": ("21.5 ms", "via cloud 60.0 ms"),
        "uplink": ("348 B", "raw image 3.07 kB"),
    }


def test_a_static_network_that_is_better_on_both_axes_is_named() -> None:
    statics = [
        StaticPoint(bits=2, accuracy=0.89, energy_pj=1e6),
        StaticPoint(bits=3, accuracy=0.905, energy_pj=1.5e6),
        StaticPoint(bits=32, accuracy=0.93, energy_pj=2e8),
    ]

    assert point.verdict(POINT, statics, scope="compute") == (
        "The static 3-bit network beats this point on both accuracy and energy: 90.50 % at 1.50 µJ "
        "per image (compute), against 90.00 % at 2.04 µJ."
    )


def test_a_static_network_that_is_better_on_one_axis_only_does_not_beat_the_point() -> None:
    statics = [
        StaticPoint(bits=4, accuracy=0.95, energy_pj=3e6),
        StaticPoint(bits=2, accuracy=0.8, energy_pj=1.0),
    ]

    assert point.verdict(POINT, statics, scope="device") == (
        "No static network beats this point on both accuracy and energy (device)."
    )


def test_an_equal_static_network_does_not_beat_the_point() -> None:
    equal = StaticPoint(bits=4, accuracy=0.9, energy_pj=2_042_500.0)

    assert point.verdict(POINT, [equal], scope="compute").startswith("No static network beats")


def test_with_only_the_twin_recorded_the_verdict_is_about_the_twin_alone() -> None:
    twin = StaticPoint(bits=32, accuracy=0.93, energy_pj=2e8)

    assert point.verdict(POINT, [twin], scope="compute") == (
        "The full-precision twin does not beat this point on both accuracy and energy (compute). "
        "A static network with fewer bits might, but none is recorded here."
    )
