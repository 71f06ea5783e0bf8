"""The command `edge`: a bundle answers images on this machine, with its cloud or without."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from hybrid.cli.output import say
from hybrid.errors import CloudError, LineError

if TYPE_CHECKING:
    from io import BufferedReader

    from hybrid.deploy.edge.inputs import Reader
    from hybrid.deploy.edge.links import Link
    from hybrid.deploy.edge.runtime import EdgeRuntime
    from hybrid.monitor import AnswerLine, AuditLine

__all__ = ["add_to", "link_to", "read_token"]

_MOST_TOKEN_BYTES = 10_000


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid edge bundle --watch incoming --cloud https://cloud.example:8443 "
        "--token-file token"
    )(edge)


def edge(
    bundle: Annotated[Path, typer.Argument(help="Folder that `hybrid export` wrote.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Image files, folders and zips; - reads an image, a zip or paths."),
    ] = None,
    *,
    watch: Annotated[
        Path | None, typer.Option(help="Folder whose images are answered as they arrive.")
    ] = None,
    camera: Annotated[
        int | None,
        typer.Option(min=0, help="Number of a camera; needs OpenCV, the extra `camera`."),
    ] = None,
    cloud: Annotated[
        str, typer.Option(help="Address of the cloud. Without it, the edge answers everything.")
    ] = "",
    deadline_ms: Annotated[
        float, typer.Option(min=1, max=3.6e6, help="Every image is answered within this time.")
    ] = 200.0,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that the cloud asks for.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority to trust, in place of the system's."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of this device's certificate, for a cloud with --client-ca."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM file of its key, without a password.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Plan of `hybrid monitor --save-plan`: which answers are audited."),
    ] = None,
    spool: Annotated[
        Path | None, typer.Option(help="Folder for audits that wait; needed with --plan.")
    ] = None,
    audit_wait_s: Annotated[
        float, typer.Option(min=0, help="Wait this long for the last audits before the end.")
    ] = 10.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve /metrics and /lines at this port; 0 takes a free one."
        ),
    ] = None,
    metrics_address: Annotated[
        str, typer.Option(help="Address of that port. /lines shows the names of files.")
    ] = "127.0.0.1",
    out: Annotated[
        Path | None, typer.Option(help="Append the lines to this file instead of printing them.")
    ] = None,
) -> None:
    """Answer images on this machine: one JSON line per image, within the deadline.

    An image is answered by the first exit that is confident enough, else by the cloud, else, marked
    as a fallback with its reason, by the most confident exit. `hybrid monitor` reads the lines.

    The first start of a bundle on a machine compiles its C code. Exit code 2 if images could not be
    read.
    """
    from hybrid.deploy.edge.inputs import Reader

    if not images and watch is None and camera is None:
        raise LineError("Name images or folders, a folder with --watch, or a --camera.")
    with ExitStack() as stack:
        lines = stack.enter_context(_Lines(out))
        secrets = (token_file, ca, cert, key)
        runtime = stack.enter_context(
            _runtime(bundle, cloud, secrets, deadline_ms, plan, spool, lines)
        )
        reader = Reader(runtime.bundle)
        if metrics_port is not None:
            stack.callback(_served(runtime, lines, metrics_address, metrics_port).close)
        refused = _answer_all(runtime, lines, _inputs(images or [], watch, camera, reader))
        if runtime.auditor is not None:
            left = runtime.auditor.finish(audit_wait_s)
            if left:
                say(f"{left:,} audits wait in {spool} for the next start.", err=True)
    if refused:
        raise typer.Exit(2)


class _Lines:
    """Where the lines go: stdout or a file, and readers of `/lines`. Each is written at once."""

    def __init__(self, path: Path | None) -> None:
        from hybrid.deploy.edge.serving import LineLog

        self._path, self._lock, self.log = path, threading.Lock(), LineLog()
        self._file: TextIO = sys.stdout

    def __enter__(self) -> "_Lines":
        if self._path is not None:
            self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock, suppress(OSError):  # a full disk was said when a line was written
            if self._path is not None:
                self._file.close()

    def write(self, line: "AnswerLine | AuditLine") -> None:
        """Write a line; it is there after the process is killed."""
        text = line.to_json()
        with self._lock:
            try:
                self._file.write(text + "\n")
                self._file.flush()
            except OSError as error:
                error.filename = str(self._path or "stdout")
                raise
        self.log.add(text)


def _runtime(
    folder: Path,
    cloud: str,
    secrets: tuple[Path | None, ...],
    deadline_ms: float,
    plan: Path | None,
    spool: Path | None,
    lines: _Lines,
) -> "EdgeRuntime":
    from hybrid.deploy.edge.audits import load_policy
    from hybrid.deploy.edge.bundle import load_bundle
    from hybrid.deploy.edge.device import is_compiled
    from hybrid.deploy.edge.runtime import EdgeRuntime

    if plan is not None and (spool is None or not cloud):
        raise LineError(
            "Audits need a cloud and a folder in which they wait; add --cloud and --spool, or "
            "leave out --plan."
        )
    bundle = load_bundle(folder)
    policy = load_policy(plan, bundle) if plan is not None else None
    link = link_to(cloud, *secrets)
    if not is_compiled(bundle):
        say(f"Compiling {folder} for this machine, once.", err=True)
    return EdgeRuntime(
        bundle, link, deadline_ms=deadline_ms, policy=policy, spool=spool, write=lines.write
    )


def link_to(
    cloud: str,
    token_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> "Link | None":
    """The link to a cloud at an address; None for an empty one."""
    if not cloud:
        return None
    from hybrid.deploy.edge.http import Http, trusting

    secure = cloud.startswith("https:")
    return Http(
        cloud,
        token=read_token(token_file),
        tls=trusting(ca, cert=cert, key=key) if secure else None,
    )


def read_token(path: Path | None) -> str:
    """The token in a file; it is in no message."""
    if path is None:
        return ""
    from hybrid.files import read_text

    try:
        token = read_text(path, most_bytes=_MOST_TOKEN_BYTES).strip()
    except (OSError, ValueError) as error:
        raise CloudError(f"{path} holds no token that can be read; write it there.") from error
    if not token:
        raise CloudError(f"{path} is empty; write the token into it.")
    return token


def _served(runtime: "EdgeRuntime", lines: _Lines, address: str, port: int) -> Any:
    from hybrid.deploy.edge.serving import Server

    def metrics() -> str:
        return runtime.metrics.text(runtime.gauges())

    server = Server(address, port, metrics=metrics, log=lines.log)
    say(f"/metrics and /lines are at http://{address}:{server.port}.", err=True)
    return server


def _inputs(
    images: list[str], watch: Path | None, camera: int | None, reader: "Reader"
) -> Iterator[tuple[str, Any] | None]:
    """Names and pixels; None for each image that could not be read."""
    from hybrid.deploy.edge import inputs

    refused: list[None] = []

    def note(sentence: str) -> None:
        say(sentence, err=True)

    def refuse(sentence: str) -> None:
        note(sentence)
        refused.append(None)

    sources: list[Iterator[tuple[str, Any]]] = []
    if images:
        stdin = cast("BufferedReader", sys.stdin.buffer)
        sources.append(inputs.from_paths(images, stdin, reader, say=refuse, note=note))
    if watch is not None:
        sources.append(inputs.watched(watch, reader, say=note))
    elif camera is not None:
        sources.append(inputs.camera(camera, reader, say=note))
    for source in sources:
        yield from source
    yield from refused


def _answer_all(
    runtime: "EdgeRuntime", lines: _Lines, given: Iterator[tuple[str, Any] | None]
) -> int:
    """Answer and write; how many images could not be read."""
    refused, answered, began = 0, {"exit": 0, "cloud": 0, "fallback": 0}, time.monotonic()
    try:
        for one in given:
            if one is None:
                refused += 1
                continue
            name, pixels = one
            line = runtime.answer(pixels, file=name)
            lines.write(line)
            runtime.written()
            answered[line.source] += 1
    finally:
        took = time.monotonic() - began
        say(
            f"{sum(answered.values()):,} images in {took:.1f} s: {answered['exit']:,} by an exit, "
            f"{answered['cloud']:,} by the cloud, {answered['fallback']:,} by a fallback.",
            err=True,
        )
    return refused
