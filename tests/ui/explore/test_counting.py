"""counting.js alone against NumPy, on random traces with many ties at the thresholds."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

JavaScript = Callable[[str, Any], Any]
GRID = 10_000
CLASSES = 4
SHAPES = [(1, 1), (7, 2), (64, 3), (1001, 4)]  # samples, early exits

every_shape = pytest.mark.parametrize("samples, early", SHAPES)


def made_up(samples: int, early: int) -> dict[str, npt.NDArray[Any]]:
    """Codes are multiples of 500, so that many of them equal a threshold."""
    rng = np.random.default_rng(samples)
    return {
        "codes": 500 * rng.integers(0, 21, (early, samples)),
        "correct": rng.integers(0, 2, (early + 1, samples)),
        "labels": rng.integers(0, CLASSES, samples),
        "thresholds": 500 * rng.integers(0, 21, (20, early)),
    }


def sent(codes: Any, correct: Any, labels: Any) -> dict[str, Any]:
    """As the payload sends them."""
    packed = np.packbits(correct, axis=1, bitorder="little")
    arrays = {"codes": codes.astype("<u2"), "correct": packed, "labels": labels.astype("<u2")}
    texts = {key: base64.b64encode(array.tobytes()).decode() for key, array in arrays.items()}
    exits, samples = correct.shape
    return texts | {"samples": samples, "exits": exits, "classes": CLASSES, "grid": GRID}


def taken(codes: npt.NDArray[Any], thresholds: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(n,): the first exit whose code reaches its threshold, else the final one."""
    leaves = np.vstack([codes >= thresholds[:, None], np.ones(codes.shape[1], bool)])
    return leaves.argmax(axis=0)


@every_shape
def test_counts_over_all_and_by_class(javascript: JavaScript, samples: int, early: int) -> None:
    known = made_up(samples, early)
    thresholds = known.pop("thresholds")

    counted = javascript(
        "([data, all]) => all.map((t) => { const c = counting.count(counting.unpack(data), t);"
        "return [c.exitCounts, c.rightCounts, [...c.byClass], [...c.rightByClass]]; })",
        [sent(**known), thresholds.tolist()],
    )

    assert len(counted) == 20
    for some, (exits, right, by_class, right_by_class) in zip(thresholds, counted, strict=True):
        exit_taken = taken(known["codes"], some)
        is_right = known["correct"][exit_taken, np.arange(samples)]
        table = np.zeros((CLASSES, early + 1), int)
        np.add.at(table, (known["labels"], exit_taken), 1)
        assert exits == np.bincount(exit_taken, minlength=early + 1).tolist()
        assert right == np.bincount(exit_taken, is_right, early + 1).astype(int).tolist()
        assert by_class == table.ravel().tolist()
        assert right_by_class == np.bincount(known["labels"], is_right, CLASSES).tolist()


@every_shape
def test_means_and_fractions_of_a_point(javascript: JavaScript, samples: int, early: int) -> None:
    known = made_up(samples, early)
    thresholds = known.pop("thresholds")
    costs = np.random.default_rng(5).uniform(0, 1e7, (3, early + 1))
    prices = dict(zip(("energy_pj", "latency_ms", "uplink_bytes"), costs.tolist(), strict=True))

    points = javascript(
        "([data, prices, all]) => all.map((t) =>"
        "counting.operatingPoint(counting.unpack(data), prices, t))",
        [sent(**known), prices, thresholds.tolist()],
    )

    assert len(points) == 20
    for some, point in zip(thresholds, points, strict=True):
        exit_taken = taken(known["codes"], some)
        at_edge = int((exit_taken < early).sum())
        assert (point["samples"], point["edgeCount"]) == (samples, at_edge)
        assert point["edgeFraction"] == at_edge / samples
        assert point["accuracy"] == known["correct"][exit_taken, np.arange(samples)].mean()
        for name, by_exit in prices.items():
            assert point[name] == pytest.approx(np.mean(np.array(by_exit)[exit_taken]), rel=1e-12)


@every_shape
def test_a_sweep_is_the_point_at_each_of_its_thresholds(
    javascript: JavaScript, samples: int, early: int
) -> None:
    known = made_up(samples, early)
    fixed = known.pop("thresholds")[0]

    assert early > 0
    for number in range(early):
        curve = javascript(
            "([data, exit, fixed]) => {"
            "const curve = counting.sweep(counting.unpack(data), exit, fixed, 21);"
            "return [[...curve.accuracy], [...curve.edgeFraction]]; }",
            [sent(**known), number, fixed.tolist()],
        )

        for place, threshold in enumerate(range(0, GRID + 1, 500)):
            thresholds = fixed.copy()
            thresholds[number] = threshold
            exit_taken = taken(known["codes"], thresholds)
            accuracy = known["correct"][exit_taken, np.arange(samples)].mean()
            assert curve[0][place] == pytest.approx(100 * accuracy, rel=1e-12)
            assert curve[1][place] == pytest.approx(100 * (exit_taken < early).mean(), rel=1e-12)
