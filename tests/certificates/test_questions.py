"""A user whose questions follow the answers: how often any of the ten answers is wrong."""

import math

import numpy as np
import pytest

from benchmarks import certificates as counted
from hybrid import certificates
from hybrid.certificates import spent
from tests.certificates.made_up import made_up


@pytest.mark.slow
def test_ten_answers_to_a_user_who_follows_them_fail_in_at_most_delta_of_the_splits():
    world = made_up(6000, seed=11)
    draws = counted.random_splits(6000, 500, count=300)

    found = counted.of_the_questions(world, draws)

    assert found["questions_broken"] <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    assert found["questions_bound"] > found["questions_truth"]


def test_the_user_goes_on_from_the_answer_that_looked_best():
    world = made_up(2000, seed=12)
    rows = np.arange(400)

    answers = counted.asked(world, rows, (0.8, 0.8), np.random.default_rng(0))

    assert len(answers) == counted.QUESTIONS
    first = certificates.loss_gaps(world, (0.8, 0.8))
    (lost, gained), truth, rest = answers[0]
    assert (lost, gained) == ((first[:400] > 0).sum(), (first[:400] < 0).sum())
    assert truth == pytest.approx(first.mean())
    assert rest == pytest.approx(first[400:].mean())
    assert len({seen for seen, _, _ in answers}) > 3


def test_an_answer_is_below_the_truth_exactly_where_its_bound_is():
    delta = 0.9 * spent(2, 0.05)
    bound = certificates.exact_bound(20, 5, 500, delta=delta)

    assert counted.below(20, 5, 500, bound + 1e-4, delta)
    assert not counted.below(20, 5, 500, bound - 1e-4, delta)
