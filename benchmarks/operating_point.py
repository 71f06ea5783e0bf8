"""How long one operating point takes, against pandas without `apply` and against a plain loop.

    python -m benchmarks.operating_point

Data: random confidences of three early exits and a final one (the harder reading of "three
exits"), thresholds 0.9, 0.8, 0.7. All three answers are compared before anything is timed. The
loop runs over lists, which is the fastest it can do; at 10 million samples it runs once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.rows import format_row, machine, median_ms, peak_mb
from hybrid import policy
from hybrid.energy import ExitCosts

EARLY = 3
THRESHOLDS = (0.9, 0.8, 0.7)
COSTS = ExitCosts(
    energy_pj=(1e7, 2e7, 4e7, 2e8), latency_ms=(1, 2, 4, 60), uplink_bytes=(0, 0, 0, 1026)
)

Answer = tuple[tuple[int, ...], tuple[int, ...]]  # samples by exit, right ones by exit


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The part of a trace that a policy reads; each exit's column in one piece, as in a trace."""

    labels: npt.NDArray[np.int64]
    correct: npt.NDArray[np.bool_]
    confidences: dict[str, npt.NDArray[np.float32]]


def main() -> None:
    """Print one row."""
    row: dict[str, object] = {"benchmark": "operating_point", **machine("numpy", "pandas")}
    print(format_row(row | compare("10k", 10_000, runs=301) | compare("10m", 10_000_000, runs=7)))


def compare(name: str, count: int, *, runs: int) -> dict[str, float]:
    """Medians, ratios to ours and peak extra memory at this many samples."""
    samples = made_up(count)
    frame, rows = as_frame(samples), as_lists(samples)
    ours = ours_answer(samples)
    assert ours == pandas_answer(frame) == loop_answer(*rows)

    ours_ms = median_ms(lambda: ours_point(samples), runs=runs)
    pandas_ms = median_ms(lambda: pandas_answer(frame), runs=min(runs, 21))
    loop_ms = median_ms(lambda: loop_answer(*rows), runs=21 if count < 100_000 else 1)
    times = {
        f"ours_{name}_ms": ours_ms,
        f"pandas_{name}_ms": pandas_ms,
        f"loop_{name}_ms": loop_ms,
        f"pandas_ratio_{name}": pandas_ms / ours_ms,
        f"loop_ratio_{name}": loop_ms / ours_ms,
        f"ours_{name}_extra_mb": peak_mb(lambda: ours_point(samples)),
        f"pandas_{name}_extra_mb": peak_mb(lambda: pandas_answer(frame)),
    }
    if count < 100_000:
        times[f"sweep_1001_{name}_ms"] = median_ms(lambda: ours_sweep(samples), runs=runs)
    return times


def made_up(count: int) -> Samples:
    """Random samples, the same in every run."""
    rng = np.random.default_rng(0)
    sure = rng.random((EARLY + 1, count), np.float32).T  # (n, exits), a column in one piece
    right = (rng.random((EARLY + 1, count), np.float32) < 0.9).T
    return Samples(
        labels=np.zeros(count, np.int64), correct=right, confidences={"max_probability": sure}
    )


def ours_point(samples: Samples) -> policy.OperatingPoint:
    """Everything that a page shows of a point."""
    return policy.operating_point(
        samples, THRESHOLDS, costs=COSTS, twin_energy_pj=2e8, twin_accuracy=0.9
    )


def ours_sweep(samples: Samples) -> policy.ThresholdSweep:
    """The middle exit's threshold over 1,001 values."""
    return policy.sweep(samples, exit=1, others=THRESHOLDS)


def ours_answer(samples: Samples) -> Answer:
    """Counts of our operating point."""
    outcome = ours_point(samples).outcome
    return outcome.exit_counts, outcome.correct_counts


def as_frame(samples: Samples) -> pd.DataFrame:
    """One column per exit for confidence (c0, …) and for being right (r0, …)."""
    sure = samples.confidences["max_probability"]
    columns = {f"c{i}": sure[:, i] for i in range(EARLY)}
    return pd.DataFrame(columns | {f"r{i}": samples.correct[:, i] for i in range(EARLY + 1)})


def pandas_answer(frame: pd.DataFrame) -> Answer:
    """The one-liner of a pandas user who knows that `apply` is slow."""
    limits = np.float32(THRESHOLDS)
    leaves = [frame[f"c{i}"] >= limits[i] for i in range(EARLY)]
    right = [frame[f"r{i}"] for i in range(EARLY)]
    table = (
        pd.DataFrame(
            {
                "exit": np.select(leaves, range(EARLY), EARLY),
                "right": np.select(leaves, right, frame[f"r{EARLY}"]),
            }
        )
        .groupby("exit")["right"]
        .agg(["size", "sum"])
        .reindex(range(EARLY + 1), fill_value=0)
    )
    return tuple(table["size"].tolist()), tuple(table["sum"].tolist())


def as_lists(samples: Samples) -> tuple[list[Sequence[float]], list[Sequence[bool]]]:
    """Confidences and being right as plain Python, one tuple a sample."""
    sure = samples.confidences["max_probability"][:, :EARLY].astype(np.float64)
    confidences = list(zip(*(column.tolist() for column in sure.T), strict=True))
    correct = list(zip(*(column.tolist() for column in samples.correct.T), strict=True))
    return confidences, correct


def loop_answer(confidences: list[Sequence[float]], correct: list[Sequence[bool]]) -> Answer:
    """One sample after another."""
    limits = [float(np.float32(limit)) for limit in THRESHOLDS]
    counts, right = [0] * (EARLY + 1), [0] * (EARLY + 1)
    for sure, hits in zip(confidences, correct, strict=True):
        taken = EARLY
        for i, limit in enumerate(limits):
            if sure[i] >= limit:
                taken = i
                break
        counts[taken] += 1
        right[taken] += hits[taken]
    return tuple(counts), tuple(right)


if __name__ == "__main__":
    main()
