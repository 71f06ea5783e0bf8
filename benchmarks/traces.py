"""Many images through a deployment form: our C beside torch, and with exits beside without.

    python -m benchmarks.traces [network] [bits] [rounds]

One thread, test images (HYBRID_DATA), rounds in turn. Seconds are for 10,000 images, all exits of
the edge, from 500 images; the cloud segment, which is torch's in either trace, by itself:

    c               the form in C, the fastest kernel of this processor, image by image
    torch_form      the form's whole numbers in torch (`--engine torch`), 100 images at a time
    torch_trained   the trained network's edge, which simulates the bits in floats, 100 at a time
    torch_float32   the same edge at full precision, 100 at a time
    cloud           the cloud segment for every image, 100 at a time

Then the mean time of an image in C that leaves where it is sure, at one threshold for all exits
that lets 65 % of `tune` leave, against running to the cut: `promised` is that ratio in
multiply-accumulates, `kept` what is left of it in time.
"""

import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.device import eager, floats_of, shipped_form
from benchmarks.rows import format_row, machine
from hybrid import data, zoo
from hybrid.deploy.exits import whole_threshold
from hybrid.deploy.form import Conv, Form
from hybrid.deploy.library import Library
from hybrid.deploy.torch_engine import Engine
from hybrid.models import Network

IMAGES, OF, BATCH = 500, 10_000, 100
EXITS = 0.65  # the share of the paper's headline
TORCH = ("torch_form", "torch_trained", "torch_float32")


def main(network: str = "cifar10-resnet32", bits: str = "4", rounds: str = "5") -> None:
    """Print one row."""
    torch.set_num_threads(1)
    form = shipped_form(network, int(bits))
    trained = zoo.load_variant(network, zoo.variant(network, int(bits)))
    pixels = np.ascontiguousarray(data.load(zoo.card(network).dataset, "test").images[:IMAGES])
    library = Library(form)
    limits = [whole_threshold(threshold(network, int(bits)))] * len(form.heads)
    asked = by_batch(form, trained, pixels) | {
        "c": lambda: library.run(pixels),
        "c_with_exits": lambda: library.leave(pixels, limits, "max_probability"),
    }
    seconds = {name: OF / IMAGES * one for name, one in timed(asked, int(rounds)).items()}
    left = library.leave(pixels, limits, "max_probability")
    promised = 1 / mean_share(form, left.steps)
    in_time = seconds["c"] / seconds["c_with_exits"]
    row: dict[str, object] = {"benchmark": "traces", **machine("torch")}
    row |= {"network": network, "bits": form.bits}
    row |= {f"{name}_s": value for name, value in seconds.items()}
    row |= {f"c_{name}_ratio": seconds[name] / seconds["c"] for name in TORCH}
    row |= {
        f"trace_{name}_ratio": (seconds[name] + seconds["cloud"])
        / (seconds["c"] + seconds["cloud"])
        for name in TORCH
    }
    row |= {"edge_exits": float((left.exit_taken < len(form.heads)).mean())}
    row |= {"promised": promised, "in_time": in_time, "kept": in_time / promised}
    print(format_row(row))


def threshold(network: str, bits: int) -> float:
    """The highest threshold of all exits at which `EXITS` of `tune` leave."""
    trace = zoo.trace(network, zoo.variant_name(bits, deployed=True), "tune")
    surest = trace.confidences["max_probability"][:, :-1].max(axis=1)
    return float(np.sort(surest)[int((1 - EXITS) * len(surest))])


def by_batch(
    form: Form, trained: Network, pixels: NDArray[np.uint8]
) -> dict[str, Callable[[], object]]:
    """What torch runs, for all images."""
    engine, floats = Engine(form), floats_of(trained)
    real = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        sent = trained.edge(real[:BATCH]).features
    sent = sent.repeat(IMAGES // BATCH, *[1] * (sent.ndim - 1))

    def each(run: Callable[[Tensor], object], given: Tensor) -> Callable[[], object]:
        def all_of_them() -> object:
            with torch.inference_mode():
                return [run(part) for part in torch.split(given, BATCH)]

        return all_of_them

    return {
        "torch_form": lambda: [
            engine.run(pixels[at : at + BATCH]) for at in range(0, IMAGES, BATCH)
        ],
        "torch_trained": each(trained.edge, real),
        "torch_float32": each(lambda part: eager(floats, part)(), real),
        "cloud": each(trained.cloud, sent),
    }


def timed(asked: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after a round not counted."""
    times: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(rounds + 1):
        for name, run in asked.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: median(own[1:]) for name, own in times.items()}


def mean_share(form: Form, steps: NDArray[np.int64]) -> float:
    """The multiply-accumulates up to the exits taken, as a share of all."""
    each = [
        step.weights.size * (step.rows.size * step.columns.size * step.pool**2)
        if isinstance(step, Conv)
        else step.weights.size
        for step in form.steps
    ]
    upto = np.concatenate([[0], np.cumsum(each)])
    return float(upto[steps].mean() / upto[-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
