"""What an edge needs of a bundle: a folder in, checked values out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.deploy.bundles.manifest import check_file, read_manifest
from hybrid.errors import BundleError

__all__ = ["CLOUD_DOWN", "CLOUD_THERE", "EdgeBundle", "load_bundle"]

CLOUD_THERE, CLOUD_DOWN = "cloud_there", "cloud_down"


@dataclass(frozen=True, kw_only=True)
class EdgeBundle:
    """A bundle as its edge sees it.

    Args:
        weights: SHA-256 of the form's weights; the version that the cloud must have.
        model: the name by which the cloud is asked for.
        shape: of the pixels: height, width, channels.
        fit: how a picture becomes a square, see `hybrid.data.preprocess`.
        thresholds: one per early exit.
        temperature: of the cloud's logits.
        payload_bytes: that are sent of an image.
        certified: the certificates that the bundle has: `cloud_there`, `cloud_down`.
        c_files: the C files of the edge, name to SHA-256.
    """

    folder: Path
    network: str
    bits: int
    weights: str
    model: str
    shape: tuple[int, int, int]
    fit: str
    classes: tuple[str, ...]
    measure: str
    thresholds: tuple[float, ...]
    temperature: float
    payload_bytes: int
    certified: frozenset[str]
    c_files: dict[str, str]

    @property
    def early(self) -> int:
        """How many early exits there are."""
        return len(self.thresholds)


def load_bundle(folder: Path) -> EdgeBundle:
    """The edge's part of a bundle; only its C files are compared with the manifest.

    Raises:
        BundleError: no bundle, a damaged or changed one, or one of another format.
    """
    manifest = read_manifest(folder)
    if not manifest["exact"]:
        raise BundleError(
            f"{folder} has ONNX graphs alone, since its model has no exact form; run them with "
            "ONNX Runtime, or export a network that has a form."
        )
    try:
        found = _edge(folder, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"The manifest of {folder} is damaged ({error!r}); export it again with "
            "`hybrid export`."
        ) from None
    for name, sha256 in found.c_files.items():
        check_file(folder / "c" / name, sha256)
    return found


def _edge(folder: Path, manifest: dict[str, Any]) -> EdgeBundle:
    height, width, channels = map(int, manifest["input"]["shape"])
    exits, cloud, made = manifest["exits"], manifest["cloud"], manifest["certificates"]
    return EdgeBundle(
        folder=folder,
        network=str(manifest["network"]),
        bits=int(manifest["bits"]),
        weights=str(manifest["weights"]["form"]),
        model=str(cloud["model"]),
        shape=(height, width, channels),
        fit=str(manifest["input"]["fit"]),
        classes=tuple(map(str, manifest["classes"])),
        measure=str(manifest["measure"]),
        thresholds=tuple(float(one["threshold"]) for one in exits),
        temperature=float(cloud["temperature"]),
        payload_bytes=int(manifest["payload"]["bytes"]),
        certified=frozenset(key for key in (CLOUD_THERE, CLOUD_DOWN) if made[key] is not None),
        c_files=_engine(manifest["files"]),
    )


def _engine(files: dict[str, str]) -> dict[str, str]:
    """The C files of the engine: without the point, which the manifest has too, and the tests."""
    names = [name.removeprefix("c/") for name in files if name.startswith("c/hybrid_")]
    plain = {name for name in names if "/" not in name} - {"hybrid_point.h", "hybrid_vectors.h"}
    return {name: files[f"c/{name}"] for name in sorted(plain)}
