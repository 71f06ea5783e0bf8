"""The simulated cloud of a fleet beside a real one.

    python -m benchmarks.fleet [bundle] [seconds]

A cloud process answers 1, 2 and 4 edges that send at random moments, so that it is busy for a
sixth, a third and two thirds of the time. The row has the mean and the 95th percentile of an
image's milliseconds in the cloud, as the cloud says it, and the same as simulated for requests at
the same moments, from what an image takes there with a single edge, which never waits for itself.
Without a bundle, one of the digits' network is frozen. A cloud should take some milliseconds: edges
and cloud share this machine's cores, and what an edge itself does is of that size.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks.faults import exported
from benchmarks.rows import format_row, machine, median_ms
from hybrid.deploy.cloud.bundle import load_cloud
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.http import Http
from hybrid.deploy.fleet.queueing import Cloud, simulate
from hybrid.deploy.measuring.processes import cloud_of

EDGES = (1, 2, 4)
SHARE = 1 / 6  # of the cloud's time, for each edge
LONG_S = 60.0
BATCH = 4


def main(folder: str = "", seconds: str = "20") -> None:
    """Print the row."""
    with tempfile.TemporaryDirectory(prefix="hybrid-fleet-") as name:
        bundle = Path(folder) if folder else exported(Path(name))
        edge, packed = load_bundle(bundle), load_file(bundle / "vectors.safetensors")["packed"]
        row = {"benchmark": "fleet", **machine("simpy", "onnxruntime"), "network": edge.network}
        with cloud_of(bundle) as url:
            hot_ms = statistics.fmean(asked(Http(url), edge, packed, [0.0] * 100)[1])
            rate_per_s = SHARE * 1000 / hot_ms
            real = {n: together(url, edge, packed, rate_per_s, n, float(seconds)) for n in EDGES}
        row |= {"more_ratio": further_image(bundle, packed)}
        for edges in EDGES:
            row |= compared(*real[edges], real[1][1], edges, row["more_ratio"])
        print(format_row(row))


def compared(
    sent_s: Sequence[float],
    real: Sequence[float],
    alone: Sequence[float],
    edges: int,
    more: float,
) -> dict[str, float]:
    """Mean and 95th percentile with so many edges, real and simulated.

    Args:
        sent_s, real: when each image was sent, and its milliseconds in the cloud.
        alone: milliseconds with one edge, which never waits for itself.
        more: time of a further image in a batch, in those of the first.
    """
    rng = np.random.default_rng(edges)
    more_ms = more * statistics.fmean(alone)
    cloud = Cloud(replicas=1, image_ms=tuple(alone), more_ms=more_ms, most_in_batch=32)
    simulated = simulate(sorted(one - min(sent_s) for one in sent_s), cloud, rng)
    return {
        f"real_{edges}_ms": statistics.fmean(real),
        f"simulated_{edges}_ms": float(simulated.in_cloud_ms.mean()),
        f"ratio_{edges}": float(simulated.in_cloud_ms.mean()) / statistics.fmean(real),
        f"real_{edges}_p95_ms": float(np.quantile(real, 0.95)),
        f"simulated_{edges}_p95_ms": simulated.percentile_ms(0.95),
    }


def further_image(bundle: Path, packed: np.ndarray) -> float:
    """What a further image of a batch takes, in times of the first."""
    run = load_cloud(bundle).run
    one, many = (median_ms(lambda n=n: run(packed[:n]), runs=100) for n in (1, BATCH))
    return max(0.01, (many / one - 1) / (BATCH - 1))


def together(
    url: str, edge: EdgeBundle, packed: np.ndarray, rate_per_s: float, edges: int, seconds: float
) -> tuple[list[float], list[float]]:
    """When all edges sent, in seconds, and the milliseconds that they were told."""
    sent: list[float] = []
    told: list[float] = []

    def use(number: int) -> None:
        rng = np.random.default_rng(100 + number)
        gaps = rng.exponential(1 / rate_per_s, max(1, round(rate_per_s * seconds)))
        at, times = asked(Http(url), edge, packed, gaps)
        sent.extend(at)
        told.extend(times)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(edges)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent, told


def asked(
    link: Http, edge: EdgeBundle, packed: np.ndarray, gaps_s: Sequence[float] | np.ndarray
) -> tuple[list[float], list[float]]:
    """Send one image after another, each so long after the one before.

    An image that is due before the last answer has come is sent at once.
    """
    sent, told, due = [], [], time.monotonic()
    for number, gap_s in enumerate(gaps_s):
        due += float(gap_s)
        time.sleep(max(0.0, due - time.monotonic()))
        data = packed[number % len(packed)].tobytes()
        sent.append(time.monotonic())
        reply = link.ask(edge, data, deadline=time.monotonic() + LONG_S)
        assert reply.cloud_ms is not None
        told.append(reply.cloud_ms)
    link.close()
    return sent, told


if __name__ == "__main__":
    main(*sys.argv[1:])
