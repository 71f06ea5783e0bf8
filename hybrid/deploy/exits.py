"""An exit's test in whole numbers: logits to class and confidence, alike on every machine.

exp is one table of 2^-f with linear interpolation, so nothing here depends on a maths library. A
confidence is a whole number of 2^-24, which a float32 holds exactly; a sample leaves where
confidence >= threshold, as everywhere.
"""

import math

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import FormError

__all__ = [
    "LOG2",
    "ONE",
    "POWERS",
    "classes",
    "confidences",
    "multiplier",
    "scaled",
    "whole_threshold",
]

ONE = 2**24  # probability 1
_PARTS = 64  # intervals of the tables
_LAST = 31  # 2^-31 of the largest weight counts as 0
POWERS = np.rint(ONE * 2.0 ** (-np.arange(_PARTS + 1) / _PARTS)).astype(np.int64)
LOG2 = np.rint(2**16 * np.log2(1 + np.arange(_PARTS + 1) / _PARTS)).astype(np.int64)

Whole = NDArray[np.int64]


def multiplier(scale: float, temperature: float) -> int:
    """The whole number by which differences of logits are multiplied: 2^48 scale / (T ln 2).

    Raises:
        FormError: logits so fine or so coarse that it is not a useful whole number.
    """
    value = round(scale / (temperature * math.log(2)) * 2**48)
    if not 2**8 <= value < 2**53:
        raise FormError(
            f"Logits of steps of {scale:.3g} cannot be compared in whole numbers; choose other "
            "bits for the exits."
        )
    return value


def whole_threshold(threshold: float) -> int:
    """The least confidence in units of 2^-24 that reaches a threshold, which counts as float32.

    >>> whole_threshold(0.5), whole_threshold(1.0)
    (8388608, 16777216)
    """
    return math.ceil(float(np.float32(threshold)) * ONE)


def scaled(logits: Whole, scale: float) -> NDArray[np.float64]:
    """The real logits that whole ones stand for."""
    return logits.astype(np.float64) * scale


def classes(logits: Whole) -> Whole:
    """The answer, (n, classes) to (n,): the first of the largest."""
    answers: Whole = logits.argmax(axis=1)
    return answers


def confidences(logits: Whole, multiply: int, measure: str) -> Whole:
    """Confidences in units of 2^-24, (n, classes) to (n,).

    Args:
        multiply: see `multiplier`.
        measure: max_probability, margin or entropy.
    """
    weights, exponents = _weights(logits, multiply)
    total = weights.sum(axis=1)
    if measure == "entropy":
        return _entropy(weights, exponents, total)
    top = np.sort(weights, axis=1)
    lead = top[:, -1]
    if measure == "margin" and logits.shape[1] > 1:
        lead = lead - top[:, -2]
    found: Whole = lead * ONE // total
    return found


def _weights(logits: Whole, multiply: int) -> tuple[Whole, Whole]:
    """Exp of the logits over the largest one in units of 2^-24; and its -log2 in 2^-16."""
    below = logits.max(axis=1, keepdims=True) - logits
    exponents = np.minimum(below, (_LAST << 48) // multiply) * multiply >> 32
    part, rest = exponents >> 10 & _PARTS - 1, exponents & 1023
    here = POWERS[part]
    return here - ((here - POWERS[part + 1]) * rest >> 10) >> (exponents >> 16), exponents


def _entropy(weights: Whole, exponents: Whole, total: Whole) -> Whole:
    """1 - H / log2(classes): H = log2(total) + the mean exponent, in 2^-16 bits."""
    count = weights.shape[1]
    if count == 1:
        return np.full(len(weights), ONE)
    bits = _log2(total) + (weights * exponents).sum(axis=1) // total
    per_bit = round(2**24 / math.log2(count))
    found: Whole = np.clip(ONE - (bits * per_bit >> 16), 0, ONE)
    return found


def _log2(total: Whole) -> Whole:
    """log2 of total / 2^24 in units of 2^-16; total is at least 2^24."""
    whole = np.frexp(total.astype(np.float64))[1] - 25  # exact: totals are below 2^53
    rest = (total >> np.maximum(whole, 0)) - ONE  # 0 … 2^24 - 1
    part, within = rest >> 18, rest & 2**18 - 1
    here = LOG2[part]
    fraction: Whole = here + ((LOG2[part + 1] - here) * within >> 18)
    return fraction + (whole.astype(np.int64) << 16)
