"""What a monitor knows, in words and as JSON; the command line and the page read the same."""

import math
from dataclasses import asdict
from typing import Any

from hybrid.monitor.plan import Plan
from hybrid.monitor.watch import Status
from hybrid.text import numbers

__all__ = [
    "alarm",
    "certified_now",
    "evidence",
    "exit_names",
    "percent_up",
    "promised",
    "rows",
    "to_json",
]

_REFUSED = {
    "damaged": "damaged lines",
    "unfinished": "unfinished last line",
    "other_bundle": "lines of another bundle",
    "other_plan": "lines of another plan",
    "no_plan": "lines of an edge without a plan",
    "repeated": "repeated images",
    "late_audits": "audits too late or not asked for",
    "clock_jumps": "jumps of the clock (only noted)",
}


def promised(plan: Plan) -> str:
    """The promise, in a sentence."""
    promise = plan.promise
    share = percent_up(promise.epsilon)
    if promise.confidence is None:
        return f"At most {share} of the answers differ from the cloud's (set by hand)."
    return (
        f"At most {share} of the answers differ from the cloud's, certified with "
        f"{100 * promise.confidence:g} % confidence on {promise.images:,} images."
    )


def alarm(status: Status, plan: Plan) -> str:
    """Whether an alarm was raised, by which test, and how often it would be false."""
    said = []
    if status.alarm_at is not None:
        said.append(
            f"Alarm after {status.alarm_at:,} images: the promise does not hold. If it did, an "
            f"alarm would come with a chance of at most {100 * plan.alpha:g} % over all time."
        )
    if status.recent_alarm_at is not None:
        said.append(
            f"Alarm of the restarting test after {status.recent_alarm_at:,} images: the promise no "
            f"longer holds. If it did, such an alarm would come once in {plan.run_length:,} images "
            "or less often, on average."
        )
    return " ".join(said) or "No alarm: the audits do not contradict the promise."


def evidence(status: Status, plan: Plan) -> str:
    """How far the evidence is from its alarm lines."""
    return (
        f"{_power(status.evidence_log10)} (alarm at {1 / plan.alpha:,.0f}); restarting "
        f"{_power(status.recent_log10)} (alarm at {plan.run_length:,})"
    )


def certified_now(status: Status, plan: Plan) -> str:
    """The newest window's bound, in a sentence."""
    if not status.windows:
        return f"Nothing yet; the first bound comes after {plan.window:,} images."
    last = status.windows[-1]
    return (
        f"Of images {last.begin + 1:,} to {last.end:,}, at most {percent_up(last.bound)} of the "
        "answers differ from the cloud's. All such bounds hold together with "
        f"{100 * (1 - plan.alpha):g} % confidence."
    )


def rows(status: Status, plan: Plan) -> list[tuple[str, str]]:
    """Names and values for a table."""
    seen = status.diagnostics
    found = [
        ("promised", promised(plan)),
        ("alarm", alarm(status, plan)),
        ("evidence", evidence(status, plan)),
        ("certified now", certified_now(status, plan)),
        ("images", f"{status.images:,}" + _waiting(status)),
        ("estimated to differ", _estimate(status)),
        ("audits", _audits(status)),
        ("answered by a fallback", f"{status.fallbacks:,}"),
        (
            "exits, device / trace",
            "; ".join(
                f"{name} {numbers.percent(here)} / {numbers.percent(there)}"
                for name, here, there in zip(
                    exit_names(plan.early), seen.exit_shares, seen.trace_exit_shares, strict=True
                )
            ),
        ),
    ]
    refused = asdict(status.refused)
    return found + [
        (name, f"{refused[kind]:,}") for kind, name in _REFUSED.items() if refused[kind]
    ]


def to_json(status: Status, plan: Plan) -> dict[str, Any]:
    """The status for other programs; the history is left out."""
    seen = status.diagnostics
    return {
        "bundle": plan.bundle,
        "promise": asdict(plan.promise),
        "images": status.images,
        "waiting": status.waiting,
        "fallbacks": status.fallbacks,
        "alarm": status.alarm,
        "alarm_at": status.alarm_at,
        "alpha": plan.alpha,
        "evidence_log10": status.evidence_log10,
        "recent_alarm_at": status.recent_alarm_at,
        "run_length": plan.run_length,
        "recent_log10": status.recent_log10,
        "observed": None if math.isnan(status.observed) else status.observed,
        "windows": [asdict(one) for one in status.windows],
        "audits": asdict(status.audits),
        "refused": asdict(status.refused),
        "exit_shares": seen.exit_shares.tolist(),
        "trace_exit_shares": seen.trace_exit_shares.tolist(),
        "exits_apart": seen.exits_apart,
        "confidences_apart": list(seen.confidences_apart),
    }


def exit_names(early: int) -> list[str]:
    """Names of all exits, the cloud last."""
    return [*(f"exit {number + 1}" for number in range(early)), "cloud"]


def percent_up(share: float) -> str:
    """A share in percent, rounded up to a hundredth, so that the number shown holds."""
    return numbers.percent(math.ceil(1e4 * share - 1e-9) / 1e4, 2)


def _audits(status: Status) -> str:
    audits = status.audits
    return (
        f"{audits.drawn:,} drawn, {audits.agreed:,} agreed, {audits.differed:,} differed, "
        f"{audits.missing:,} missing"
    )


def _waiting(status: Status) -> str:
    return f" and {status.waiting:,} that wait for an audit" if status.waiting else ""


def _estimate(status: Status) -> str:
    if math.isnan(status.observed):
        return "no image yet"
    return numbers.percent(max(0.0, status.observed), 2)


def _power(log10: float) -> str:
    """A number from its logarithm: digits while it is short, a power of ten if not.

    >>> _power(0.0), _power(1.3), _power(-7.2), _power(12.4)
    ('1', '20', 'below 0.001', '10^12.4')
    """
    if log10 < -3:
        return "below 0.001"
    return f"{10**log10:.3g}" if log10 < 6 else f"10^{log10:.1f}"
