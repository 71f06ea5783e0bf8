"""The paths along which certificates are tested: fixed on `tune`, whatever the limits.

A path lists points of one or several candidates, the most accurate first; each one after it needs
less energy. A path is tested from its start until a point fails (see `proving`). All paths share
delta:

- the common path: the best points of all candidates together; it gets half of delta
- the device's path: the same without the cloud; an eighth
- each candidate's own path: three eighths, and the safest candidates get more of it

Which points and which shares these are depends on the images of `tune` and on prices alone. So a
limit only decides which certified points may be chosen. A stricter limit leaves fewer of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid import policy
from hybrid.choosing.rating import Rated

__all__ = ["Path", "paths_of"]

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_COMMON, _DEVICE, _OWN = 1 / 2, 1 / 8, 3 / 8
_FIRST = 3  # the safest candidate's own path gets 1/3, the next 1/4, …, in proportion
_STEP_POINTS = 0.05  # of loss from one point of a path to the next, up to this many points:
_FINE_POINTS = 3.0
_GROWTH = 1.03  # from then on


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """Points in the order in which they are tested.

    | field  | shape |                                       |
    |--------|-------|---------------------------------------|
    | owners | (k,)  | which candidate, its place in a field |
    | rows   | (k,)  | which of the candidate's options      |

    share: of delta; those of all paths add up to 1.
    """

    owners: Counts
    rows: Counts
    share: float


def paths_of(rated: Sequence[Rated]) -> tuple[Path, ...]:
    """The paths of the candidates of a field; none if no loss has to be certified."""
    own = [_own(one, place) for place, one in enumerate(rated) if one.needs_proof]
    if not own:
        return ()
    own.sort(key=lambda path: float(path.losses[0]))  # stable: of equals, the field's order
    weights = 1 / (_FIRST + np.arange(len(own)))
    device = [path for path in own if _on_device(rated[path.owners[0]])]
    below = _reference_uj(rated)
    shared = [
        (_together(own, below), _COMMON),
        (_together(device, below), _DEVICE),
        *zip(own, _OWN * weights / weights.sum(), strict=True),
    ]
    return _merged((path, float(share)) for path, share in shared if len(path.rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Steps:
    """Points with what they are ordered by; (k,) each."""

    owners: Counts
    rows: Counts
    losses: Floats
    energies_uj: Floats

    def take(self, rows: Counts) -> "_Steps":
        return _Steps(**{name: values[rows] for name, values in vars(self).items()})


def _own(rated: Rated, place: int) -> _Steps:
    """A candidate's best points, one for each small step of loss, the cheapest of each."""
    energies, losses = rated.priced["energy_uj"], rated.priced["loss_points"]
    rows = policy.frontier(energies, rated.options.right)[::-1]
    rung = np.searchsorted(_rungs(), losses[rows] - 1e-9)
    last = np.append(rung[1:] != rung[:-1], True)
    rows = rows[last]
    return _Steps(
        owners=np.full(len(rows), place),
        rows=rows,
        losses=losses[rows],
        energies_uj=energies[rows],
    )


def _rungs() -> Floats:
    fine = np.arange(-100, _FINE_POINTS + _STEP_POINTS / 2, _STEP_POINTS)
    many = int(np.log(100 / _FINE_POINTS) / np.log(_GROWTH)) + 1
    coarse = _FINE_POINTS * _GROWTH ** np.arange(1, many + 1, dtype=np.float64)
    rungs: Floats = np.concatenate([fine, coarse])
    return rungs


def _together(some: Sequence[_Steps], below_uj: float) -> _Steps:
    """The points that no other beats on both loss and energy, if they beat the reference."""
    if not some:
        nothing = np.empty(0, np.int64)
        return _Steps(owners=nothing, rows=nothing, losses=nothing / 1, energies_uj=nothing / 1)
    names = vars(some[0])
    steps = _Steps(**{name: np.concatenate([getattr(o, name) for o in some]) for name in names})
    best = policy.frontier(steps.energies_uj, -steps.losses)[::-1]
    return steps.take(best[steps.energies_uj[best] < below_uj])


def _merged(shared: Iterable[tuple[_Steps, float]]) -> tuple[Path, ...]:
    """Paths of the same points become one; the shares add up to 1."""
    found: dict[bytes, tuple[_Steps, float]] = {}
    for steps, share in shared:
        key = steps.owners.tobytes() + b"|" + steps.rows.tobytes()
        found[key] = steps, share + found.get(key, (steps, 0.0))[1]
    total = sum(share for _, share in found.values())
    return tuple(
        Path(owners=steps.owners, rows=steps.rows, share=share / total)
        for steps, share in found.values()
    )


def _on_device(rated: Rated) -> bool:
    return not any(rated.costs.uplink_bytes)


def _reference_uj(rated: Sequence[Rated]) -> float:
    """The least energy of a candidate that loses nothing by definition."""
    spent = (one.priced["energy_uj"].min() for one in rated if one.candidate.reference)
    return float(min(spent, default=np.inf))
