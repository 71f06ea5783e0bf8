"""The figures of the page Monitor, through their data."""

import numpy as np
import pytest

from hybrid.monitor.watch import Monitor, Status
from hybrid.ui.monitor import figures
from tests.monitor.edge import answers, made_up_plan, made_up_trace

PLAN = made_up_plan()


@pytest.fixture(scope="module")
def status() -> Status:
    monitor = Monitor(PLAN)
    monitor.add(answers(PLAN, made_up_trace(samples=2000, seed=4)))
    return monitor.status()


def test_the_evidence_has_its_history_and_its_alarm_lines(status: Status):
    evidence, alarm, recent, recent_alarm = figures.evidence(status, PLAN).data

    assert list(evidence.x) == list(range(0, 2001, 100)) == list(recent.x)
    assert evidence.y == pytest.approx([max(-4, one) for _, one, _ in status.history])
    assert list(alarm.y) == pytest.approx([2, 2])  # alpha = 1 %
    assert list(recent_alarm.y) == pytest.approx([7, 7])  # ten million images


def test_each_window_has_its_bound_beside_the_promise(status: Status):
    bounds, seen, promise = figures.certified(status.windows, PLAN).data

    assert list(bounds.x) == [1000, 2000]
    assert bounds.y == pytest.approx([100 * one.bound for one in status.windows])
    assert (np.array(seen.y) <= np.array(bounds.y)).all()
    assert list(promise.y) == pytest.approx([20, 20])


def test_exits_are_shown_beside_those_of_the_trace(status: Status):
    device, trace = figures.exits(status, ["exit 1", "exit 2", "cloud"]).data

    assert device.y == pytest.approx(100 * status.diagnostics.exit_shares)
    assert trace.y == pytest.approx(100 * np.array(PLAN.exit_shares))
