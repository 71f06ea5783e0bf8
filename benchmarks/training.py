"""CPU seconds per training epoch: the recipe's step, compared with a plain one of the same run.

    python -m benchmarks.training [recipe] [variant] [rounds]

Forward, loss and backward of one batch of random images on one thread, in the precision that
`hybrid train` takes, times the batches of an epoch of 45,000 images. The optimizer's step (1 % with
Adam) and the data (0.3 %) are left out. Each way has a process of its own, because what memory a
process keeps depends on its past; the first step is not counted. The seconds are of that process,
so other load distorts them little:

    plain      quantizers and norms as single operations, teachers run live
    compiled   both compiled, teachers run live
    saved      compiled, the teachers' answers read from disk
    blockwise  as saved, while each stage learns its twin's output by itself
    now        as saved, and memory that a step frees is kept for the next, as `hybrid train` does
"""

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks.rows import format_row, machine
from hybrid.models import Network, Spec, build
from hybrid.quant.fusing import fused
from hybrid.quant.layers import calibrating
from hybrid.training.memory import keep_freed_memory
from hybrid.training.module import blockwise_loss, exits_loss
from hybrid.training.recipe import Plan, Recipe, load_recipe
from hybrid.training.run import precision
from hybrid.training.teaching import Teaching

IMAGES = 45_000
WAYS = ("plain", "compiled", "saved", "blockwise", "now")


def main(recipe: str = "cifar10-resnet32", variant: str = "hybrid-1bit", rounds: str = "5") -> None:
    """Print one row."""
    known = load_recipe(recipe)
    plan = known.plan(variant)
    seconds = epoch_seconds(recipe, variant, rounds=int(rounds))
    row: dict[str, object] = {"benchmark": "training", **machine("torch"), "recipe": recipe}
    row |= {"variant": variant, "batch": plan.batch, "precision": precision()}
    row |= {"exits": len(known.spec(plan).exits), "teachers": len(plan.teachers)}
    row |= {f"{name}_s_per_epoch": round(value) for name, value in seconds.items()}
    row |= {f"ratio_{name}": round(seconds["plain"] / seconds[name], 2) for name in seconds}
    del row["ratio_plain"]
    print(format_row(row))


def epoch_seconds(recipe: str, variant: str, *, rounds: int) -> dict[str, float]:
    """CPU seconds of an epoch for each way to train it."""
    plan = load_recipe(recipe).plan(variant)
    ways = [name for name in WAYS if name != "blockwise" or plan.blockwise]
    seconds = {}
    for name in ways:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            seconds[name] = process.submit(measured, recipe, variant, name, rounds).result()
    return {name: value * (IMAGES // plan.batch) for name, value in seconds.items()}


def measured(recipe: str, variant: str, name: str, rounds: int) -> float:
    """CPU seconds of a step in one way: the median of some rounds, after one that warms up."""
    torch.set_num_threads(1)
    known = load_recipe(recipe)
    if name == "now":
        keep_freed_memory()
    times = []
    with tempfile.TemporaryDirectory() as folder, fused(wanted=name != "plain"):
        step = steps(known, known.plan(variant), Path(folder))["saved" if name == "now" else name]
        for _ in range(rounds + 1):
            start = time.process_time()
            step()
            times.append(time.process_time() - start)
    return median(times[1:])


def steps(recipe: Recipe, plan: Plan, folder: Path) -> dict[str, Callable[[], None]]:
    """One training step on the same images, in each way."""
    network = prepared(recipe.spec(plan))
    images = torch.randn(plan.batch, recipe.channels, recipe.size, recipe.size)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(len(images), dtype=torch.int64)
    teachers = [prepared(teacher_spec(recipe, name)).eval() for name in plan.teachers]
    live, saved = Teaching(teachers), Teaching(teachers, folder)

    def loss(teaching: Teaching) -> Tensor:
        answers = taught(teaching, images)
        return exits_loss(network(images), labels, plan, answers)

    ways: dict[str, Callable[[], Tensor]] = {"plain": lambda: loss(live)}
    ways |= {"compiled": lambda: loss(live), "saved": lambda: loss(saved)}
    if plan.blockwise:
        reference = prepared(recipe.spec(recipe.plan(plan.start))).eval()
        ways["blockwise"] = lambda: blockwise_loss(
            network, reference, images, labels, plan, taught(saved, images)
        )
    return {name: partial(learned, network, way) for name, way in ways.items()}


def prepared(spec: Spec) -> Network:
    """A network of random weights whose quantizers fit random images, ready to train."""
    network = build(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad(), calibrating(network):
        network(torch.randn(16, spec.channels, spec.size, spec.size))
    trained: Network = network.train()
    return trained


def teacher_spec(recipe: Recipe, name: str) -> Spec:
    """The network of "static-32bit", or of "cifar10-wide9/static-32bit"."""
    network, _, variant = name.rpartition("/")
    theirs = load_recipe(network.rpartition("/")[2]) if network else recipe
    return theirs.spec(theirs.plan(variant))


def taught(teaching: Teaching, images: Tensor) -> Tensor | None:
    """The teachers' probabilities for the only batch of an epoch."""
    return teaching.answers(images, epoch=0, step=0, steps=1) if teaching.teachers else None


def learned(network: Network, way: Callable[[], Tensor]) -> None:
    """Forward and backward pass of a loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision() == "bf16-mixed"):
        loss = way()
    loss.backward()  # type: ignore[no-untyped-call]
    network.zero_grad()


if __name__ == "__main__":
    main(*sys.argv[1:])
