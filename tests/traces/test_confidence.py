"""Confidences against scipy and scikit-learn, loops, and the properties every measure has."""

import math
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.metrics import roc_auc_score

from hybrid.traces import confidence
from hybrid.traces.confidence import CODES, MEASURES
from tests.strategies import near_thresholds, probabilities, synthetic_logits

Measure = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

every_measure = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)

logit_arrays = npst.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-100, 100, width=32),
)


@given(logit_arrays, st.floats(0.05, 20))
def test_softmax_equals_scipys(logits: np.ndarray, temperature: float):
    expected = scipy.special.softmax(logits.astype(np.float64) / temperature, axis=1)

    assert np.allclose(confidence.softmax(logits, temperature), expected, rtol=1e-12, atol=1e-300)


def test_softmax_of_logits_too_large_for_exp_is_finite():
    assert confidence.softmax([[1e4, 0.0]]).tolist() == [[1.0, 0.0]]


def test_softmax_leaves_the_callers_logits_alone():
    logits = np.array([[1.0, 2.0]])

    confidence.softmax(logits)

    assert logits.tolist() == [[1.0, 2.0]]


@every_measure
@given(probabilities())
def test_confidence_lies_in_the_unit_interval(measure: Measure, rows: np.ndarray):
    values = measure(rows)

    assert values.shape == (len(rows),)
    assert ((values >= 0) & (values <= 1)).all()


@every_measure
@pytest.mark.parametrize("classes", [1, 2, 10, 100])
def test_a_certain_answer_has_confidence_1(measure: Measure, classes: int):
    assert measure(np.eye(classes)).tolist() == [1.0] * classes


@every_measure
@given(probabilities(), st.randoms())
def test_the_order_of_classes_does_not_matter(
    measure: Measure, rows: np.ndarray, shuffler: random.Random
):
    order = list(range(rows.shape[1]))
    shuffler.shuffle(order)

    assert np.allclose(measure(rows[:, order]), measure(rows), atol=1e-12)


@every_measure
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_a_samples_confidence_does_not_depend_on_its_batch(measure: Measure, classes: int):
    (logits,), _ = synthetic_logits(257, 1, classes, seed=2)
    together = measure(confidence.softmax(logits, 1.3))

    for start, stop in [(0, 1), (5, 6), (7, 24), (100, 257)]:
        alone = measure(confidence.softmax(logits[start:stop], 1.3))
        assert np.array_equal(alone, together[start:stop])


def test_an_even_answer_has_the_least_confidence():
    even = np.full((1, 4), 0.25)

    assert confidence.max_probability(even).tolist() == [0.25]
    assert confidence.margin(even).tolist() == [0.0]
    assert confidence.entropy(even) == pytest.approx(0.0, abs=1e-12)


@given(probabilities())
def test_margin_is_the_gap_of_the_two_likeliest(rows: np.ndarray):
    ordered = [sorted([*row.tolist(), 0.0], reverse=True) for row in rows]

    assert np.allclose(confidence.margin(rows), [row[0] - row[1] for row in ordered])


@given(probabilities())
def test_entropy_is_scipys_turned_around(rows: np.ndarray):
    if rows.shape[1] == 1:
        rows = np.hstack([rows, np.zeros_like(rows)])

    expected = 1 - scipy.stats.entropy(rows, axis=1) / math.log(rows.shape[1])

    assert np.allclose(confidence.entropy(rows), expected, atol=1e-12)


@given(
    npst.arrays(
        np.float32, st.integers(1, 20), elements=near_thresholds() | st.floats(0, 1, width=32)
    )
)
def test_codes_and_confidences_agree_at_every_threshold_nearby(values: np.ndarray):
    codes = confidence.to_codes(values).astype(int)

    assert len(codes) > 0
    for value, code in zip(values, codes, strict=True):
        for step in {0, max(code - 1, 0), code, min(code + 1, CODES), CODES}:
            assert (code >= step) == (value >= np.float32(step / CODES))


def test_every_threshold_of_the_grid_has_its_own_code():
    grid = (np.arange(CODES + 1) / CODES).astype(np.float32)

    assert np.array_equal(confidence.to_codes(grid), np.arange(CODES + 1))
    below = np.nextafter(grid[1:], np.float32(0))
    assert np.array_equal(confidence.to_codes(below), np.arange(CODES))


def test_codes_keep_the_shape_of_the_confidences():
    assert confidence.to_codes(np.zeros((2, 3), np.float32)).shape == (2, 3)


def negative_log_likelihood(logits: npt.ArrayLike, labels: np.ndarray, temperature: float) -> float:
    logs = scipy.special.log_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_the_temperature_the_labels_were_drawn_with_is_found(true_temperature: float):
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=2, size=(20_000, 5))
    drawn = scipy.special.softmax(logits / true_temperature, axis=1)
    labels = (drawn.cumsum(axis=1) > rng.random((len(drawn), 1))).argmax(axis=1)

    assert confidence.fit_temperature(logits, labels) == pytest.approx(true_temperature, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_beside_the_fitted_one_is_better(seed: int):
    (logits,), labels = synthetic_logits(300, 1, 6, seed)
    fitted = confidence.fit_temperature(logits, labels)
    least = negative_log_likelihood(logits, labels, fitted)

    for other in [*np.geomspace(0.05, 20, 50), fitted * 0.999, fitted * 1.001]:
        assert least <= negative_log_likelihood(logits, labels, other) + 1e-12


def test_logits_that_are_always_right_end_at_the_lowest_temperature():
    assert confidence.fit_temperature(np.eye(3), [0, 1, 2]) == 0.05


def test_logits_that_are_always_wrong_end_at_the_highest_temperature():
    assert confidence.fit_temperature(np.eye(3), [1, 2, 0]) == 20.0


def test_a_temperature_that_changes_nothing_is_1():
    assert confidence.fit_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1.0


few_values = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(st.lists(st.tuples(few_values | st.floats(0, 1), st.booleans()), min_size=2, max_size=30))
def test_auroc_counts_pairs_as_scikit_learn_does(rows: list[tuple[float, bool]]):
    sure, right = zip(*rows, strict=True)
    if len(set(right)) == 1:
        assert math.isnan(confidence.auroc(sure, right))
    else:
        assert confidence.auroc(sure, right) == pytest.approx(roc_auc_score(right, sure))


def test_auroc_counts_ties_half():
    # pairs (right, wrong): 0.8 > 0.5 counts 1, 0.5 = 0.5 counts ½
    assert confidence.auroc([0.8, 0.5, 0.5], [True, True, False]) == (1 + 0.5) / 2


@given(
    st.lists(st.tuples(few_values | st.floats(0, 1), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 8),
)
def test_reliability_equals_a_loop_over_bins(rows: list[tuple[float, bool]], bins: int):
    sure, right = (list(column) for column in zip(*rows, strict=True))

    made = confidence.reliability(sure, right, bins=bins)

    error = 0.0
    for b in range(bins):
        low, high = made.edges[b], made.edges[b + 1]
        inside = [i for i, c in enumerate(sure) if low < c <= high or (b == 0 and c == 0)]
        assert made.counts[b] == len(inside)
        if not inside:
            assert math.isnan(made.mean_confidence[b])
            assert math.isnan(made.accuracy[b])
            continue
        mean = math.fsum(sure[i] for i in inside) / len(inside)
        accuracy = sum(right[i] for i in inside) / len(inside)
        assert made.mean_confidence[b] == pytest.approx(mean)
        assert made.accuracy[b] == pytest.approx(accuracy)
        error += len(inside) / len(rows) * abs(accuracy - mean)
    assert made.expected_calibration_error == pytest.approx(error)


def test_a_confidence_on_an_edge_belongs_to_the_lower_bin():
    made = confidence.reliability([0.0, 0.5, 1.0], [True, True, True], bins=2)

    assert made.counts.tolist() == [2, 1]
