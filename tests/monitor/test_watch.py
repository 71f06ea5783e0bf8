"""A device that is watched: evidence from its lines, whatever happens to them."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.monitor import AnswerLine
from hybrid.monitor.plan import Plan
from hybrid.monitor.watch import Monitor, Status
from tests.monitor.edge import answers, made_up_plan, made_up_trace, with_late_audits

PLAN = made_up_plan()
LINES = answers(PLAN, made_up_trace(samples=2500, seed=5))
TEXTS = [line.to_json() for line in LINES]


def watched(lines: list[AnswerLine], plan: Plan = PLAN) -> Status:
    monitor = Monitor(plan)
    monitor.add(lines)
    return monitor.status()


def first_audit() -> int:
    return next(place for place, line in enumerate(LINES) if line.audited)


def log10_wealth_by_loop(plan: Plan, lines: list[AnswerLine]) -> float:
    """The evidence of fewer than 1,000 images, image by image from their lines."""
    wealth = [1.0] * len(plan.bets)
    for line in lines:
        loss = 0.0
        if line.source == "exit":
            m = float(plan.policy.expectation.at([line.exit_index], [line.confidence])[0])
            differs = line.audited and line.class_index != line.cloud_class
            assert line.audit_probability is not None
            loss = m + line.audited * (differs - m) / line.audit_probability
        factors = [1 + bet * (loss - plan.promise.epsilon) for bet in plan.bets]
        wealth = [one * factor for one, factor in zip(wealth, factors, strict=True)]
    weights = (0.05, 0.2, 0.5, 0.15, 0.1)
    return math.log10(0.2 + 0.8 * sum(w * one for w, one in zip(weights, wealth, strict=True)))


def test_the_evidence_is_that_of_a_plain_loop_over_the_lines():
    status = watched(LINES[:900])

    assert status.evidence_log10 == pytest.approx(log10_wealth_by_loop(PLAN, LINES[:900]))
    assert status.images == 900


def test_what_is_counted_is_in_the_lines():
    status = watched(LINES)

    drawn = [line for line in LINES if line.audited]
    assert status.audits.drawn == len(drawn)
    assert status.audits.agreed == sum(one.class_index == one.cloud_class for one in drawn)
    assert status.audits.differed == len(drawn) - status.audits.agreed
    assert status.diagnostics.exit_shares == pytest.approx(
        [sum(one.exit_index == i for one in LINES) / len(LINES) for i in range(3)]
    )
    assert [(one.begin, one.end) for one in status.windows] == [(0, 1000), (1000, 2000)]
    assert status.history[:3] == ((0, 0, 0), *status.history[1:3])
    assert [at for at, *_ in status.history] == list(range(0, 2501, 100))


def test_a_promise_that_holds_raises_no_alarm_and_one_that_does_not_raises_both():
    kept, broken = watched(LINES), watched(answers(lax := made_up_plan(0.01), made_up_trace()), lax)

    assert not kept.alarm
    assert broken.alarm_at is not None
    assert broken.recent_alarm_at is not None
    assert broken.alarm_at <= broken.recent_alarm_at


@given(st.lists(st.integers(0, 400), min_size=1, max_size=5))
@settings(max_examples=10, deadline=None)
def test_audits_that_come_late_change_nothing_in_the_end(delays: list[int]):
    status = watched(with_late_audits(LINES, delays))  # type: ignore[arg-type]

    at_once = watched(LINES)
    assert status.evidence_log10 == pytest.approx(at_once.evidence_log10)
    assert status.recent_log10 == pytest.approx(at_once.recent_log10)
    assert (status.audits, status.windows) == (at_once.audits, at_once.windows)


def test_images_wait_for_an_audit_that_is_on_its_way():
    place = first_audit()
    lines = [*LINES[:place], replace(LINES[place], cloud_class=None), *LINES[place + 1 :]]

    status = watched(lines)

    assert status.images == place
    assert status.waiting == len(LINES) - place
    assert status.evidence_log10 == watched(LINES[:place]).evidence_log10


def test_an_audit_that_never_comes_is_an_agreement_to_the_alarm_and_a_disagreement_to_the_bound():
    place = first_audit()
    lost, agreed, differed = (
        replace(LINES[place], cloud_class=cloud)
        for cloud in (None, LINES[place].class_index, LINES[place].class_index + 1)
    )
    patient = Monitor(PLAN, patience=1200)

    patient.add([*LINES[:place], lost, *LINES[place + 1 :]])

    status = patient.status()
    as_agreed, as_differed = (
        watched([*LINES[:place], one, *LINES[place + 1 :]]) for one in (agreed, differed)
    )
    assert status.audits.missing == 1
    assert status.images == len(LINES)
    assert status.evidence_log10 == pytest.approx(as_agreed.evidence_log10)
    assert status.windows == as_differed.windows
    assert as_differed.windows != as_agreed.windows


def test_an_outage_of_the_cloud_does_not_change_the_evidence():
    """Images that had to be answered here would have gone to the cloud, whose loss is 0."""
    outage = [
        replace(line, source="fallback", exit_index=1, class_index=0, reason="timeout")
        if line.source == "cloud"
        else line
        for line in LINES
    ]

    status = watched(outage)

    assert status.evidence_log10 == watched(LINES).evidence_log10
    assert status.diagnostics.exit_shares == pytest.approx(watched(LINES).diagnostics.exit_shares)
    assert status.fallbacks == sum(line.source == "cloud" for line in LINES) > 0


def test_lines_of_another_bundle_are_left_out():
    other = [replace(line, bundle="0" * 64) for line in LINES[:40]]

    status = watched([*LINES[:100], *other])

    assert status.refused.other_bundle == 40
    assert status.images == 100


def test_answers_that_this_plan_does_not_give_are_left_out():
    odd = replace(LINES[first_audit()], image="odd", audit_probability=1.0)

    assert watched([*LINES[:100], odd]).refused.other_plan == 1


def test_a_line_that_is_there_twice_counts_once():
    status = watched([*LINES[:100], *LINES[50:100]])

    assert (status.images, status.refused.repeated) == (100, 50)
    assert status.evidence_log10 == watched(LINES[:100]).evidence_log10


def test_a_clock_that_jumps_is_noted_and_changes_nothing():
    jumping = [replace(line, time_s=time) for line, time in
               zip(LINES, itertools.cycle([1e9, 5e9, -3.0]), strict=False)]  # fmt: skip

    status = watched(jumping)

    assert status.refused.clock_jumps == len(LINES) - 1
    assert status.evidence_log10 == watched(LINES).evidence_log10


def test_an_audit_of_an_image_that_was_not_drawn_is_noted():
    late = with_late_audits([LINES[first_audit()]], [0])[1]

    assert watched([late, *LINES[:10]]).refused.late_audits == 1  # type: ignore[list-item]


def test_damaged_lines_are_counted_and_a_half_written_last_one_is_not_damage():
    texts = TEXTS[:50]
    monitor = Monitor(PLAN)

    monitor.read([*texts[:20], "no json", '{"kind": 3}', *texts[20:], texts[0][:30]],
                 last_is_whole=False)  # fmt: skip

    status = monitor.status()
    assert (status.images, status.refused.damaged, status.refused.unfinished) == (50, 2, 1)


def test_a_last_line_without_an_end_that_is_whole_counts():
    monitor = Monitor(PLAN)

    monitor.read([LINES[0].to_json()], last_is_whole=False)

    assert monitor.status().images == 1


@given(st.lists(st.integers(0, len(LINES)), max_size=6))
@settings(max_examples=5, deadline=None)
def test_lines_in_parts_are_as_lines_at_once(cuts: list[int]):
    monitor = Monitor(PLAN)

    for begin, end in itertools.pairwise([0, *sorted(cuts), len(LINES)]):
        monitor.read(TEXTS[begin:end])

    status, at_once = monitor.status(), watched(LINES)
    assert status.evidence_log10 == pytest.approx(at_once.evidence_log10)
    assert status.windows == at_once.windows
    assert np.array(status.history) == pytest.approx(np.array(at_once.history))


def test_a_device_without_images_has_a_status():
    status = watched([])

    assert status.images == status.evidence_log10 == 0
    assert math.isnan(status.observed)
    assert status.windows == ()


def test_unknown_fields_do_not_matter():
    monitor = Monitor(PLAN)
    row = json.loads(LINES[0].to_json()) | {"battery_percent": 3}

    monitor.read([json.dumps(row)])

    assert monitor.status().images == 1


def test_a_long_history_keeps_every_second_point_and_the_last(monkeypatch: pytest.MonkeyPatch):
    whole = watched(LINES)
    monkeypatch.setattr("hybrid.monitor.watch._MOST_POINTS", 10)

    thinned = watched(LINES)

    assert [at for at, *_ in thinned.history] == [0, 400, 800, 1200, 1600, 2000, 2400, 2500]
    assert set(thinned.history) <= set(whole.history)
