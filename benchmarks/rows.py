"""One row per benchmark: where and with what it ran, medians in ms, and ratios of the same run."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

__all__ = ["format_row", "machine", "median_ms", "peak_mb"]


def machine(*packages: str) -> dict[str, str]:
    """Processor, cores, Python, the versions of these packages, and the commit."""
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **versions,
        "commit": _commit(),
    }


def median_ms(run: Callable[[], object], *, runs: int) -> float:
    """Median wall-clock time of a call, after one that is not counted."""
    run()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def peak_mb(run: Callable[[], object]) -> float:
    """The most memory a call holds at once beyond what was there before, in 10^6 bytes."""
    tracemalloc.start()  # numpy and pandas report their arrays to it
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def format_row(row: Mapping[str, object]) -> str:
    """`name=value, name=value`, numbers with four digits."""
    shown = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    here = Path(__file__).parent
    command = ["git", "-C", here, "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"
