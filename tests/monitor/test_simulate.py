"""A made-up device: its lines are those that an edge with the plan would write."""

import numpy as np

from hybrid.monitor import AnswerLine, parse_line
from hybrid.monitor.simulate import simulated
from hybrid.monitor.watch import Monitor
from tests.monitor.edge import made_up_plan, made_up_trace

PLAN, TRACE = made_up_plan(), made_up_trace(seed=6)


def lines(images: int, seed: int = 0, name: str = "simulated") -> list[AnswerLine]:
    return simulated(PLAN, TRACE, images=images, rng=np.random.default_rng(seed), name=name)


def test_every_line_is_one_that_an_edge_with_this_plan_writes():
    made = lines(3000)
    monitor = Monitor(PLAN)

    assert [parse_line(line.to_json()) for line in made] == made
    monitor.add(made)

    status = monitor.status()
    assert status.images == 3000
    assert set(vars(status.refused).values()) == {0}


def test_the_device_answers_as_the_trace_and_audits_as_the_plan():
    made = lines(20_000)

    taken = np.bincount([line.exit_index for line in made]) / len(made)
    exits = [
        next((i for i in (0, 1) if row[i] >= np.float32(PLAN.thresholds[i])), 2)
        for row in TRACE.confidences["max_probability"]
    ]
    assert np.abs(taken - np.bincount(exits) / len(exits)).max() < 0.02
    early = [line for line in made if line.source == "exit"]
    expected = np.mean([line.audit_probability for line in early])
    assert abs(np.mean([line.audited for line in early]) - expected) < 0.02


def test_the_same_seed_makes_the_same_device():
    assert lines(50) == lines(50) != lines(50, seed=1)
    assert not {one.image for one in lines(50)} & {one.image for one in lines(50, name="later")}
