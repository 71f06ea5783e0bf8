"""The command `cloud`: a bundle answers the bytes that edges send."""

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.edge import read_token
from hybrid.cli.output import say
from hybrid.errors import CloudError

if TYPE_CHECKING:
    from hybrid.deploy.cloud.app import Limits

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid cloud bundle --host 0.0.0.0 --port 8443 --token-file token "
        "--tls-cert cert.pem --tls-key key.pem"
    )(cloud)


def cloud(
    bundle: Annotated[Path, typer.Argument(help="Folder that `hybrid export` wrote.")],
    *,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. Any but this machine's own needs token and TLS."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that edges must send.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate and its chain.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate's key, without a password.")
    ] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority whose certificates edges must have."),
    ] = None,
    max_batch: Annotated[
        int, typer.Option(min=1, max=1024, help="Images of one call of the model.")
    ] = 32,
    max_wait_ms: Annotated[
        float,
        typer.Option(min=0, max=1000, help="An image waits so long for others if none computes."),
    ] = 0.0,
    queue: Annotated[
        int, typer.Option(min=1, max=100_000, help="Images that wait; more are refused (503).")
    ] = 256,
    max_body_bytes: Annotated[
        int, typer.Option(min=1024, max=1 << 30, help="Bytes of a request; more are refused (413).")
    ] = 1 << 20,
    timeout_s: Annotated[
        float,
        typer.Option(min=0.1, max=3600, help="Time for a request to arrive, and for its answer."),
    ] = 10.0,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="Run replicas through Ray Serve; needs the extra `serve`."),
    ] = False,
    address: Annotated[
        str,
        typer.Option(
            help="With --ray: auto, or host:port of a Ray cluster. Default: this machine alone."
        ),
    ] = "",
    replicas: Annotated[int, typer.Option(min=1, help="With --ray: replicas at any time.")] = 2,
    max_replicas: Annotated[
        int, typer.Option(min=0, help="With --ray: replicas when many wait. Default: as many.")
    ] = 0,
) -> None:
    """Answer for edges: Open Inference Protocol v2 over HTTP, and HYB1 frames.

    The version in the address is the SHA-256 of the bundle's weights; other weights are an error.
    /v2/health/ready says whether it answers, /metrics counts for Prometheus.
    """
    from hybrid.deploy.cloud.app import CloudApp, Limits
    from hybrid.deploy.cloud.bundle import load_cloud
    from hybrid.deploy.cloud.serving import Tls, check_safe, listening, serve

    token = read_token(token_file)
    tls = None
    if tls_cert is not None and tls_key is not None:
        tls = Tls(certificate=tls_cert, key=tls_key, client_ca=client_ca)
    elif tls_cert or tls_key or client_ca:
        raise CloudError("TLS needs a certificate and its key; give --tls-cert and --tls-key.")
    check_safe(host, token=token, tls=tls)
    context = None if tls is None else tls.context()
    limits = Limits(
        max_batch=max_batch,
        max_wait_s=max_wait_ms / 1000,
        queue=max(queue, max_batch),
        max_body_bytes=max_body_bytes,
        timeout_s=timeout_s,
    )
    if ray:
        _serve_replicas(bundle, limits, (replicas, max_replicas), (host, port), token, address)
        return
    app = CloudApp(load_cloud(bundle), limits, token=token)
    sock = listening(host, port)
    scheme = "http" if context is None else "https"
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme}://{shown}:{sock.getsockname()[1]}"

    def started() -> None:
        say(f"The cloud of {bundle} answers at {address}.", err=True)

    serve(app, sock, tls=context, timeout_s=timeout_s, started=started)


def _serve_replicas(
    bundle: Path,
    limits: "Limits",
    counts: tuple[int, int],
    place: tuple[str, int],
    token: str,
    address: str,
) -> None:
    """Run replicas until a signal ends this process."""
    from hybrid.deploy.cloud.replicas import Replicas, check_installed, serving
    from hybrid.deploy.cloud.serving import listening

    host, port = place
    if host not in {"127.0.0.1", "localhost"}:
        raise CloudError(
            "Ray's proxy has no TLS, so --ray listens on 127.0.0.1 only; put a server with TLS "
            "before it."
        )
    check_installed()
    with listening("127.0.0.1", port) as sock:  # whether the port is free; and a free one for 0
        port = sock.getsockname()[1]
    least, most = counts
    replicas = Replicas(least=least, most=max(least, most))
    with serving(bundle, limits, replicas, port=port, token=token, address=address):
        say(f"{least} replicas of {bundle} answer at http://127.0.0.1:{port}.", err=True)
        _wait_for_signal()


def _wait_for_signal() -> None:
    """Wait for Ctrl+C or SIGTERM; Ray's own handler would abort the process."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
