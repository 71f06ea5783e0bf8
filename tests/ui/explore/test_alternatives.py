"""The better point of the chart: equal to a search of every point, in Python and in JavaScript."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid.ui.explore.alternatives import alternatives, better
from hybrid.ui.explore.data import Alternative, Frontier, StaticPoint

JavaScript = Callable[[str, Any], Any]
Figures = tuple[float, float]  # accuracy, energy in pJ

# Few different numbers, so that many points are equal on one axis or on both.
figures = st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.8]), st.sampled_from([1.0, 2.0, 3.0, 4.0]))
charts = st.tuples(
    st.lists(st.lists(figures, min_size=1, max_size=6), max_size=3), st.lists(figures, max_size=3)
)


def frontier(bits: int, points: list[Figures]) -> Frontier:
    accuracy, energy_pj = np.array(points).T
    thresholds = np.linspace(0, 1, 2 * len(points)).reshape(-1, 2)
    return Frontier(
        bits=bits,
        thresholds=thresholds,
        energy_pj=energy_pj,
        edge_fraction=np.zeros(len(points)),
        accuracy=accuracy,
    )


def of_chart(hybrids: list[list[Figures]], statics: list[Figures]) -> tuple[Alternative, ...]:
    return alternatives(
        [frontier(bits, points) for bits, points in enumerate(hybrids, start=1)],
        [StaticPoint(bits=8, accuracy=right, energy_pj=pj) for right, pj in statics],
    )


def searched(now: Figures, hybrids: list[list[Figures]], statics: list[Figures]) -> Figures | None:
    """Accuracy and energy of the better point: the cheapest, the most accurate of equally cheap."""
    every = [*(one for points in hybrids for one in points), *statics]
    found = [one for one in every if one[0] >= now[0] and one[1] < now[1]]
    return min(found, key=lambda one: (one[1], -one[0]), default=None)


@given(now=figures, chart=charts)
def test_the_better_point_is_the_one_that_a_search_of_every_point_finds(
    now: Figures, chart: tuple[list[list[Figures]], list[Figures]]
) -> None:
    known = of_chart(*chart)

    at = better(known, accuracy=now[0], energy_pj=now[1])

    found = None if at is None else (known[at].accuracy, known[at].energy_pj)
    assert found == searched(now, *chart)


@given(chart=charts, now=figures)
def test_nothing_is_better_than_a_better_point(
    now: Figures, chart: tuple[list[list[Figures]], list[Figures]]
) -> None:
    known = of_chart(*chart)

    at = better(known, accuracy=now[0], energy_pj=now[1])

    if at is not None:
        there = known[at]
        assert better(known, accuracy=there.accuracy, energy_pj=there.energy_pj) is None


def test_a_point_keeps_its_bit_width_and_thresholds_and_a_static_network_has_none() -> None:
    known = of_chart([[(0.5, 1.0)], [(0.6, 2.0), (0.7, 3.0)]], [(0.8, 4.0)])

    assert [(one.bits, one.thresholds, one.is_static) for one in known] == [
        (1, (0.0, 1.0), False),
        (2, (0.0, 1 / 3), False),
        (2, (2 / 3, 1.0), False),
        (8, (), True),
    ]


def test_the_browser_finds_the_same_point(javascript: JavaScript) -> None:
    rng = np.random.default_rng(4)
    cases = []
    for _ in range(200):
        right = rng.integers(40, 60, 30)
        spent = right - 39 + rng.integers(0, 4, 30)  # the more accurate, the dearer
        known = of_chart([np.column_stack([right / 64, spent]).tolist()], [])
        now = (rng.integers(39, 62) / 64, float(rng.integers(1, 25)))
        cases.append((now, known))

    found = javascript(
        "(all) => all.map(([point, known]) => counting.betterThan(point, known))",
        [
            (
                {"accuracy": accuracy, "energy_pj": energy_pj},
                {
                    "accuracy": [one.accuracy for one in known],
                    "energy_pj": [one.energy_pj for one in known],
                },
            )
            for (accuracy, energy_pj), known in cases
        ],
    )

    assert found == [better(known, accuracy=now[0], energy_pj=now[1]) for now, known in cases]
    assert None in found
    assert len(set(found)) > 4
