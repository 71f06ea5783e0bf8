"""counting.js alone against NumPy, on random traces with many ties at the thresholds."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hybrid import zoo
from hybrid.ui.explore.follower import payload

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


def sent(codes: Any, correct: Any, labels: Any, *, name: str = "one") -> bytes:
    """As the payload sends them."""
    packed = np.packbits(correct, axis=1, bitorder="little")
    arrays = (codes.astype("<u2"), labels.astype("<u2"), packed)
    body = b"".join(array.tobytes() for array in arrays)
    exits, samples = correct.shape
    known = {"id": name, "samples": samples, "exits": exits, "classes": CLASSES, "grid": GRID}
    header = json.dumps(known | {"bytes": len(body)}).encode()
    return len(header).to_bytes(4, "little") + header + body


def as_text(chunk: bytes) -> str:
    """For a script that is given JSON; TRACES undoes it."""
    return base64.b64encode(chunk).decode()


TRACES = (
    'const traces = (text) => [...counting.traces(new Uint8Array(Buffer.from(text, "base64")))];'
)


def taken(codes: npt.NDArray[Any], thresholds: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(n,): the first exit whose code reaches its threshold, else the final one."""
    leaves = np.vstack([codes >= thresholds[:, None], np.ones(codes.shape[1], bool)])
    return leaves.argmax(axis=0)


@every_shape
def test_counts_over_all_and_by_class(javascript: JavaScript, samples: int, early: int) -> None:
    known = made_up(samples, early)
    thresholds = known.pop("thresholds")

    counted = javascript(
        f"([data, all]) => {{ {TRACES} return all.map((t) => {{"
        "const c = counting.count(traces(data)[0], t);"
        "return [c.exitCounts, c.rightCounts, [...c.byClass], [...c.rightByClass]]; }); }",
        [as_text(sent(**known)), thresholds.tolist()],
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
        f"([data, prices, all]) => {{ {TRACES} return all.map((t) =>"
        "counting.operatingPoint(traces(data)[0], prices, t)); }",
        [as_text(sent(**known)), prices, thresholds.tolist()],
    )

    assert len(points) == 20
    for some, point in zip(thresholds, points, strict=True):
        exit_taken = taken(known["codes"], some)
        at_edge = int((exit_taken < early).sum())
        assert (point["samples"], point["edgeCount"]) == (samples, at_edge)
        assert point["reached"] == [int((exit_taken >= i).sum()) for i in range(early + 1)]
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
            f"([data, exit, fixed]) => {{ {TRACES}"
            "const curve = counting.sweep(traces(data)[0], exit, fixed, 21);"
            "return [[...curve.accuracy], [...curve.edgeFraction]]; }",
            [as_text(sent(**known)), number, fixed.tolist()],
        )

        for place, threshold in enumerate(range(0, GRID + 1, 500)):
            thresholds = fixed.copy()
            thresholds[number] = threshold
            exit_taken = taken(known["codes"], thresholds)
            accuracy = known["correct"][exit_taken, np.arange(samples)].mean()
            assert curve[0][place] == pytest.approx(100 * accuracy, rel=1e-12)
            assert curve[1][place] == pytest.approx(100 * (exit_taken < early).mean(), rel=1e-12)


@every_shape
def test_a_sweep_of_all_is_the_point_at_each_common_threshold(
    javascript: JavaScript, samples: int, early: int
) -> None:
    known = made_up(samples, early)
    known.pop("thresholds")

    accuracy, edge = javascript(
        f"(data) => {{ {TRACES} const curve = counting.sweepTogether(traces(data)[0], 21);"
        "return [[...curve.accuracy], [...curve.edgeFraction]]; }",
        as_text(sent(**known)),
    )

    assert len(accuracy) == 21
    for place, threshold in enumerate(range(0, GRID + 1, 500)):
        exit_taken = taken(known["codes"], np.full(early, threshold))
        right = known["correct"][exit_taken, np.arange(samples)].mean()
        assert accuracy[place] == pytest.approx(100 * right, rel=1e-12)
        assert edge[place] == pytest.approx(100 * (exit_taken < early).mean(), rel=1e-12)


def test_traces_follow_each_other_in_a_message_and_known_ones_are_skipped(
    javascript: JavaScript,
) -> None:
    sizes = {"narrow": (7, 2), "wide": (64, 3), "last": (9, 1)}
    made = {name: made_up(*size) for name, size in sizes.items()}
    for known in made.values():
        known.pop("thresholds")
    message = b"".join(sent(**known, name=name) for name, known in made.items())

    got = javascript(
        '(data) => [...counting.traces(new Uint8Array(Buffer.from(data, "base64")),'
        '(id) => id === "wide")].map((t) => [t.id, [...t.codes], [...t.correct], t.classSamples])',
        as_text(message),
    )

    assert [name for name, *_ in got] == ["narrow", "last"]
    for name, codes, correct, class_samples in got:
        assert codes == made[name]["codes"].ravel().tolist()
        assert correct == made[name]["correct"].ravel().tolist()
        assert class_samples == np.bincount(made[name]["labels"], minlength=CLASSES).tolist()


def test_a_message_of_python_is_read_as_it_was_written(javascript: JavaScript, toy: Path) -> None:
    recorded = zoo.trace("trees-toy", "hybrid-2bit")

    chunk = payload.chunk("known", recorded, "margin", classes=5)

    (got,) = javascript(
        f"(data) => {{ {TRACES} return traces(data).map((t) =>"
        "({ ...t, codes: [...t.codes], correct: [...t.correct], labels: [...t.labels] })); }",
        as_text(chunk),
    )
    assert payload.identity(chunk) == got["id"] == "known"
    assert (got["samples"], got["exits"], got["grid"]) == (500, 3, 10_000)
    early = recorded.confidences["margin"][:, :-1]
    reaches = early.T[..., None] >= (np.arange(10_001) / 10_000).astype(np.float32)
    assert got["codes"] == (reaches.sum(axis=-1) - 1).ravel().tolist()
    assert got["correct"] == recorded.correct.T.astype(int).ravel().tolist()
    assert got["labels"] == recorded.labels.tolist()
