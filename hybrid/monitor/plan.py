"""Everything that an edge and its monitor must agree on before the first image, as a JSON file.

Takes a trace and a promise; knows no network and no line.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid.certificates import Answered, check_delta, disagreements
from hybrid.errors import HybridError, LineError
from hybrid.files import parse_json, read_text, replacing
from hybrid.monitor.audit import AuditPolicy, fit_expectation, fit_policy, policy_of
from hybrid.monitor.evidence import FACTORS, kelly_bets
from hybrid.policy import check_thresholds, exits_taken
from hybrid.policy.points import early_confidences
from hybrid.policy.shift import BINS, histogram

__all__ = ["FORMAT", "Plan", "Promise", "load_plan", "make_plan", "parse_plan", "save_plan"]

FORMAT = 1
Floats = npt.NDArray[np.float64]
_LEAST_SHARE = 0.001
_DIGITS = 8  # of a SHA-256, so that it can be told from others
_ROUNDING = 1e-6
_LEAST_WINDOW = 100  # images; a smaller one certifies nothing, and takes as long as a large one
_MOST_IMAGES = 10**15  # of a window or run length
_MOST_EARLY = 100  # early exits
_MOST_NUMBER = 1e9  # of what is fitted


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a certificate promised: at most `epsilon` of the answers differ from the cloud's.

    Args:
        epsilon: share of all images, in (0, 1).
        confidence: of the certificate; None if the promise is no certificate's.
        images: that it was computed from.
    """

    epsilon: float
    confidence: float | None = None
    images: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a device is audited and watched.

    Args:
        bundle: SHA-256 of the weights that the lines must name.
        thresholds: one per early exit.
        policy: which early answers are audited.
        bets: on the promise, from `kelly_bets`.
        alpha: the chance of a false alarm, over all time.
        run_length: images between false alarms of the e-CUSUM, at least, on average.
        window: images of each bound of what is certified now.
        exit_shares: of the trace, one per exit, the cloud last.
        histograms: of the trace, a row per early exit: confidences of all samples that left there.
    """

    network: str
    variant: str
    bundle: str
    thresholds: tuple[float, ...]
    measure: str
    promise: Promise
    policy: AuditPolicy
    bets: tuple[float, ...]
    alpha: float
    run_length: int
    window: int
    exit_shares: tuple[float, ...]
    histograms: tuple[tuple[float, ...], ...]

    @property
    def early(self) -> int:
        """How many early exits there are."""
        return len(self.thresholds)

    @property
    def least_loss(self) -> float:
        """The least that a weighted loss can be: m - m / pi of an audit that agrees.

        The expected disagreement m is largest at an exit's threshold. Up to m = 1 / (4 scale^2),
        where pi is 1/2, a larger m makes it worse.
        """
        at_thresholds = self.policy.expectation.at(np.arange(self.early), self.thresholds)
        m = min(float(at_thresholds.max()), 1 / (4 * self.policy.scale**2))
        pi = float(np.clip(self.policy.scale * np.sqrt(m), self.policy.least, 1))
        return m - m / pi

    @property
    def most_loss(self) -> float:
        """No weighted loss is above this."""
        return 1 / self.policy.least

    def is_of(self, bundle: str) -> bool:
        """Whether a line's bundle is this one: the whole SHA-256, or at least 8 digits of it."""
        return len(bundle) >= _DIGITS and self.bundle.startswith(bundle)

    def allows(
        self, exits: npt.ArrayLike, confidences: npt.ArrayLike, probabilities: npt.ArrayLike
    ) -> npt.NDArray[np.bool_]:
        """Which early answers (n,) an edge with this plan can have given, up to rounding."""
        where, sure = np.asarray(exits, np.int64), np.asarray(confidences, np.float64)
        early = where < self.early
        known = np.where(early, where, 0)
        reached = sure >= np.asarray(self.thresholds)[known] - _ROUNDING
        planned = self.policy.probabilities(known, sure)
        alike = np.abs(np.asarray(probabilities) - planned) <= 100 * _ROUNDING * planned
        allowed: npt.NDArray[np.bool_] = early & reached & alike
        return allowed

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"format": FORMAT, **asdict(self)}


def make_plan(
    guide: Answered,
    thresholds: Sequence[float],
    promise: Promise,
    *,
    bundle: str,
    network: str = "",
    variant: str = "",
    measure: str = "max_probability",
    share: float = 0.05,
    alpha: float = 0.01,
    run_length: int = 10_000_000,
    window: int = 20_000,
) -> Plan:
    """The plan for a device that runs at these thresholds.

    Args:
        guide: a trace on which everything may be chosen: that of `tune`.
        share: of the early answers that are audited.

    Raises:
        CertificateError: an alpha that is no chance.
        LineError: a share, run length, window or promise that is impossible.
        ThresholdError, UnknownNameError: as in `hybrid.policy.outcome`.
    """
    _check(promise, share=share, alpha=alpha, run_length=run_length, window=window)
    limits = check_thresholds(thresholds, guide.classes.shape[1] - 1)
    confidences = early_confidences(guide, measure)
    taken = exits_taken(confidences, limits)
    left = taken < len(limits)
    if not left.any():
        raise LineError(
            "No image leaves early at these thresholds, so there is nothing to watch; lower one."
        )
    exits, sure = taken[left], confidences[left, taken[left]].astype(np.float64)
    differs = disagreements(guide, limits, measure)[left]
    expected = fit_expectation(exits, sure, differs, early=len(limits))
    policy = fit_policy(expected, exits, sure, share=share)
    plan = Plan(
        network=network,
        variant=variant,
        bundle=bundle,
        thresholds=limits,
        measure=measure,
        promise=promise,
        policy=policy,
        bets=(),
        alpha=alpha,
        run_length=run_length,
        window=window,
        exit_shares=tuple((np.bincount(taken, minlength=len(limits) + 1) / len(taken)).tolist()),
        histograms=tuple(_histogram(sure[exits == one]) for one in range(len(limits))),
    )
    m, pi = np.zeros(len(taken)), np.ones(len(taken))
    m[left], pi[left] = expected.at(exits, sure), policy.probabilities(exits, sure)
    bets = kelly_bets(m, pi, epsilon=promise.epsilon, worst=plan.least_loss)
    return Plan(**(_fields(plan) | {"bets": bets}))


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan, whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(plan.to_dict(), indent=1) + "\n", encoding="utf-8")


def load_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        LineError: no plan, a damaged one, or one of another format.
    """
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise _no_plan(str(path)) from error
    return parse_plan(text, name=str(path))


def parse_plan(text: str, *, name: str) -> Plan:
    """A plan from the text of its file.

    Args:
        name: of the file, for errors.

    Raises:
        LineError: as `load_plan`.
    """
    try:
        row = parse_json(text)
        version = row.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _no_plan(name) from error
    if version != FORMAT:
        raise LineError(f"{name} is a plan of format {version!r}; this version reads {FORMAT}.")
    try:
        return _plan(row)
    except (ArithmeticError, KeyError, TypeError, ValueError, HybridError) as error:
        raise LineError(
            f"{name} is damaged; write it again with `hybrid monitor --save-plan`."
        ) from error


def _no_plan(name: str) -> LineError:
    return LineError(f"{name} is no plan; write one with `hybrid monitor --save-plan`.")


def _plan(row: dict[str, Any]) -> Plan:
    policy = policy_of(row["policy"])
    lists = {name: tuple(map(float, row[name])) for name in ("thresholds", "bets", "exit_shares")}
    plan = Plan(
        **row
        | lists
        | {
            "policy": policy,
            "promise": Promise(**row["promise"]),
            "histograms": tuple(tuple(map(float, one)) for one in row["histograms"]),
        }
    )
    _check(
        plan.promise,
        share=policy.least,
        alpha=plan.alpha,
        run_length=plan.run_length,
        window=plan.window,
    )
    _check_fields(plan)
    return plan


def _check_fields(plan: Plan) -> None:
    """Refuse numbers of other kinds and lists of other lengths than `make_plan` writes.

    Raises:
        ValueError: which one.
    """
    early, policy = plan.early, plan.policy
    expected = policy.expectation
    if not 1 <= early <= _MOST_EARLY:
        raise ValueError("too few or too many exits")
    lengths = len(expected.intercepts), len(plan.histograms), len(plan.exit_shares) - 1
    if lengths != (early,) * 3 or len(plan.bets) not in {1, len(FACTORS)}:
        raise ValueError("lists of other lengths")
    if any(len(bars) not in {0, BINS} for bars in plan.histograms):
        raise ValueError("histograms of other lengths")
    if not (type(plan.window) is type(plan.run_length) is int):
        raise ValueError("numbers of images that are not whole")
    numbers = (
        *plan.thresholds, *plan.bets, *plan.exit_shares, *expected.intercepts, expected.slope,
        policy.scale, *(one for bars in plan.histograms for one in bars),
    )  # fmt: skip
    in_range = (np.abs(numbers) <= _MOST_NUMBER).all()  # and none is NaN
    if not in_range or policy.scale < 1 / _MOST_NUMBER or expected.slope > 0:
        raise ValueError("numbers out of range")
    worst = max(plan.bets) * (plan.least_loss - plan.promise.epsilon)
    if min(plan.bets) < 0 or worst <= -1:
        raise ValueError("bets that could lose more than everything")
    if not all(isinstance(text, str) for text in (plan.network, plan.variant, plan.bundle)):
        raise ValueError("names that are no texts")


def _fields(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__dataclass_fields__}


def _histogram(confidences: Floats) -> tuple[float, ...]:
    return tuple(histogram(confidences).tolist()) if len(confidences) else ()


def _check(promise: Promise, *, share: float, alpha: float, run_length: int, window: int) -> None:
    check_delta(alpha)
    if not 0 < promise.epsilon < 1:
        raise LineError(
            f"A promise of {promise.epsilon:g} cannot be watched; give a share of the answers "
            "above 0 and below 1, such as 0.05."
        )
    if not _LEAST_SHARE / 4 <= share <= 1:
        raise LineError(
            f"A share of {share:g} cannot be audited; give one from {_LEAST_SHARE:g} to 1."
        )
    if not 1 <= run_length <= _MOST_IMAGES or not _LEAST_WINDOW <= window <= _MOST_IMAGES:
        raise LineError(
            "The run length and the window are numbers of images; give 1 or more, and a window of "
            f"{_LEAST_WINDOW} or more."
        )
