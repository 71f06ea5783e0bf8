"""Images per second of a network with early exits, compared with the same run to its end.

    python -m benchmarks.conditional [network] [bits] [images]

Both use the same loaded weights on one thread. The plain run computes stages and classifier, but
no exit heads and no confidences; ours computes them too. Thresholds are chosen on tune: one value
for all exits, the lowest of a grid that loses at most a point compared with the final exit alone.
Next to each ratio of times is the one expected from the multiply-accumulates of the exits that
the timed images took. Rounds alternate, so that other load on the machine affects both.
"""

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.rows import format_row, machine
from hybrid import data, policy, zoo
from hybrid.data.preprocess import normalise
from hybrid.energy import Layer
from hybrid.models import Network

POINT = 0.01
ROUNDS = 5


def main(network: str = "digits-vgg", bits: str = "4", images: str = "360") -> None:
    """Print one row."""
    torch.set_num_threads(1)
    variant = zoo.variant(network, int(bits))
    loaded, limits = zoo.load(network, bits=variant.bits), chosen_thresholds(network, variant)
    batch = split_images(network, count=int(images))
    row: dict[str, object] = {"benchmark": "conditional", **machine("torch")}
    row |= {"network": network, "bits": bits, "images": len(batch), "threshold": limits[0]}
    for size in (1, 256):
        row |= compare(loaded, batch, limits, variant.layers, size=size)
    print(format_row(row))


def chosen_thresholds(network: str, variant: zoo.Variant) -> tuple[float, ...]:
    """The lowest threshold for all exits that loses at most a point on tune."""
    tune = zoo.trace(network, variant.name, "tune")
    for threshold in np.linspace(0, 1, 101).tolist():
        outcome = policy.outcome(tune, (threshold,) * variant.early_exits)
        if outcome.final_exit_accuracy - outcome.accuracy <= POINT:
            return outcome.thresholds
    return (1.0,) * variant.early_exits


def split_images(network: str, *, count: int) -> Tensor:
    """Up to `count` images spread over the test split, preprocessed."""
    split = data.load(zoo.card(network).dataset, "test")
    rows = np.linspace(0, len(split.labels) - 1, min(count, len(split.labels))).astype(np.int64)
    return torch.from_numpy(normalise(split.images[rows], split.name))


def compare(
    network: Network,
    images: Tensor,
    limits: tuple[float, ...],
    layers: tuple[Layer, ...],
    *,
    size: int,
) -> dict[str, float]:
    """Images per second at this batch size, their ratio, and the ratio expected from MACs."""
    batches = images.split(size)
    taken = np.concatenate([network.infer(batch, limits).exit_taken for batch in batches])
    ours, plain = alternating_seconds(
        lambda: [network.infer(batch, limits) for batch in batches],
        lambda: [run_to_the_end(network, batch) for batch in batches],
    )
    return {
        f"edge_fraction_{size}": float((taken < len(limits)).mean()),
        f"ours_{size}_images_per_s": len(images) / ours,
        f"plain_{size}_images_per_s": len(images) / plain,
        f"ratio_{size}": plain / ours,
        f"promised_by_macs_{size}": promised(layers, taken, exits=len(limits)),
    }


@torch.inference_mode()
def run_to_the_end(network: Network, images: Tensor) -> Tensor:
    """The final exit's classes; no head, no confidence."""
    features = images
    for stage in network.stages[: network.cut + 1]:
        features = stage(features)
    return network.cloud(network.uplink(features.relu())).argmax(1)


def promised(layers: tuple[Layer, ...], taken: np.ndarray, *, exits: int) -> float:
    """MACs of the plain run over the mean MACs of the exits taken, heads included."""
    heads = {layer.exit: layer.stage for layer in layers if layer.exit is not None}
    plain = sum(layer.macs for layer in layers if layer.exit is None)
    by_exit = [
        sum(x.macs for x in layers if 0 <= x.stage <= heads[i] and (x.exit is None or x.exit <= i))
        for i in range(exits)
    ]
    by_exit.append(sum(layer.macs for layer in layers))
    assert all(less <= more for less, more in pairwise(by_exit))
    return plain / float(np.mean([by_exit[i] for i in taken]))


def alternating_seconds(*runs: Callable[[], object]) -> tuple[float, ...]:
    """Median wall-clock time of each, in alternating rounds after a warm-up round."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS + 1):
        for run, own in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            own.append(time.perf_counter() - start)
    return tuple(median(own[1:]) for own in times)


if __name__ == "__main__":
    main(*sys.argv[1:])
