"""What a cloud needs of a bundle: a folder in; a checked graph that has answered once out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.bundles.checking import check_cloud, read_vectors
from hybrid.deploy.bundles.manifest import VECTORS, check_file, read_manifest
from hybrid.deploy.graphs.sessions import CloudSession
from hybrid.errors import BundleError

__all__ = ["CloudBundle", "load_cloud"]

_GRAPH = "onnx/cloud.onnx"


@dataclass(frozen=True, kw_only=True, eq=False)
class CloudBundle:
    """A bundle as its cloud sees it.

    Args:
        model: the name by which it is asked for.
        weights: SHA-256 of the form's weights: the version.
        classes: how many.
        bits, step, shape, payload_bytes: of what is sent of an image.
        run: (n, payload bytes) uint8 to logits (n, classes) float32.
    """

    model: str
    weights: str
    classes: int
    bits: int
    step: float
    shape: tuple[int, ...]
    payload_bytes: int
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def load_cloud(folder: Path) -> CloudBundle:
    """The cloud of a bundle, after its graph gave the logits of the test vectors.

    Raises:
        BundleError: no bundle, a damaged or changed one, or one whose graph gives other logits.
    """
    manifest = read_manifest(folder)
    for name in (_GRAPH, VECTORS):
        check_file(folder / name, manifest["files"].get(name, ""))
    session = CloudSession((folder / _GRAPH).read_bytes())
    check_cloud(folder, session, read_vectors(folder))
    try:
        return _cloud(manifest, session)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"The manifest of {folder} is damaged ({error!r}); export it again with "
            "`hybrid export`."
        ) from None


def _cloud(manifest: dict[str, Any], session: CloudSession) -> CloudBundle:
    payload = manifest["payload"]
    return CloudBundle(
        model=str(manifest["cloud"]["model"]),
        weights=str(manifest["weights"]["form"]),
        classes=len(manifest["classes"]),
        bits=int(payload["bits"]),
        step=float(payload["step"]),
        shape=tuple(map(int, payload["shape"])),
        payload_bytes=int(payload["bytes"]),
        run=session.run,
    )
