"""Edge and cloud as two processes over all images of test, beside their trace.

    python -m benchmarks.measure [network] [bits] [threshold] [link]

The network must have been frozen at these bits. A row per exit has milliseconds, median and 95th
percentile, of `hybrid measure`, and what the default profile promises; `as_promised` is whether
every exit and every answer of all images is that of the trace.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import format_row, machine
from hybrid import zoo
from hybrid.deploy.bundles.writing import Point, write_bundle

COMMAND = "from hybrid.cli.main import app; app()"
Row = dict[str, Any]


def main(
    network: str = "cifar10-resnet32", bits: str = "4", threshold: str = "0.8", link: str = ""
) -> None:
    """Print the rows."""
    about: Row = {"benchmark": "measure", **machine("numpy", "onnxruntime")}
    about |= {"network": network, "bits": bits, "threshold": threshold, "link": link or "none"}
    with tempfile.TemporaryDirectory(prefix="hybrid-measure-") as name:
        for row in rows(Path(name) / "bundle", network, int(bits), float(threshold), link):
            print(format_row(about | row), flush=True)


def rows(bundle: Path, network: str, bits: int, threshold: float, link: str) -> Iterator[Row]:
    """A row per exit, the cloud last."""
    early = zoo.variant(network, bits, deployed=True).early_exits
    write_bundle(network, bits, bundle, Point(thresholds=(threshold,) * early))
    words = ["measure", str(bundle), "--json", *(["--link", link] if link else [])]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)
    shared = {key: found[key] for key in ("images", "as_promised", "fallbacks", "images_per_s")}
    for number, one in enumerate(found["exits"], 1):
        times = {
            f"{part}_{key}": one[part][key]
            for part in ("device_ms", "wire_ms", "cloud_ms")
            if one[part] is not None
            for key in ("median", "p95")
        }
        counts = {key: one[key] for key in ("in_trace", "sent_bytes", "promised_ms")}
        name = "cloud" if number == len(found["exits"]) else f"exit {number}"
        yield shared | {"exit": name, "answered": one["images"], **counts, **times}


if __name__ == "__main__":
    main(*sys.argv[1:])
