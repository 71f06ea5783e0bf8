"""What the first ten questions to the certify split are answered, whichever is the i-th.

    python -m benchmarks.questions [bits] [threshold]

For each CIFAR-10 network, the bound of the accuracy that early exits cost at one threshold for all
exits, if that is question 1, 2, … 10 to these images, in points; `above` is the distance from the
loss that was seen on them.

`least` is that distance for an observer who also knows how many answers the early exits mend on all
images there will ever be. What remains is a rate that was seen on few images, and its exact bound
(Clopper-Pearson). A method that knows less can only be above it.
"""

import sys
from collections.abc import Sequence

import numpy as np

from hybrid import certificates, policy, zoo
from hybrid.evaluation import PART_OF_EXITS

NETWORKS = ("cifar10-resnet32", "cifar10-wide9")
QUESTIONS = 10
DELTAS = tuple(
    (1 - PART_OF_EXITS) * certificates.spent(number, 0.05) for number in range(1, QUESTIONS + 1)
)
COLUMNS = (
    "question",
    "part of δ",
    *(f"{one}: {kind}" for one in NETWORKS for kind in ("at most", "above", "least")),
)


def main(bits: str = "4", threshold: str = "0.8") -> None:
    """Print the table."""
    for row in (COLUMNS, *rows(int(bits), float(threshold))):
        print("  ".join(cell.ljust(len(title)) for cell, title in zip(row, COLUMNS, strict=True)))


def rows(bits: int = 4, threshold: float = 0.8) -> list[Sequence[str]]:
    """Number, part of delta, and for each network the bound and how far above the loss seen."""
    made = [in_points(network, bits, threshold) for network in NETWORKS]
    found = []
    for number, some in enumerate(zip(*made, strict=True), start=1):
        points = [f"{value:.2f}" for one in some for value in one]
        found.append([str(number), f"{100 * certificates.spent(number, 1):.2f} %", *points])
    return found


def in_points(network: str, bits: int, threshold: float) -> list[tuple[float, float, float]]:
    """For each question the bound, how far it is above the loss seen, and how far any must be."""
    known = least(network, bits, threshold)
    return [
        (100 * one.bound, 100 * (one.bound - one.observed), 100 * ideal)
        for one, ideal in zip(answers(network, bits, threshold), known, strict=True)
    ]


def least(network: str, bits: int, threshold: float) -> list[float]:
    """How far above the loss seen the bound is if the rate of mended answers is known, by question.

    The same parts of delta are spent as by `answers`.
    """
    variant = zoo.variant(network, bits)
    recorded = zoo.trace(network, variant.name, "certify")
    limits = (threshold,) * variant.early_exits
    taken = policy.exits_taken(recorded.confidences["max_probability"][:, :-1], limits)
    kept = recorded.correct[np.arange(recorded.samples), taken]
    broken = int((recorded.correct[:, -1] & ~kept).sum())
    return [
        certificates.clopper_pearson(broken, recorded.samples, delta=delta)
        - broken / recorded.samples
        for delta in DELTAS
    ]


def answers(network: str, bits: int, threshold: float) -> list[certificates.Certificate]:
    """The certificate as question 1, 2, … at 95 % confidence."""
    variant = zoo.variant(network, bits)
    recorded = zoo.trace(network, variant.name, "certify")
    return [
        certificates.certify(
            recorded,
            (threshold,) * variant.early_exits,
            delta=delta,
            method="exact",
        )
        for delta in DELTAS
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
