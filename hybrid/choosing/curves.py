"""What limits leave, as curves and columns for figures: least energy over loss, Pareto sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.choosing.candidates import Field
from hybrid.choosing.choosing import PricedField, check_labels, priced_field
from hybrid.choosing.limits import Limits, excess_share
from hybrid.choosing.proving import certified_rows
from hybrid.choosing.rating import Rated
from hybrid.evaluation import Prices

__all__ = ["LossCurve", "ParetoSet", "loss_curve", "pareto_sets"]

Floats = npt.NDArray[np.float64]

LEVELS = tuple(np.arange(0, 5.01, 0.25).tolist())
_BY_CLASS = "class_accuracy_percent"


@dataclass(frozen=True, kw_only=True, eq=False)
class LossCurve:
    """The least energy for each limit on the loss, the other limits kept; (k,) each.

    | field                 |                                                                  |
    |-----------------------|------------------------------------------------------------------|
    | allowed_points        | the limits on the loss, rising                                   |
    | certified_energy_pj   | of the best point that is certified to keep the limit, else NaN  |
    | uncertified_energy_pj | of the best point that keeps the limit on tune, else NaN         |

    Both energies are means per image on tune, and neither rises. Each certified point holds by
    itself, at the confidence asked for: fix the limit before you look. For a limit that was picked
    from the curve, they would all have to hold together, and the confidence is lower.
    """

    allowed_points: Floats
    certified_energy_pj: Floats
    uncertified_energy_pj: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class ParetoSet:
    """The Pareto-optimal points of one candidate as columns, for a figure.

    thresholds (m, early of the variant); figures: name of a limit → (m,); over (m,): see
    `excess_share`, 0 if every limit that can be checked on tune is met.
    """

    network: str
    mode: str
    variant: str
    bits: int
    thresholds: Floats
    figures: Mapping[str, Floats]
    over: Floats


def loss_curve(
    field: Field,
    limits: Limits,
    prices: Prices | None = None,
    levels: Sequence[float] | None = None,
) -> LossCurve:
    """The least energy at each limit on the loss, with and without a certificate.

    Args:
        limits: all but the limit on the loss are kept, and so is the confidence.
        levels: limits on the loss in points; by default 0 to 5 in steps of a quarter, and the one
            in `limits`.

    Raises:
        LimitError: as in `choose`, or a level that cannot be a limit.
    """
    check_labels(field, limits)
    asked = LEVELS if levels is None else levels
    own = limits.max_loss_points if levels is None else None
    allowed = np.unique([*asked, *([] if own is None else [own])])
    at = [replace(limits, max_loss_points=float(level)) for level in allowed]
    priced = priced_field(field, prices or Prices())
    kept = [_kept(one, replace(limits, max_loss_points=None)) for one in priced.rated]
    return LossCurve(
        allowed_points=allowed,
        certified_energy_pj=_certified(priced, at, kept),
        uncertified_energy_pj=_least(priced, kept, allowed),
    )


def pareto_sets(
    field: Field, limits: Limits, prices: Prices, *, points: int = 40
) -> tuple[ParetoSet, ...]:
    """The Pareto-optimal points of each candidate, at most this many."""
    return tuple(_pareto_set(rated, limits, points) for rated in priced_field(field, prices).rated)


def _pareto_set(rated: Rated, limits: Limits, points: int) -> ParetoSet:
    best = policy.frontier(rated.priced["energy_uj"], rated.options.right)
    rows = best[policy.evenly(len(best), points)]
    some, candidate = rated.options.take(rows), rated.candidate
    figures = rated.figures(some.exit_counts, some.right, limits=limits)
    if _BY_CLASS in limits.on_figures:
        figures[_BY_CLASS] = 100 * rated.class_accuracy[rows]
    return ParetoSet(
        network=candidate.network,
        mode=candidate.mode.name,
        variant=candidate.variant.name,
        bits=candidate.variant.bits,
        thresholds=candidate.mode.all_thresholds(some.thresholds),
        figures=figures,
        over=excess_share(figures, limits),
    )


def _kept(rated: Rated, others: Limits) -> npt.NDArray[np.bool_]:
    """(m,): which options meet the other limits on tune."""
    kept: npt.NDArray[np.bool_] = excess_share(rated.table(others), others) == 0
    return kept


def _least(priced: PricedField, kept: Sequence[npt.NDArray[np.bool_]], allowed: Floats) -> Floats:
    """(k,): the least energy of the kept options that lose no more than allowed."""
    losses = np.concatenate(
        [one.priced["loss_points"][rows] for one, rows in zip(priced.rated, kept, strict=True)]
    )
    energies = np.concatenate(
        [one.priced["energy_uj"][rows] for one, rows in zip(priced.rated, kept, strict=True)]
    )
    order = np.argsort(losses, kind="stable")
    least = np.minimum.accumulate(np.append(np.inf, energies[order]))
    return _or_nan(least[np.searchsorted(losses[order], allowed, side="right")])


def _certified(
    priced: PricedField, at: Sequence[Limits], kept: Sequence[npt.NDArray[np.bool_]]
) -> Floats:
    """(k,): the same of options that are certified; a path goes on where it stopped before."""
    stops, found = [0] * len(priced.paths), []
    for limits in at:
        assert limits.max_loss_points is not None
        if limits.confidence is None:
            found.append(np.inf)
            continue
        if limits.certified:
            stops = priced.stops(limits.max_loss_points, limits.confidence, stops)
        found.append(_least_proven(priced, limits, stops, kept))
    return _or_nan(np.array(found))


def _least_proven(
    priced: PricedField,
    limits: Limits,
    stops: Sequence[int],
    kept: Sequence[npt.NDArray[np.bool_]],
) -> float:
    least = np.inf
    for place, (one, rows) in enumerate(zip(priced.rated, kept, strict=True)):
        loss, energies = one.priced["loss_points"], one.priced["energy_uj"]
        some = np.flatnonzero(rows)
        if limits.certified and not one.candidate.reference:
            proven = certified_rows(priced.paths, stops, place)
            some = proven[rows[proven]]
        some = some[loss[some] <= (limits.max_loss_points or 0.0)]
        least = min(least, float(energies[some].min(initial=np.inf)))
    return least


def _or_nan(energies_uj: Floats) -> Floats:
    """In picojoules, NaN for infinite."""
    return np.where(np.isinf(energies_uj), np.nan, 1e6 * energies_uj)
