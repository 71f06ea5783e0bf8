"""Whether every engine gives the same whole numbers: shipped deployment forms, on test images.

    python -m scripts.engines | tee -a benchmarks/results.txt    # about 40 minutes on two cores
    python -m scripts.engines cifar10-wide9 --bits 4 --images 100

A network's test images are dealt out to its forms in turn, so that 1,000 images are 125 for each of
eight bit widths. Logits of every early exit and the codes for the cloud are compared with those of
the interpreter in numpy, which is the specification. A row per form goes to the standard output, a
line per engine to the standard error. The exit code is 1 if any number differs.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.rows import format_row, machine
from hybrid import zoo
from hybrid.deploy import interpreter
from hybrid.deploy.files import load_form
from hybrid.deploy.form import SENT, Form
from hybrid.deploy.graphs.edge import edge_graphs
from hybrid.deploy.graphs.sessions import EdgeSessions
from hybrid.deploy.interpreter import Answers
from hybrid.deploy.library import Library
from hybrid.deploy.torch_engine import Engine
from hybrid.quant.packing import unpack

__all__ = ["KINDS", "Compared", "compared"]

KINDS = ("torch", "onnx", "c")
_AT_ONCE = 250  # images, which bounds the memory

Pixels = NDArray[np.uint8]
Runs = Callable[[Pixels], Answers]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """An engine beside the interpreter: how many of its numbers differ."""

    engine: str
    numbers: int
    different: int

    @property
    def kind(self) -> str:
        """Which of `KINDS` the engine is."""
        return next(kind for kind in KINDS if self.engine.lower().startswith(kind))


def main() -> None:
    """Compare the forms of the networks that are named, and print a row for each."""
    asked = _asked()
    ran = machine("numpy", "torch", "onnxruntime")
    different = 0
    for network in asked.networks or zoo.networks():
        images = zoo.images(network, "test").images
        forms = [one for one in zoo.card(network).deployed if asked.bits in (None, one.bits)]
        for first, variant in enumerate(forms):
            # a network with fewer test images shows some of them to several forms
            dealt = np.arange(first, asked.images, len(forms)) % len(images)
            row = _row(network, variant, images[dealt])
            print(format_row({"benchmark": "engines", **ran, **row}), flush=True)
            different += sum(int(row[f"{kind}_different"]) for kind in KINDS)
    raise SystemExit(bool(different))


def _row(network: str, variant: zoo.Variant, images: Pixels) -> dict[str, str | int]:
    path = zoo.weights_path(network, variant.name)
    form = load_form(path, expect_sha256=variant.files[zoo.WEIGHTS])
    different = Counter[str]()
    engines: list[str] = []
    numbers = 0
    for one in compared(form, images):
        print(
            f"{network} {variant.name}  {one.engine:<33}"
            f"{one.different:>8} of {one.numbers:,} numbers differ",
            file=sys.stderr,
            flush=True,
        )
        different[one.kind] += one.different
        engines.append(one.engine)
        numbers = one.numbers
    return {
        "network": network,
        "bits": variant.bits,
        "images": len(images),
        "engines": len(engines),
        "kernels": "/".join(name.split()[1] for name in engines if name.startswith("C ")),
        "numbers": numbers,
        **{f"{kind}_different": different[kind] for kind in KINDS},
    }


def compared(form: Form, images: Pixels) -> Iterator[Compared]:
    """Every engine of this machine on some images."""
    expected = _in_parts(lambda pixels: interpreter.run(form, pixels), images)
    for name, run in _engines(form):
        yield _counted(name, _in_parts(run, images), expected)
    yield from _in_c(form, images, expected)


def _asked() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("networks", nargs="*", help="all by default")
    asked.add_argument("--bits", type=int, help="only this bit width")
    asked.add_argument("--images", type=int, default=1000, help="of each network")
    return asked.parse_args()


def _engines(form: Form) -> Iterator[tuple[str, Runs]]:
    torch_engine = Engine(form)
    for threads in (1, 2):
        for batch in (1, 256):
            run = _in_torch(torch_engine, threads, batch)
            yield f"torch, {threads} threads, batch {batch}", run
    graphs = list(edge_graphs(form, measure="max_probability").values())
    for optimized in (False, True):
        sessions = EdgeSessions(graphs, optimized=optimized)
        yield f"ONNX Runtime, {'all' if optimized else 'no'} optimization", _in_onnx(form, sessions)


def _in_torch(engine: Engine, threads: int, batch: int) -> Runs:
    def run(pixels: Pixels) -> Answers:
        with _threads(threads):
            return _joined(
                [engine.run(pixels[i : i + batch]) for i in range(0, len(pixels), batch)]
            )

    return run


def _in_onnx(form: Form, sessions: EdgeSessions) -> Runs:
    bits, shape = form.codes[SENT].bits, form.shapes[SENT]

    def run(pixels: Pixels) -> Answers:
        answers, packed = sessions.run(pixels)
        sent = np.stack([unpack(row, bits=bits, shape=shape) for row in packed])
        return Answers(logits=tuple(one.logits for one in answers), sent=sent.astype(np.uint8))

    return run


def _in_c(form: Form, images: Pixels, expected: Answers) -> Iterator[Compared]:
    library = Library(form)
    for kernel in library.kernels:
        library.use(kernel)
        yield _counted(f"C {kernel}", library.run(images), expected)
    library.use("plain", packed=True)
    yield _counted("C packed", library.run(images), expected)


def _in_parts(run: Runs, images: Pixels) -> Answers:
    return _joined([run(images[i : i + _AT_ONCE]) for i in range(0, len(images), _AT_ONCE)])


def _joined(parts: list[Answers]) -> Answers:
    exits = zip(*(part.logits for part in parts), strict=True)
    return Answers(
        logits=tuple(np.concatenate(logits) for logits in exits),
        sent=np.concatenate([part.sent for part in parts]),
    )


def _counted(name: str, found: Answers, expected: Answers) -> Compared:
    pairs = list(zip((*found.logits, found.sent), (*expected.logits, expected.sent), strict=True))
    return Compared(
        engine=name,
        numbers=sum(one.size for one, _ in pairs),
        different=sum(int((one != other).sum()) for one, other in pairs),
    )


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
