"""Thresholds as users give them, checked, and the rule for leaving at an exit.

The rule is written out again where speed needs another form of it: for the counts of one point
(`points._count`), of whole grids (`curves._ranks`), of one moving threshold (`choosing.search`) and
for a slider that is dragged (`ui/explore/follower/counting.js`). tests/policy, tests/choosing and
tests/ui/explore hold each of them to a plain loop over the samples: change them together.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hybrid.errors import ThresholdError

__all__ = ["check_thresholds", "exits_taken"]


def check_thresholds(values: object, exits: int) -> tuple[float, ...]:
    """Thresholds as a user gave them, checked.

    Args:
        values: numbers or texts, or one text with commas such as "0.9,0.8".
        exits: how many early exits the network has, each with one threshold.

    Raises:
        ThresholdError: not numbers, NaN, outside 0 to 1, too many or too few.

    >>> check_thresholds("0.9, 0.8", exits=2)
    (0.9, 0.8)
    """
    given = _split(values)
    checked = tuple(_check_threshold(value) for value in given)
    if exits == 0 and checked:
        raise ThresholdError(
            f"This network has no early exit and takes no threshold; leave out the {len(given)} "
            "that were given."
        )
    if len(checked) != exits:
        amount = "Too many" if len(checked) > exits else "Too few"
        raise ThresholdError(
            f"{amount} thresholds: {len(checked)} given, and this network has {exits} early "
            f"exit{'s' if exits > 1 else ''}; give one for each."
        )
    return checked


def exits_taken(confidences: npt.ArrayLike, thresholds: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The exit each sample takes: the first whose confidence is >= its threshold, as float32.

    Args:
        confidences: (n, early); NaN, if an exit was not computed, never leaves.
        thresholds: (early,) in [0, 1].

    Returns:
        (n,), 0 to early; `early` is the final exit.

    >>> exits_taken(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0.5, 0.5]))
    array([0, 1])
    """
    sure = np.asarray(confidences, np.float32)
    limits = np.asarray(thresholds, np.float32)
    taken = np.full(len(sure), len(limits), np.int64)
    for i in reversed(range(len(limits))):  # the first exit writes last and so wins
        taken[sure[:, i] >= limits[i]] = i
    return taken


def _split(values: object) -> list[object]:
    if isinstance(values, str):
        return list(values.split(",")) if values.strip() else []
    if isinstance(values, Iterable):
        return list(values)
    raise ThresholdError(
        f"{values!r} is not a list of thresholds; give one per exit, as in 0.9,0.8."
    )


def _check_threshold(value: object) -> float:
    shown = repr(value.strip()) if isinstance(value, str) else str(value)
    number = _number(value)
    if number is None:
        raise ThresholdError(
            f"Threshold {shown} is not a number; give one from 0 to 1, such as 0.9."
        )
    if math.isnan(number):
        raise ThresholdError(
            "A threshold is NaN, which no confidence reaches; give one from 0 to 1."
        )
    if not 0 <= number <= 1:
        raise ThresholdError(
            f"Threshold {shown} is outside 0 to 1; at 0 every sample leaves, at 1 only those with "
            "a confidence of 1."
        )
    return number


def _number(value: object) -> float | None:
    if isinstance(value, bool):  # float takes True for 1, a user does not mean that
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # what float refuses is no number
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return None
