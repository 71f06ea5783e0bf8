"""How often a certificate is violated, over random splits of images whose true figure is known.

    python -m benchmarks.certificates [bits] [splits]

For each network that ships, the traces of `certify` and `test` are pooled, so the accuracy that
early exits cost in the pool is known. A random part, as large as `certify`, certifies at 95 %
confidence. A certificate is violated if the pool's figure is above the bound. `rest` compares the
bound with the images that were not drawn, which adds their own chance. Methods:

    betting, exact, regret, disagreement
                                     one bound at 0.8 for every exit, where the sliders start
    questions                        ten questions in a row, as to the ledger; one violation counts
                                     for all. Each is a step from the best point so far, and the
                                     answers decide which that is. `truth` and `bound` are of the
                                     first question
    band                             every setting of Explore's sliders; one violation counts for
                                     all, and all of delta is for this bit width and measure
    fixed_sequence                   every point of every candidate that `choose` certifies to lose
                                     at most 2 points against the full-precision twin, on the paths
                                     that it fixed on `tune`; one violation counts for all. `truth`
                                     is the loss of the point that it then chooses. Nothing is
                                     promised if no point is certified

At most 5 % of the splits may be violated, plus three standard errors (`_se`).
"""

import sys
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.rows import format_row, machine
from hybrid import certificates, policy, zoo
from hybrid.certificates.cells import gap_counts
from hybrid.choosing import Candidate, Field, collect_candidates
from hybrid.choosing.candidates import see
from hybrid.choosing.choosing import PricedField, priced_field
from hybrid.choosing.paths import Path
from hybrid.choosing.proving import gaps_at, passed
from hybrid.evaluation import PART_OF_EXITS, Prices
from hybrid.traces.trace import Trace
from hybrid.ui.explore import load
from hybrid.ui.view import View

DELTA = 0.05
THRESHOLD = 0.8
MAX_LOSS = 0.02
QUESTIONS = 10
SOME = 20  # splits that exact bounds are computed for; on the others it is only tested
Rows = npt.NDArray[np.int64]


def main(bits: str = "4", splits: str = "1000") -> None:
    """Print one row per network."""
    for network in zoo.networks():
        variant = zoo.variant(network, int(bits))
        world, size = pooled(network, variant.name)
        draws = random_splits(world.samples, size, count=int(splits))
        row: dict[str, object] = {"benchmark": "certificates", **machine("numpy", "scipy")}
        row |= {"network": network, "bits": bits, "splits": splits, "delta": DELTA}
        row |= {"pool": world.samples, "samples": size, "threshold": THRESHOLD}
        for method in certificates.METHODS:
            row |= of_one_point(world, draws, method)
        row |= of_the_questions(world, draws)
        row |= of_the_band(network, variant, world, draws)
        row |= of_the_sequence(network, draws)
        print(format_row(row), flush=True)


def pooled(network: str, variant: str) -> tuple[Trace, int]:
    """Certify and test as one trace, and how many of its samples were certify's."""
    parts = [zoo.trace(network, variant, split) for split in ("certify", "test")]
    whole = replace(
        parts[0],
        labels=np.concatenate([part.labels for part in parts]),
        classes=np.concatenate([part.classes for part in parts]),
        confidences={
            name: np.concatenate([part.confidences[name] for part in parts])
            for name in parts[0].confidences
        },
    )
    return whole, parts[0].samples


def random_splits(samples: int, size: int, *, count: int) -> Rows:
    """(count, size): the samples that certify, drawn without replacement."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(samples)[:size] for _ in range(count)])


def of_one_point(world: Trace, draws: Rows, method: str) -> dict[str, float]:
    """One bound per split, at thresholds that were not chosen on any image."""
    limits = (THRESHOLD,) * (world.all_exits - 1)
    values = {
        "betting": certificates.loss_gaps,
        "exact": certificates.loss_gaps,
        "regret": certificates.regrets,
        "disagreement": certificates.disagreements,
    }[method](world, limits).astype(np.int64)
    drawn = values[draws]
    lost, gained = ((drawn == value).sum(axis=1) for value in (1, -1))
    if method == "exact":
        return of_the_exact(values, lost, gained, drawn.shape[1])
    if method == "betting":
        bounds = certificates.betting_bounds(drawn, delta=DELTA)
    else:
        bounds = certificates.clopper_pearson(lost, drawn.shape[1], delta=DELTA)
    rest = (values.sum() - drawn.sum(axis=1)) / (len(values) - drawn.shape[1])
    return {
        f"{method}_truth": float(values.mean()),
        f"{method}_bound": float(np.median(bounds)),
    } | broken(method, values.mean() > bounds, rest > bounds)


def of_the_exact(values: Rows, lost: Rows, gained: Rows, samples: int) -> dict[str, float]:
    """One exact bound per split; its median is that of the first splits."""
    counts = list(zip(lost.tolist(), gained.tolist(), strict=True))
    truths = [values.mean()] * len(counts), (values.sum() - lost + gained) / (len(values) - samples)
    on_pool, on_rest = (
        np.array(
            [below(*one, samples, truth, DELTA) for one, truth in zip(counts, some, strict=True)]
        )
        for some in truths
    )
    bounds = [certificates.exact_bound(*one, samples, delta=DELTA) for one in counts[:SOME]]
    return {
        "exact_truth": float(values.mean()),
        "exact_bound": float(np.median(bounds)),
    } | broken("exact", on_pool, on_rest)


def below(lost: int, gained: int, samples: int, truth: float, delta: float) -> bool:
    """Whether the exact bound is below the truth."""
    return not certificates.exact_exceeds(lost, gained, samples, max_loss=truth, delta=delta)


def of_the_questions(world: Trace, draws: Rows) -> dict[str, float]:
    """Ten questions per split from a user who goes where the last answers looked best."""
    start = (THRESHOLD,) * (world.all_exits - 1)
    truth = certificates.loss_gaps(world, start)
    samples, failed, failed_on_rest, bounds = draws.shape[1], [], [], []
    spent = [certificates.spent(number, DELTA) for number in range(1, QUESTIONS + 1)]
    deltas = [(1 - PART_OF_EXITS) * one for one in spent]
    for seed, rows in enumerate(draws):
        answers = asked(world, rows, start, np.random.default_rng(seed))
        both = list(zip(answers, deltas, strict=True))
        failed.append(any(below(*seen, samples, true, delta) for (seen, true, _), delta in both))
        failed_on_rest.append(
            any(below(*seen, samples, rest, delta) for (seen, _, rest), delta in both)
        )
        if seed < SOME:
            bounds.append(certificates.exact_bound(*answers[0][0], samples, delta=deltas[0]))
    return {
        "questions_truth": float(truth.mean()),
        "questions_bound": float(np.median(bounds)),
    } | broken("questions", np.array(failed), np.array(failed_on_rest))


def asked(
    world: Trace, rows: Rows, start: tuple[float, ...], rng: np.random.Generator
) -> list[tuple[tuple[int, int], float, float]]:
    """Lost and gained, the true loss, and the loss on the rest, for each of ten questions.

    The user wants little loss and few images in the cloud, a tenth of a point for each percent.
    Each question is one or all thresholds of the best point so far, moved up or down.
    """
    found, best, least, now = [], start, np.inf, start
    for _ in range(QUESTIONS):
        gaps = certificates.loss_gaps(world, now).astype(np.int64)
        drawn = gaps[rows]
        rest = (gaps.sum() - drawn.sum()) / (len(gaps) - len(drawn))
        counts = int((drawn > 0).sum()), int((drawn < 0).sum())
        found.append((counts, float(gaps.mean()), float(rest)))
        taken = policy.exits_taken(world.confidences["max_probability"][rows, :-1], now)
        cloud = (taken == len(now)).mean()
        if drawn.mean() + 0.1 * cloud < least:
            best, least = now, drawn.mean() + 0.1 * cloud
        moved = rng.integers(0, 2, len(best)) if rng.random() < 0.7 else np.ones(len(best))
        step = moved * rng.choice([-0.1, -0.05, -0.02, 0.02, 0.05])
        now = tuple(np.clip(np.round(best + step, 4), 0, 1).tolist())
    return found


def of_the_band(network: str, variant: zoo.Variant, world: Trace, draws: Rows) -> dict[str, float]:
    """Bounds of every setting; truth and bound are reported where the sliders start.

    A cell counts as violated if the pool's mean of the most that a sample can lose in the cell is
    above its bound, although no setting in it need lose as much.
    """
    tune = zoo.trace(network, variant.name, "tune")
    cells = certificates.slider_cells(tune, frontier_of(network, variant))
    counts = gap_counts(world, cells, correct=world.correct, measure="max_probability")
    total = np.subtract(*counts)[in_order(cells)]
    start = (THRESHOLD,) * variant.early_exits
    failed, failed_on_rest, bounds = [], [], []
    for rows in draws:
        drawn = rows_of(world, rows)
        made = certificates.band(drawn, cells, guide=tune, delta=DELTA)
        counts = gap_counts(drawn, cells, correct=drawn.correct, measure="max_probability")
        rest = (total - np.subtract(*counts)[in_order(cells)]) / (world.samples - len(rows))
        by_cell = made.bounds[in_order(made)]
        failed.append((total / world.samples > by_cell).any())
        failed_on_rest.append((rest > by_cell).any())
        bounds.append(made.bound(start))
    return {
        "band_truth": float(certificates.loss_gaps(world, start).mean()),
        "band_bound": float(np.median(bounds)),
    } | broken("band", np.array(failed), np.array(failed_on_rest))


def frontier_of(network: str, variant: zoo.Variant) -> npt.NDArray[np.float64]:
    """The variant's frontier on `tune`: the path that Explore takes."""
    view = View(network=network, bits=variant.bits, thresholds=(THRESHOLD,) * variant.early_exits)
    return next(one.thresholds for one in load.frontiers(view) if one.bits == variant.bits)


def in_order(cells: certificates.Cells | certificates.Band) -> Rows:
    """Cells by their ends, so that those of several bands can be compared."""
    return np.lexsort(np.hstack([cells.low, cells.high]).T)


def rows_of(world: Trace, rows: Rows) -> Trace:
    """Some samples of a trace, as images that certify."""
    return replace(
        world,
        labels=world.labels[rows],
        classes=world.classes[rows],
        confidences={name: values[rows] for name, values in world.confidences.items()},
    )


def of_the_sequence(network: str, draws: Rows) -> dict[str, float]:
    """The points that `choose` certifies, and the losses that they really have."""
    priced = priced_field(collect_candidates([network]), Prices())
    rated = [replace(one, candidate=on_pool(priced.field, one.candidate)) for one in priced.rated]
    tables = [
        np.stack([gaps_at(rated, path, step) for step in range(len(path.rows))])
        for path in priced.paths
    ]  # of a path: (k, pool), by how much each image loses at its points
    energies = [energy_uj(priced, path) for path in priced.paths]
    chosen, failed, failed_on_rest = [], [], []
    for rows in draws:
        stops = [
            certified(path, table[:, rows])
            for path, table in zip(priced.paths, tables, strict=True)
        ]
        some = np.concatenate([table[:stop] for table, stop in zip(tables, stops, strict=True)])
        sums, drawn_sums = some.sum(axis=1), some[:, rows].sum(axis=1)
        failed.append(bool((sums / some.shape[1] > MAX_LOSS).any()))
        rest = (sums - drawn_sums) / (some.shape[1] - len(rows))
        failed_on_rest.append(bool((rest > MAX_LOSS).any()))
        if len(some):
            spent = np.concatenate([one[:stop] for one, stop in zip(energies, stops, strict=True)])
            chosen.append(sums[spent.argmin()] / some.shape[1])
    return {
        "fixed_sequence_certified": len(chosen) / len(draws),
        "fixed_sequence_truth": float(np.median(chosen)) if chosen else 0.0,
        "fixed_sequence_bound": MAX_LOSS,
    } | broken("fixed_sequence", np.array(failed), np.array(failed_on_rest))


def certified(path: Path, gaps: npt.NDArray[np.int8]) -> int:
    """How many points of a path are certified by the (k, n) gaps of the images drawn."""
    return passed(
        path, lambda step: gaps[step], max_loss_points=100 * MAX_LOSS, confidence=1 - DELTA
    )


def energy_uj(priced: PricedField, path: Path) -> npt.NDArray[np.float64]:
    """(k,): the energy of each point of a path; infinite if it loses too much on tune."""
    tables = [priced.rated[owner].priced for owner in path.owners]
    points = list(zip(tables, path.rows, strict=True))
    spent = np.array([table["energy_uj"][row] for table, row in points])
    lost = np.array([table["loss_points"][row] for table, row in points])
    return np.where(lost <= 100 * MAX_LOSS, spent, np.inf)


def on_pool(field: Field, candidate: Candidate) -> Candidate:
    """A candidate with the pool in the place of certify."""
    if candidate.reference:
        return candidate
    own = pooled(candidate.network, candidate.variant.name)[0]
    twin = pooled(*field.references[candidate.card.dataset])[0]
    return replace(candidate, seen={**candidate.seen, "certify": see(own, candidate.mode, twin)})


def broken(
    method: str, on_pool: npt.NDArray[np.bool_], on_rest: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Fraction of the splits whose certificate was violated, with its standard error."""
    rate = float(on_pool.mean())
    error = float(np.sqrt(rate * (1 - rate) / len(on_pool)))
    return {
        f"{method}_broken": rate,
        f"{method}_se": error,
        f"{method}_rest": float(on_rest.mean()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
