"""What an edge answers while its cloud and the line to it fail in every way that is known.

    python -m benchmarks.faults [faults per kind] [deadline in ms]

A bundle of the digits' network, all images of which go to the cloud, is asked through lines and
clouds that fail, each in its own way, by edges in processes of their own. No breaker opens, so
every image meets the fault. Rows:

    fault_kind   one kind: `late` answers took longer than the deadline and 5 ms; `wrong` are not
                 those of the exit or cloud that they name, or have no mark; `raised` are errors
    faults       all kinds together
    breaker      an image that stays, with a breaker that is open, beside an edge without a cloud

Images and right answers are the bundle's test vectors, so a changed byte has no answer.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from benchmarks.misbehaving import FAULTS, Cloud, serve
from benchmarks.rows import format_row, machine
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.guard import Breaker
from hybrid.deploy.edge.http import Http, trusting
from hybrid.deploy.edge.links import Link
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.deploy.measuring import toxics
from hybrid.deploy.measuring.proxy import Proxy
from hybrid.deploy.measuring.toxics import Pieces

NETWORK, BITS = "digits-vgg", 4
SLACK_MS = 5.0
CLIENTS = 2
NEVER = (1.5, 1.5)  # thresholds that no confidence reaches
KILLS_EVERY_S = 0.25
TOKEN = "right"  # of this benchmark
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RandomFlip:
    """One bit of each message, at a place of its own."""

    async def __call__(self, pieces: Pieces) -> Pieces:
        """As in `Toxic`."""
        async for came, data in pieces:
            changed = bytearray(data)
            changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
            yield came, bytes(changed)


LINES: dict[str, dict[str, Any]] = {
    "slow by 100 ms": {"to_cloud": [toxics.Latency(latency_ms=100)]},
    "jitter around the deadline": {"to_edge": [toxics.Latency(latency_ms=25, jitter_ms=25)]},
    "black hole": {"to_cloud": [toxics.Timeout()]},
    "answers lost": {"to_edge": [toxics.Timeout()]},
    "trickle": {"to_edge": [toxics.Bandwidth(bytes_per_s=500)]},
    "narrow uplink": {"to_cloud": [toxics.Bandwidth(bytes_per_s=20_000)]},
    "sliced": {"to_edge": [toxics.Slicer(average_size=5, delay_us=100)]},
    "reset at the start": {"to_cloud": [toxics.ResetPeer()]},
    "reset in the request": {"to_cloud": [toxics.ResetPeer(bytes=200)]},
    "reset before the answer": {"to_edge": [toxics.ResetPeer()]},
    "reset in the answer": {"to_edge": [toxics.ResetPeer(bytes=250)]},
    "cut in the head": {"to_edge": [toxics.LimitData(bytes=40)]},
    "half an answer": {"to_edge": [toxics.LimitData(bytes=330)]},
    "closed without an answer": {"to_edge": [toxics.LimitData(bytes=0)]},
    "slow close": {"to_edge": [toxics.SlowClose(delay_ms=50)]},
    "a bit of the request": {"to_cloud": [RandomFlip()]},
    "a bit of the answer": {"to_edge": [RandomFlip()]},
}
EDGES = ("refused", "wrong token", "other weights", "the clock jumps", "no fault")
KILLED = "killed -9"
CERTIFICATES = ("certificate expired", "certificate of another", "plain HTTP on a port of TLS")


class NeverOpens(Breaker):
    """Every call is made."""

    def failed(self) -> None:
        """Nothing follows."""


def main(faults: str = "300", deadline_ms: str = "30") -> None:
    """Print the rows."""
    about: Row = {**machine("numpy"), "network": NETWORK, "bits": BITS}
    with tempfile.TemporaryDirectory(prefix="hybrid-faults-") as name:
        bundle = exported(Path(name))
        for row in rows(bundle, int(faults), float(deadline_ms)):
            print(format_row({"benchmark": row.pop("benchmark"), **about, **row}), flush=True)


def rows(bundle: Path, faults: int, deadline_ms: float) -> Iterator[Row]:
    """All rows."""
    EdgeRuntime(bundle).close()  # compiled before anything is measured
    with world(bundle) as places:
        kinds = [kind for kind in (*LINES, *FAULTS, *EDGES, *CERTIFICATES) if kind in places]
        found = list(_asked(bundle, places, kinds, faults, deadline_ms))
    found += _while_killed(bundle, faults, deadline_ms)
    for one in found:
        yield {"benchmark": "fault_kind", "deadline_ms": deadline_ms, **one}
    counts = ("faults", "late", "wrong", "raised", "cloud", "fallback")
    total = {key: sum(one[key] for one in found) for key in counts}
    worst = max(one["worst_ms"] for one in found)
    yield {
        "benchmark": "faults", "deadline_ms": deadline_ms, "kinds": len(found), **total,
        "worst_ms": worst,
    }  # fmt: skip
    yield {"benchmark": "breaker", **breaker_row(bundle)}


def breaker_row(bundle: Path, images: int = 2_000) -> Row:
    """Median microseconds of an image that stays: the breaker open, and no cloud at all."""
    staying = replace(load_bundle(bundle), thresholds=NEVER)
    pixels = load_file(bundle / "vectors.safetensors")["pixels"]
    with (
        EdgeRuntime(staying, Http("http://127.0.0.1:9")) as cut_off,
        EdgeRuntime(staying) as alone,
    ):
        for _ in range(10):
            cut_off.answer(pixels[0])
        opened, without = [], []
        for number in range(images):  # in turn, so that both meet the same machine
            one = pixels[number % len(pixels)]
            for edge, times in ((cut_off, opened), (alone, without)):
                start = time.perf_counter()
                line = edge.answer(one)
                took = time.perf_counter() - start
                if line.reason in {"breaker", "no link"}:
                    times.append(took * 1e6)
                assert not line.sent_bytes
    medians = statistics.median(opened), statistics.median(without)
    return {
        "open_us": medians[0],
        "without_cloud_us": medians[1],
        "added_us": medians[0] - medians[1],
        "images": len(opened),
    }


def exported(folder: Path) -> Path:
    """The digits' network, frozen and exported beside a copy of its card."""
    from hybrid import zoo
    from hybrid.deploy.bundles.writing import Point, write_bundle
    from hybrid.deploy.freezing import freeze

    shutil.copytree(zoo.pretrained_folder() / NETWORK, folder / "networks" / NETWORK)
    os.environ["HYBRID_PRETRAINED"] = str(folder / "networks")
    freeze(NETWORK, BITS)
    write_bundle(NETWORK, BITS, folder / "bundle", Point(thresholds=(0.9, 0.8)))
    return folder / "bundle"


def _truth(bundle: Path, edge: EdgeBundle) -> Cloud:
    vectors = load_file(bundle / "vectors.safetensors")
    known = zip(map(bytes, vectors["packed"]), vectors["cloud_logits"], strict=True)
    return Cloud(logits=dict(known), weights=edge.weights, token=TOKEN)


# ---- the clouds and the lines to them, in a process of their own ----


@contextmanager
def world(bundle: Path) -> Iterator[dict[str, int]]:
    """Ports by kind of fault."""
    with _process("serve", str(bundle)) as (process, places):
        yield places
        assert process.poll() is None  # it lived through all of it


@contextmanager
def _process(*words: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, int]]]:
    command = [sys.executable, "-m", "benchmarks.faults", *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        process.wait()
        process.stdout.close()


async def _serve(bundle: Path) -> None:
    cloud = _truth(bundle, load_bundle(bundle))
    honest = await serve(cloud, "")
    places = dict.fromkeys(EDGES, honest) | {"refused": 9}
    for kind in FAULTS:
        places[kind] = await serve(cloud, kind)
    for kind, line in LINES.items():
        proxy = Proxy(("127.0.0.1", honest), **line)
        await proxy.start()
        places[kind] = proxy.port
    places["plain HTTP on a port of TLS"] = honest
    if shutil.which("openssl"):
        for kind, context in _certificates(bundle.parent).items():
            places[kind] = await serve(cloud, "", tls=context)
    print(json.dumps(places), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _serve_one(bundle: Path, port: int) -> None:
    """An honest cloud that waits to be killed."""
    found = await serve(_truth(bundle, load_bundle(bundle)), "", port=port)
    print(json.dumps({"port": found}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def _certificates(folder: Path) -> dict[str, ssl.SSLContext]:
    """Of a cloud that is expired and trusted, and of one that is not trusted."""
    found = {}
    for kind, end in (("certificate expired", "20200102"), ("certificate of another", "20991231")):
        place = folder / kind.replace(" ", "-")
        place.mkdir()
        _sign(place, f"{end}000000Z")
        found[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found[kind].load_cert_chain(place / "cert.pem", place / "key.pem")
    return found


def _sign(folder: Path, end: str) -> None:
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=own\n[own]\nnew_certs_dir=.\ndatabase=index.txt\nserial=serial\n"
        "default_md=sha256\npolicy=any\ncopy_extensions=copy\n[any]\ncommonName=supplied\n"
    )
    made = "-out request.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    signed = f"-in request.pem -out cert.pem -notext -startdate 20200101000000Z -enddate {end}"
    for words in (
        f"req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem {made}",
        f"ca -batch -config ca.conf -selfsign -keyfile key.pem {signed}",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


# ---- the edges, in processes of their own ----


def _asked(
    bundle: Path, places: Mapping[str, int], kinds: Sequence[str], faults: int, deadline_ms: float
) -> Iterator[Row]:
    """A row per kind, asked by several processes at a time."""
    shares = [list(kinds[number::CLIENTS]) for number in range(CLIENTS)]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults", "ask", str(bundle), str(faults),
             str(deadline_ms), json.dumps({kind: places[kind] for kind in share})],
            stdout=subprocess.PIPE, text=True,
        )
        for share in shares
    ]  # fmt: skip
    for process in running:
        out, _ = process.communicate()
        assert process.returncode == 0
        yield from json.loads(out)


def _ask(bundle: Path, faults: int, deadline_ms: float, places: Mapping[str, int]) -> list[Row]:
    return [
        _ask_kind(bundle, kind, _link(bundle, kind, port), faults, deadline_ms)
        for kind, port in places.items()
    ]


def _link(bundle: Path, kind: str, port: int) -> Link:
    if kind not in CERTIFICATES:
        token = "wrong" if kind == "wrong token" else TOKEN
        return Http(f"http://127.0.0.1:{port}", token=token)
    own = bundle.parent / kind.replace(" ", "-") / "cert.pem"
    tls = trusting(own if kind == "certificate expired" else None)
    return Http(f"https://localhost:{port}", token=TOKEN, tls=tls)


def _ask_kind(bundle: Path, kind: str, link: Link, faults: int, deadline_ms: float) -> Row:
    """Ask so many images and count what comes."""
    known = replace(load_bundle(bundle), thresholds=NEVER)
    if kind == "other weights":
        known = replace(known, weights="00" * 32)
    vectors = load_file(bundle / "vectors.safetensors")
    now = time.time
    if kind == "the clock jumps":
        time.time = lambda: random.uniform(-1e9, 1e10)
    counts = dict.fromkeys(("late", "wrong", "raised", "cloud", "fallback"), 0)
    worst = 0.0
    try:
        with EdgeRuntime(
            known, link, deadline_ms=deadline_ms, breaker=NeverOpens(), now=time.time
        ) as edge:
            for number in range(faults):
                took_ms = _count_one(edge, vectors, number % len(vectors["pixels"]), counts)
                worst = max(worst, took_ms)
                counts["late"] += took_ms > deadline_ms + SLACK_MS
    finally:
        time.time = now
    return {"kind": kind, "faults": faults, **counts, "worst_ms": worst}


def _count_one(
    edge: EdgeRuntime, vectors: Mapping[str, np.ndarray], image: int, counts: dict[str, int]
) -> float:
    """Milliseconds that one answer took; it is counted as right, wrong or raised."""
    start = time.monotonic()
    try:
        line = edge.answer(vectors["pixels"][image])
    except Exception:  # whatever it is, there must be none
        counts["raised"] += 1
        return (time.monotonic() - start) * 1000
    took_ms = (time.monotonic() - start) * 1000
    best = vectors["confidences"][image].argmax()
    local = vectors["logits"][image, best].argmax()
    right = {"cloud": vectors["cloud_logits"][image].argmax(), "fallback": local}
    marked = (line.source == "fallback") == bool(line.reason)
    counts["wrong"] += int(not marked or line.class_index != right[line.source])
    counts[line.source] += 1
    return took_ms


def _while_killed(bundle: Path, faults: int, deadline_ms: float) -> Iterator[Row]:
    """A cloud that is killed with -9 and started again while an edge asks it."""
    with _process("serve-one", str(bundle), "0") as (_, places):
        port = places["port"]
    asking = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.faults", "ask", str(bundle), str(60 * faults),
         str(deadline_ms), json.dumps({KILLED: port})],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    kills = 0
    while asking.poll() is None:
        with _process("serve-one", str(bundle), str(port)) as (process, _):
            with suppress(subprocess.TimeoutExpired):
                asking.wait(KILLS_EVERY_S)
            process.send_signal(signal.SIGKILL)
            kills += 1
    out, _ = asking.communicate()
    (row,) = json.loads(out)
    yield row | {"kills": kills}


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(Path(sys.argv[2])))
    elif sys.argv[1:2] == ["serve-one"]:
        asyncio.run(_serve_one(Path(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1:2] == ["ask"]:
        given = sys.argv[2:]
        asked = _ask(Path(given[0]), int(given[1]), float(given[2]), json.loads(given[3]))
        print(json.dumps(asked))
    else:
        main(*sys.argv[1:])
