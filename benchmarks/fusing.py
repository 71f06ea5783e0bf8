"""Seconds per training step with compiled quantizers, compared with plain ones.

    python -m benchmarks.fusing [architecture] [bits] [batch]

Forward and backward of all exits on random images of 32 pixels, one thread, bfloat16 autocast:
`hybrid train --compile` compared with `hybrid train`. Rounds alternate after both warmed up.
"""

import sys
import time
from statistics import median

import torch
from torch.nn import functional

from benchmarks.rows import format_row, machine
from hybrid.models import Network, Spec, build
from hybrid.quant.fusing import fused
from hybrid.quant.layers import calibrating
from hybrid.training.recipe import load_recipe

ROUNDS = 4


def main(recipe: str = "cifar10-resnet32", bits: str = "4", batch: str = "250") -> None:
    """Print one row."""
    torch.set_num_threads(1)
    known = load_recipe(recipe)
    spec: Spec = known.spec(known.plan(f"hybrid-{bits}bit"))
    network = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(int(batch), spec.channels, spec.size, spec.size)
    images = images.to(memory_format=torch.channels_last)
    with torch.no_grad(), calibrating(network):
        network(images[:100])
    network.train()
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(ROUNDS + 1):
        for compiled, steps in seconds.items():
            with fused(wanted=compiled):
                steps.append(step(network, images))
    plain, compiled_step = (median(steps[1:]) for steps in seconds.values())
    row: dict[str, object] = {"benchmark": "fusing", **machine("torch"), "recipe": recipe}
    row |= {"bits": bits, "batch": batch, "plain_s": round(plain, 3)}
    row |= {"compiled_s": round(compiled_step, 3), "ratio": round(plain / compiled_step, 2)}
    print(format_row(row))


def step(network: Network, images: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    labels = torch.zeros(len(images), dtype=torch.int64)
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        losses = [functional.cross_entropy(exit_.float(), labels) for exit_ in network(images)]
    torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    network.zero_grad()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
