"""An answer as the page Choose shows it: links into Explore, and clicks that are not trusted."""

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

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


def test_the_link_sets_explores_sliders_and_keeps_the_rest_of_the_view() -> None:
    one = MarkedPoint(network="oaks", mode="hybrid", bits=4, thresholds=(0.1235, 0.5, 1.0))

    query = parse_qs(urlsplit(tables.explore_link(VIEW, one)).query)

    assert [query[key] for key in ("network", "bits", "sliders")] == [["oaks"], ["4"], ["each"]]
    assert [query[key] for key in ("t1", "t2", "t3")] == [["0.1235"], ["0.5"], ["1.0"]]
    assert query["scope"] == ["device"]


def test_a_click_names_its_candidate() -> None:
    found = tables.marked([{"customdata": [0, 0]}], SETS)

    assert found == MarkedPoint(network="oaks", mode="hybrid", bits=4, thresholds=(0.25, 0.5))
    assert found.words == "oaks, hybrid 4 bit at 0.25, 0.5"


@pytest.mark.parametrize("points", [[], [{}], [{"customdata": [1, 0]}], [{"customdata": [0, 1]}]])
def test_a_click_on_anything_else_marks_nothing(points: list[dict[str, list[int]]]) -> None:
    assert tables.marked(points, SETS) is None
