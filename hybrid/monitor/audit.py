"""Which early answers are also sent to the cloud: exits and confidences to probabilities.

An audit finds a disagreement more often if the answer was less confident, so an answer is drawn
with a probability in proportion to the square root of the disagreement that is expected of it.
The probability is known and above 0, so dividing by it keeps every mean right. numpy only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "AuditPolicy",
    "Expectation",
    "fit_expectation",
    "fit_policy",
    "policy_of",
    "weighted_losses",
]

Floats = npt.NDArray[np.float64]
FLOOR = 0.25  # of the mean probability; a lower one would make the bounds of windows wider
_EDGE = 1e-6  # confidences of 0 and 1 have no log-odds
_STEPS = 40
_HALVINGS = 80
_LEAST_SCALE = 1e-6
_LEAST_ROOT = 1e-120


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """How often an early answer is expected to differ from the cloud's.

    1 / (1 + exp(-(intercept[exit] + slope * ln(c / (1 - c))))), with slope <= 0.

    Args:
        intercepts: one per early exit.
        slope: the same for all exits.
    """

    intercepts: tuple[float, ...]
    slope: float

    def at(self, exits: npt.ArrayLike, confidences: npt.ArrayLike) -> Floats:
        """The expected disagreement, (n,).

        Args:
            exits: (n,), 0 to early - 1.
            confidences: (n,) in [0, 1].
        """
        odds = np.asarray(self.intercepts)[np.asarray(exits)]
        return _chance(odds + self.slope * _log_odds(confidences))


@dataclass(frozen=True, kw_only=True)
class AuditPolicy:
    """With which probability an early answer is drawn: scale * sqrt(expected), at least `least`.

    Args:
        expectation: of the disagreement.
        scale: above 0.
        least: in (0, 1].
    """

    expectation: Expectation
    scale: float
    least: float

    def probabilities(self, exits: npt.ArrayLike, confidences: npt.ArrayLike) -> Floats:
        """(n,) in [least, 1], from the exits (n,) and confidences (n,) of early answers."""
        roots = np.sqrt(self.expectation.at(exits, confidences))
        return np.clip(self.scale * roots, self.least, 1)

    def draw(
        self, exits: npt.ArrayLike, confidences: npt.ArrayLike, rng: np.random.Generator
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The probabilities, and which answers are drawn; both (n,)."""
        chances = self.probabilities(exits, confidences)
        return chances, rng.random(len(chances)) < chances


def policy_of(row: Mapping[str, Any]) -> AuditPolicy:
    """The policy that a plan's JSON has.

    Raises:
        KeyError, TypeError, ValueError: it has none.
    """
    expected = Expectation(
        intercepts=tuple(map(float, row["expectation"]["intercepts"])),
        slope=float(row["expectation"]["slope"]),
    )
    return AuditPolicy(expectation=expected, scale=float(row["scale"]), least=float(row["least"]))


def weighted_losses(
    expected: npt.ArrayLike, probability: npt.ArrayLike, audited: npt.ArrayLike, loss: npt.ArrayLike
) -> Floats:
    """Z = m + xi (L - m) / pi of every image; its mean is that of L, whatever m is.

    Source: the control variate of Xu, Karampatziakis, Mineiro, NeurIPS 2024 (arXiv 2406.10490).

    Args:
        expected: m in [0, 1], known before the draw.
        probability: pi in (0, 1] of the draw; 1 if the loss is known anyway.
        audited: xi, True if it was drawn.
        loss: L in [0, 1]; not read where it was not drawn.

    >>> weighted_losses([0.1, 0.1, 0.1], [0.5, 0.5, 0.5], [False, True, True], [0, 0, 1])
    array([ 0.1, -0.1,  1.9])
    """
    m = np.asarray(expected, np.float64)
    found: Floats = np.where(audited, m + (np.asarray(loss) - m) / np.asarray(probability), m)
    return found


def fit_expectation(
    exits: npt.ArrayLike, confidences: npt.ArrayLike, differs: npt.ArrayLike, *, early: int
) -> Expectation:
    """The expectation that makes these disagreements most likely: a logistic regression.

    The slope has the prior N(-1, 1): a calibrated confidence c is wrong with chance 1 - c. Each
    exit gets one more sample, half a disagreement, so that an exit without any has an expectation.

    Args:
        exits: (n,), 0 to early - 1; samples that left early only.
        confidences: (n,) in [0, 1].
        differs: (n,) bool, from the cloud's answer.
    """
    where, x = np.asarray(exits), _log_odds(confidences)
    centre = float(x.mean()) if len(x) else 0.0
    rows = np.zeros((len(x) + early, early + 1))
    rows[np.arange(len(x)), where] = 1
    rows[len(x) + np.arange(early), np.arange(early)] = 1
    rows[:, early] = np.concatenate([x, np.full(early, centre)])
    seen = np.concatenate([np.asarray(differs, np.float64), np.full(early, 0.5)])
    fitted = _newton(rows, seen)
    slope = min(float(fitted[early]), 0.0)
    return Expectation(intercepts=tuple(fitted[:early].tolist()), slope=slope)


def fit_policy(
    expectation: Expectation,
    exits: npt.ArrayLike,
    confidences: npt.ArrayLike,
    *,
    share: float,
) -> AuditPolicy:
    """The policy that draws this share of early answers like these.

    Args:
        exits, confidences: (n,) of samples that left early, n > 0.
        share: in (0, 1], of the early answers.
    """
    least = FLOOR * share
    roots = np.sqrt(expectation.at(exits, confidences))
    low, high = _LEAST_SCALE, 1 / max(float(roots.min()), _LEAST_ROOT)
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)  # of the exponents: the scales may be far apart
        enough = np.clip(middle * roots, least, 1).mean() >= share
        low, high = (low, middle) if enough else (middle, high)
    return AuditPolicy(expectation=expectation, scale=high, least=least)


def _newton(rows: Floats, seen: Floats) -> Floats:
    """Newton's steps for the logistic regression with the prior on the last coefficient."""
    prior = np.zeros(rows.shape[1])
    prior[-1] = 1.0
    fitted = np.zeros(rows.shape[1])
    fitted[-1] = -1.0
    for _ in range(_STEPS):
        chance = _chance(rows @ fitted)
        slope = rows.T @ (seen - chance) - prior * (fitted + 1)
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + np.diag(prior + 1e-9)
        step = np.linalg.solve(bend, slope)
        fitted = fitted + step * min(1.0, 4 / max(float(np.abs(step).max()), 1e-300))
    return fitted


def _log_odds(confidences: npt.ArrayLike) -> Floats:
    inside = np.clip(np.asarray(confidences, np.float64), _EDGE, 1 - _EDGE)
    odds: Floats = np.log(inside / (1 - inside))
    return odds


def _chance(odds: Any) -> Floats:
    chance: Floats = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return chance
