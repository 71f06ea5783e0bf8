"""An answer as the page Choose shows it: links into Explore, and clicks that are not trusted."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hybrid.ui.choose import tables
from hybrid.ui.choose.tables import MarkedPoint
from hybrid.ui.view import View

VIEW = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8), sliders="one", scope="device")
SETS = [
    SimpleNamespace(
        network="oaks", mode="hybrid", bits=4, thresholds=np.array([[0.25, 0.5]]), over=[False]
    )
]


def test_a_candidate_sets_explores_network_bits_sliders_and_images() -> None:
    one = MarkedPoint(network="oaks", mode="hybrid", bits=4, thresholds=(0.1235, 0.5, 1.0))

    assert tables.in_explore(one, replace(VIEW, split="mine-tune")) == {
        "network": "oaks", "bits": 4, "thresholds": (0.1235, 0.5, 1.0), "sliders": "each",
        "split": "mine-tune", "form": "trained",
    }  # fmt: skip


def test_a_click_names_its_candidate() -> None:
    found = tables.marked([{"customdata": [0, 0]}], SETS)

    assert found == MarkedPoint(network="oaks", mode="hybrid", bits=4, thresholds=(0.25, 0.5))
    assert found.words == "oaks, hybrid 4 bit at 0.25, 0.5"


@pytest.mark.parametrize("points", [[], [{}], [{"customdata": [1, 0]}], [{"customdata": [0, 1]}]])
def test_a_click_on_anything_else_marks_nothing(points: list[dict[str, list[int]]]) -> None:
    assert tables.marked(points, SETS) is None


def test_the_accuracy_on_few_test_images_has_its_interval() -> None:
    few = SimpleNamespace(samples=60, accuracy=54 / 60, split="test")
    many = SimpleNamespace(samples=10_000, accuracy=0.9, split="test")
    tune = SimpleNamespace(samples=2_500, split="tune")

    # Wilson's interval of 54 out of 60, as published tables have it: 0.799 to 0.953
    said = tables.about_boxes(SimpleNamespace(test=few, tune=tune), "compute")
    assert said.endswith("the accuracy may be 79.9 % to 95.3 % (95 % confidence).")
    assert "confidence" not in tables.about_boxes(SimpleNamespace(test=many, tune=tune), "compute")
