"""A device that is made up: images drawn from a trace, answered and audited as a plan says."""

import numpy as np

from hybrid.monitor.lines import AnswerLine
from hybrid.monitor.plan import Plan
from hybrid.policy import exits_taken
from hybrid.traces.trace import Trace

__all__ = ["simulated"]


def simulated(
    plan: Plan, trace: Trace, *, images: int, rng: np.random.Generator, name: str = "simulated"
) -> list[AnswerLine]:
    """The lines of a device that sees images of a trace, drawn with replacement.

    Every audit is answered at once. Nothing is measured, so all times are empty.

    Args:
        name: of the images; two parts of one device need two names.
    """
    rows = rng.integers(0, trace.samples, images)
    confidences = trace.confidences[plan.measure][rows, :-1]
    taken = exits_taken(confidences, plan.thresholds)
    places = np.minimum(taken, plan.early - 1)
    sure = confidences[np.arange(images), places].astype(np.float64)
    chances, drawn = plan.policy.draw(places, sure, rng)
    classes = trace.classes[rows]
    return [
        AnswerLine(
            bundle=plan.bundle,
            image=f"{name}-{number}",
            time_s=float(number),
            class_index=int(classes[number, exit_index]),
            confidence=float(sure[number]),
            exit_index=exit_index,
            source="exit" if exit_index < plan.early else "cloud",
            audit_probability=float(chances[number]) if exit_index < plan.early else None,
            audited=bool(drawn[number]) and exit_index < plan.early,
            cloud_class=int(classes[number, -1]),
        )
        for number, exit_index in enumerate(taken.tolist())
    ]
