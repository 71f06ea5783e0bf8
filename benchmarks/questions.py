"""What the first ten questions to the certify split are answered, whichever is the i-th.

    python -m benchmarks.questions [bits] [threshold]

For each CIFAR-10 network, the bound of the accuracy that early exits cost at one threshold for all
exits, if that is question 1, 2, … 10 to these images, in points; `above` is the distance from the
loss that was seen on them.
"""

import sys
from collections.abc import Sequence

from hybrid import certificates, zoo
from hybrid.evaluation import PART_OF_EXITS

NETWORKS = ("cifar10-resnet32", "cifar10-wide9")
QUESTIONS = 10
COLUMNS = (
    "question",
    "part of δ",
    *(f"{one}: {kind}" for one in NETWORKS for kind in ("at most", "above")),
)


def main(bits: str = "4", threshold: str = "0.8") -> None:
    """Print the table."""
    for row in (COLUMNS, *rows(int(bits), float(threshold))):
        print("  ".join(cell.ljust(len(title)) for cell, title in zip(row, COLUMNS, strict=True)))


def rows(bits: int = 4, threshold: float = 0.8) -> list[Sequence[str]]:
    """Number, part of delta, and for each network the bound and how far above the loss seen."""
    made = [answers(network, bits, threshold) for network in NETWORKS]
    found = []
    for number, some in enumerate(zip(*made, strict=True), start=1):
        points = [
            f"{x:.2f}" for one in some for x in (100 * one.bound, 100 * (one.bound - one.observed))
        ]
        found.append([str(number), f"{100 * certificates.spent(number, 1):.2f} %", *points])
    return found


def answers(network: str, bits: int, threshold: float) -> list[certificates.Certificate]:
    """The certificate as question 1, 2, … at 95 % confidence."""
    variant = zoo.variant(network, bits)
    recorded = zoo.trace(network, variant.name, "certify")
    deltas = [certificates.spent(number, 0.05) for number in range(1, QUESTIONS + 1)]
    return [
        certificates.certify(
            recorded,
            (threshold,) * variant.early_exits,
            delta=(1 - PART_OF_EXITS) * delta,
            method="exact",
        )
        for delta in deltas
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
