"""Certificates: what they bound, in which words, and from which splits none is made."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from hybrid import certificates, policy
from hybrid.errors import CertificateError, HybridError, ThresholdError, UnknownNameError
from hybrid.traces.trace import Trace
from tests.certificates.made_up import VALUES, band_of, every_method, made_up, on_certify
from tests.strategies import trace_of, traces_with_thresholds

# What is bounded


@given(traces_with_thresholds())
def test_gaps_and_disagreements_equal_a_loop_over_samples(
    drawn: tuple[Trace, tuple[float, ...]],
):
    trace, limits = drawn

    gaps = certificates.loss_gaps(trace, limits)
    differ = certificates.disagreements(trace, limits)

    sure = trace.confidences["max_probability"]
    assert len(gaps) == len(differ) == trace.samples > 0
    for s in range(trace.samples):
        taken = next(
            (i for i, limit in enumerate(limits) if sure[s, i] >= np.float32(limit)), len(limits)
        )
        early, final = trace.classes[s, taken], trace.classes[s, -1]
        assert gaps[s] == int(final == trace.labels[s]) - int(early == trace.labels[s])
        assert differ[s] == (early != final)


@given(traces_with_thresholds())
def test_the_mean_gap_is_the_accuracy_lost_and_regret_and_disagreement_are_no_less(
    drawn: tuple[Trace, tuple[float, ...]],
):
    trace, limits = drawn

    gap = certificates.loss_gaps(trace, limits).mean()

    outcome = policy.outcome(trace, limits)
    assert gap == pytest.approx(outcome.final_exit_accuracy - outcome.accuracy, abs=1e-12)
    regret = certificates.regrets(trace, limits).mean()
    assert gap <= regret <= certificates.disagreements(trace, limits).mean()


# Certificates


@every_method
def test_a_certificate_says_what_it_bounds_of_whom_and_how_surely(method: str):
    trace = made_up()

    made = certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method)

    values = VALUES[method](trace, (0.8, 0.6))
    assert made.observed == values.mean()
    assert made.bound >= made.observed
    assert (made.samples, made.split, made.confidence) == (600, "certify", 0.95)
    assert made.bounds == certificates.METHODS[method]


@every_method
def test_comparisons_share_delta(method: str):
    trace = made_up()

    shared = certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method, comparisons=50)
    alone = certificates.certify(trace, (0.8, 0.6), delta=0.05 / 50, method=method)

    assert shared.bound == alone.bound
    assert (shared.delta, shared.comparisons) == (0.05, 50)


@every_method
def test_a_certificate_of_each_exit_is_that_of_those_who_leave_there(method: str):
    trace = made_up()
    limits = (0.9, 0.6)

    first, second = certificates.certify_exits(trace, limits, delta=0.05, method=method)

    taken = policy.exits_taken(trace.confidences["max_probability"][:, :2], limits)
    for number, made in enumerate((first, second)):
        here = taken == number
        assert made is not None
        assert made.samples == here.sum()
        part = replace(
            trace,
            labels=trace.labels[here],
            classes=trace.classes[here],
            confidences={k: v[here] for k, v in trace.confidences.items()},
        )
        alone = certificates.certify(part, limits, delta=0.05 / 2, method=method)
        assert (made.bound, made.observed) == (alone.bound, alone.observed)


def test_an_exit_that_nobody_takes_has_no_certificate():
    trace = on_certify(trace_of(confidences=[[0.1, 0.9, 1]] * 50, correct=[[1, 1, 1]] * 50))

    first, second = certificates.certify_exits(trace, (0.5, 0.5), delta=0.05)

    assert first is None
    assert second is not None


def test_a_trace_without_labels_has_a_disagreement_bound_and_no_other():
    trace = replace(made_up(), labels=np.full(600, -1))

    made = certificates.certify(trace, (0.8, 0.6), delta=0.05, method="disagreement")

    assert (
        made.bound
        == certificates.certify(made_up(), (0.8, 0.6), delta=0.05, method="disagreement").bound
    )  # labels are not read
    with pytest.raises(CertificateError, match=r"have no labels.*use the method disagreement"):
        certificates.certify(trace, (0.8, 0.6), delta=0.05)


@pytest.mark.parametrize(
    "bound, words",
    [
        (0.0086, "early exits cost at most 0.9 points of accuracy, compared with sending"),
        (0.02, "early exits cost at most 2.0 points"),
        (0.0201, "early exits cost at most 2.1 points"),  # never rounded down
        (-0.0086, "early exits gain at least 0.8 points"),
        (-0.0004, "early exits cost no accuracy, compared with sending"),
    ],
)
def test_the_sentence_rounds_so_that_the_promise_holds(bound: float, words: str):
    made = replace(
        certificates.certify(made_up(), (0.8, 0.6), delta=0.05), bound=bound, samples=2500
    )

    assert made.sentence.startswith(f"With 95 % confidence, {words}")
    assert made.sentence.endswith("on images like these (2,500 images).")


def test_a_certificate_as_json_has_every_field_and_the_confidence():
    made = certificates.certify(made_up(), (0.8, 0.6), delta=0.001, comparisons=3)

    assert made.to_dict() == {
        "method": "betting",
        "bounds": "accuracy lost to early exits",
        "bound": made.bound,
        "confidence": 0.999,
        "delta": 0.001,
        "comparisons": 3,
        "samples": 600,
        "observed": made.observed,
        "split": "certify",
    }


# What is refused


@every_method
@pytest.mark.parametrize("split", ["train", "tune", "test", "kitchen-tune"])
def test_nothing_is_certified_from_a_split_that_was_chosen_on_or_reports(method: str, split: str):
    trace = replace(made_up(), split=split)

    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        certificates.certify(trace, (0.8, 0.6), delta=0.05, method=method)
    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        band_of(trace, made_up(), method=method)
    with pytest.raises(CertificateError, match=f"The {split} split certifies nothing"):
        certificates.fixed_sequence(trace, [(0.8, 0.6)], max_loss=0.1, delta=0.05, method=method)


def test_a_split_of_ones_own_certifies():
    assert (
        certificates.certify(replace(made_up(), split="kitchen"), (0.8, 0.6), delta=0.05).bound
        < 0.2
    )


@pytest.mark.parametrize("delta", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_a_delta_outside_0_to_1_is_refused(delta: float):
    calls = [
        lambda: certificates.certify(made_up(), (0.8, 0.6), delta=delta),
        lambda: certificates.certify_exits(made_up(), (0.8, 0.6), delta=delta),
        lambda: band_of(made_up(), made_up(), delta=delta),
        lambda: certificates.fixed_sequence(made_up(), [(0.8, 0.6)], max_loss=0.1, delta=delta),
        lambda: certificates.betting_bound([0, 1], delta=delta),
        lambda: certificates.clopper_pearson(1, 2, delta=delta),
    ]

    for call in calls:
        with pytest.raises(CertificateError, match="certifies nothing; give one above 0"):
            call()


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (
            lambda: certificates.betting_bound([], delta=0.05),
            CertificateError,
            "A certificate needs samples",
        ),
        (
            lambda: certificates.clopper_pearson(0, 0, delta=0.05),
            CertificateError,
            "A certificate needs samples",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, method="luck"),
            UnknownNameError,
            "No method is called 'luck'; there are: betting, disagreement, exact, regret",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, comparisons=0),
            CertificateError,
            "0 comparisons cannot share a delta",
        ),
        (
            lambda: certificates.fixed_sequence(
                made_up(), [(0.8, 0.6)], max_loss=math.nan, delta=0.1
            ),
            CertificateError,
            "A largest loss of nan is outside 0 to 1",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8,), delta=0.05),
            ThresholdError,
            "Too few thresholds",
        ),
        (
            lambda: certificates.certify(made_up(), (0.8, 0.6), delta=0.05, measure="mood"),
            UnknownNameError,
            "No confidence measure is called 'mood'",
        ),
    ],
)
def test_what_cannot_be_certified_gives_one_sentence(
    call: Callable[[], object], kind: type[HybridError], words: str
):
    with pytest.raises(kind, match=words):
        call()
