"""How soon `hybrid edge` answers after its start, and what an answer takes.

    python -m benchmarks.edge [starts]

A bundle of the digits' network, compiled before. The row has medians:

    start_s        from the start of the command to its end, with one image answered
    torch_s        a Python process that imports torch, which the edge does not need
    exit_us        an image that leaves at an exit, in a running edge
    loopback_us    an image that stays, with a cloud in the same process that answers at once
    http_us        the same with a cloud in another process, over HTTP on this machine
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from benchmarks.faults import NEVER, TOKEN, exported, world
from benchmarks.rows import format_row, machine
from hybrid.deploy.edge.bundle import load_bundle
from hybrid.deploy.edge.http import Http
from hybrid.deploy.edge.links import Link, Loopback
from hybrid.deploy.edge.runtime import EdgeRuntime

IMAGES = 1_000
COMMAND = "from hybrid.cli.main import app; app()"


def main(starts: str = "9") -> None:
    """Print the row."""
    with tempfile.TemporaryDirectory(prefix="hybrid-edge-") as name:
        bundle = exported(Path(name))
        row = {"benchmark": "edge", **machine("numpy"), "network": load_bundle(bundle).network}
        print(format_row(row | started(bundle, int(starts)) | answered(bundle)), flush=True)


def started(bundle: Path, starts: int) -> dict[str, float]:
    """Seconds of whole processes."""
    EdgeRuntime(bundle).close()  # compiled
    pixels = load_file(bundle / "vectors.safetensors")["pixels"][0]
    image = bundle.parent / "image.png"
    Image.fromarray(pixels.squeeze()).save(image)
    edge, torch = [], []
    for _ in range(starts):  # in turn, so that both meet the same machine
        edge.append(_seconds(["-c", COMMAND, "edge", str(bundle), str(image)]))
        torch.append(_seconds(["-c", "import torch"]))
    return {"start_s": statistics.median(edge), "torch_s": statistics.median(torch)}


def answered(bundle: Path) -> dict[str, float]:
    """Microseconds of one image in a running edge."""
    vectors = load_file(bundle / "vectors.safetensors")
    known = dict(zip(map(bytes, vectors["packed"]), vectors["cloud_logits"], strict=True))

    def cloud(packed: np.ndarray) -> np.ndarray:
        return known[packed.tobytes()][None]

    found = {
        "exit_us": _median_us(bundle, None, vectors["pixels"], thresholds=(0.0, 0.0)),
        "loopback_us": _median_us(bundle, Loopback(cloud), vectors["pixels"], thresholds=NEVER),
    }
    with world(bundle) as places:
        link = Http(f"http://127.0.0.1:{places['no fault']}", token=TOKEN)
        found["http_us"] = _median_us(bundle, link, vectors["pixels"], thresholds=NEVER)
    return found


def _median_us(
    bundle: Path, link: Link | None, pixels: np.ndarray, *, thresholds: Sequence[float]
) -> float:
    edge = replace(load_bundle(bundle), thresholds=tuple(thresholds))
    times = []
    with EdgeRuntime(edge, link) as runtime:
        for number in range(IMAGES):
            start = time.perf_counter()
            line = runtime.answer(pixels[number % len(pixels)])
            times.append((time.perf_counter() - start) * 1e6)
            assert line.source != "fallback"
    return statistics.median(times)


def _seconds(words: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        check=True,
        capture_output=True,
        env=os.environ | {"COLUMNS": "80"},
    )
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
