"""How often a certificate's promise breaks, over random splits of images whose truth is known.

    python -m benchmarks.certificates [bits] [splits]

For each network that ships, the traces of `certify` and `test` are pooled: the pool is the world,
and what leaving early costs in it is known. A random part, as large as `certify`, certifies at
95 % confidence; a promise breaks when the pool's own figure lies above the bound. `rest` counts
the same against the images that were not drawn, which is what a user would see next, their own
chance included. Methods:

    betting, regret, disagreement    one bound at 0.8 for every exit, where the sliders start
    band                             every point of Explore's grid; one broken point breaks all
    fixed_sequence                   the last point certified to lose at most 2 points, along a
                                     path fixed on `tune`; no point certified promises nothing

In at most 5 % of the splits, plus three standard errors (`_se`), may a promise break.
"""

import sys
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.rows import format_row, machine
from hybrid import certificates, zoo
from hybrid.traces.trace import Trace

DELTA = 0.05
THRESHOLD = 0.8
MAX_LOSS = 0.02
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
        row |= of_the_band(world, draws)
        row |= of_the_sequence(world, draws, zoo.trace(network, variant.name, "tune"))
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
    """(count, size): the samples that certify, drawn without putting back."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(samples)[:size] for _ in range(count)])


def of_one_point(world: Trace, draws: Rows, method: str) -> dict[str, float]:
    """One bound a split, at thresholds that nobody chose."""
    limits = (THRESHOLD,) * (world.all_exits - 1)
    values = {
        "betting": certificates.loss_gaps,
        "regret": certificates.regrets,
        "disagreement": certificates.disagreements,
    }[method](world, limits).astype(np.int64)
    drawn = values[draws]
    if method == "betting":
        bounds = certificates.betting_bounds(drawn, delta=DELTA)
    else:
        bounds = certificates.clopper_pearson(drawn.sum(axis=1), drawn.shape[1], delta=DELTA)
    rest = (values.sum() - drawn.sum(axis=1)) / (len(values) - drawn.shape[1])
    return {
        f"{method}_truth": float(values.mean()),
        f"{method}_bound": float(np.median(bounds)),
    } | broken(method, values.mean() > bounds, rest > bounds)


def of_the_band(world: Trace, draws: Rows) -> dict[str, float]:
    """Bounds on the whole grid; the truth and the bound shown are those where sliders start."""
    grid = certificates.slider_grid(world.all_exits - 1)
    table = np.stack([certificates.loss_gaps(world, point) for point in grid.tolist()])
    truths, total = table.mean(axis=1), table.sum(axis=1)
    start = int(np.flatnonzero((grid == THRESHOLD).all(axis=1))[0])
    failed, failed_on_rest, bounds = [], [], []
    for rows in draws:
        made = certificates.betting_bounds(table[:, rows], delta=DELTA / len(grid))
        rest = (total - table[:, rows].sum(axis=1)) / (world.samples - len(rows))
        failed.append((truths > made).any())
        failed_on_rest.append((rest > made).any())
        bounds.append(made[start])
    return {
        "band_truth": float(truths[start]),
        "band_bound": float(np.median(bounds)),
    } | broken("band", np.array(failed), np.array(failed_on_rest))


def of_the_sequence(world: Trace, draws: Rows, tune: Trace) -> dict[str, float]:
    """The point that fixed-sequence testing chooses, and what it really loses."""
    path = certificates.threshold_path(tune)
    table = np.stack([certificates.loss_gaps(world, point) for point in path])
    chosen, failed, failed_on_rest = [], [], []
    for rows in draws:
        last = certificates.fixed_sequence(
            part_of(world, rows), path, max_loss=MAX_LOSS, delta=DELTA
        )
        if last is None:
            failed.append(False)
            failed_on_rest.append(False)
            continue
        rest = (table[last].sum() - table[last, rows].sum()) / (world.samples - len(rows))
        chosen.append(table[last].mean())
        failed.append(chosen[-1] > MAX_LOSS)
        failed_on_rest.append(rest > MAX_LOSS)
    return {
        "fixed_sequence_certified": len(chosen) / len(draws),
        "fixed_sequence_truth": float(np.median(chosen)) if chosen else 0.0,
        "fixed_sequence_bound": MAX_LOSS,
    } | broken("fixed_sequence", np.array(failed), np.array(failed_on_rest))


def part_of(world: Trace, rows: Rows) -> Trace:
    """Some samples of a trace."""
    return replace(
        world,
        labels=world.labels[rows],
        classes=world.classes[rows],
        confidences={name: values[rows] for name, values in world.confidences.items()},
    )


def broken(
    method: str, on_pool: npt.NDArray[np.bool_], on_rest: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Fraction of the splits whose promise broke, with its standard error."""
    rate = float(on_pool.mean())
    error = float(np.sqrt(rate * (1 - rate) / len(on_pool)))
    return {
        f"{method}_broken": rate,
        f"{method}_se": error,
        f"{method}_rest": float(on_rest.mean()),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
