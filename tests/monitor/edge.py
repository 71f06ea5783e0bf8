"""An edge that is made up: answers from a trace, with audits drawn by a plan, as lines."""

from dataclasses import replace

import numpy as np

from hybrid.monitor import AnswerLine, AuditLine
from hybrid.monitor.plan import Plan, Promise, make_plan
from hybrid.policy import exits_taken
from hybrid.traces.trace import Trace
from tests.strategies import SHA256, synthetic_trace

THRESHOLDS = (0.6, 0.7)


def made_up_trace(samples: int = 2000, seed: int = 0) -> Trace:
    """A trace of `tune` on which a part of the early answers differ from the final exit's."""
    return synthetic_trace(samples=samples, seed=seed, split="tune")


def made_up_plan(epsilon: float = 0.2, *, share: float = 0.2, window: int = 1000) -> Plan:
    """A plan for the made-up trace."""
    return make_plan(
        made_up_trace(),
        THRESHOLDS,
        Promise(epsilon=epsilon, confidence=0.95, images=2500),
        bundle=SHA256,
        share=share,
        window=window,
    )


def answers(plan: Plan, trace: Trace, seed: int = 0) -> list[AnswerLine]:
    """A line per sample, every audit answered at once."""
    rng = np.random.default_rng(seed)
    confidences = trace.confidences[plan.measure][:, :-1]
    taken = exits_taken(confidences, plan.thresholds)
    lines = []
    for sample, exit_index in enumerate(taken.tolist()):
        early = exit_index < plan.early
        sure = float(confidences[sample, exit_index]) if early else 0.9
        line = AnswerLine(
            bundle=plan.bundle,
            image=f"boot1-{sample}",
            time_s=1e9 + sample,
            class_index=int(trace.classes[sample, exit_index]),
            confidence=sure,
            exit_index=exit_index,
            source="exit" if early else "cloud",
        )
        if early:
            (chance,), (drawn,) = plan.policy.draw([exit_index], [sure], rng)
            line = replace(
                line,
                audit_probability=float(chance),
                audited=bool(drawn),
                cloud_class=int(trace.classes[sample, -1]) if drawn else None,
            )
        lines.append(line)
    return lines


def with_late_audits(lines: list[AnswerLine], delays: list[int]) -> list[AnswerLine | AuditLine]:
    """The same answers, each audit's answer as many lines later as its delay."""
    due: list[tuple[int, int, AnswerLine | AuditLine]] = []
    for place, line in enumerate(lines):
        if not line.audited or line.cloud_class is None:
            due.append((place, 0, line))
            continue
        due.append((place, 0, replace(line, cloud_class=None)))
        answer = AuditLine(
            bundle=line.bundle, image=line.image, time_s=line.time_s, cloud_class=line.cloud_class
        )
        due.append((place + delays[place % len(delays)], 1, answer))
    return [line for _, _, line in sorted(due, key=lambda one: one[:2])]
