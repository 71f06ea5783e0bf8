"""manifest.json: what a bundle holds and promises, checked when it is read. Needs no torch.

| key          | holds                                                                        |
|--------------|------------------------------------------------------------------------------|
| format       | the version of this table and of the C interface                             |
| network, variant, bits, version | of what, and the version of `hybrid` that wrote it        |
| weights      | SHA-256 of the form, and of the trained weights that it was made of           |
| exact        | whether every engine gives the same bits; else `not_promised` gives the limit |
| input        | shape, kind and order of the pixels, and how a picture becomes them           |
| classes      | their names                                                                   |
| measure      | of the confidence that is compared with the thresholds                        |
| exits        | stage, threshold (and as whole number of 2^-24), temperature, scale of logits |
| cloud        | temperature, graph, and the name and version that a server knows it by        |
| cut, payload | the last stage on the device; bits, step, shape and bytes of what is sent     |
| certificates | `cloud_there` and `cloud_down`; null where nothing was certified              |
| vectors      | how many test images, and where they are from                                 |
| files        | every other file's SHA-256                                                    |
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.errors import BundleError
from hybrid.files import parse_json, read_text, sha256_of

__all__ = ["FORMAT", "MANIFEST", "VECTORS", "check_file", "check_files", "read_manifest", "to_text"]

FORMAT = 2  # 2: the C interface takes the size of the arena
MANIFEST, VECTORS = "manifest.json", "vectors.safetensors"
_KEYS = {
    "format", "network", "variant", "bits", "version", "weights", "exact", "input", "classes",
    "measure", "exits", "cloud", "cut", "payload", "certificates", "vectors", "files",
}  # fmt: skip
_AGAIN = "export it again with `hybrid export`"


def to_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is written; equal ones give equal text."""
    assert set(manifest) - {"not_promised"} == _KEYS - {"format"}
    return json.dumps({"format": FORMAT} | dict(manifest), indent=1, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle; its files are not read.

    Raises:
        BundleError: no bundle, a damaged manifest, or one of another format.
    """
    path = folder / MANIFEST
    try:
        found = parse_json(read_text(path))
        version = found["format"]
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"There is no bundle in {folder}; write one with `hybrid export`."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} cannot be read ({error}); {_AGAIN}.") from None
    if version != FORMAT:
        raise BundleError(
            f"{folder} is a bundle of format {version}, and this version reads format {FORMAT}; "
            "use the version that wrote it, or export it again."
        )
    if not set(found) >= _KEYS or not isinstance(found["files"], dict):
        missing = ", ".join(sorted(_KEYS - set(found))) or "a table of files"
        raise BundleError(f"{path} has no {missing}; {_AGAIN}.")
    return dict(found)


def check_files(folder: Path, manifest: Mapping[str, Any]) -> int:
    """Check that a bundle's files are those of its manifest, and count them.

    Raises:
        BundleError: a file is missing, changed or not in the manifest.
    """
    listed = manifest["files"]
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }
    for name in sorted(set(listed) | there):
        if name not in there:
            raise BundleError(f"{folder / name} is missing; {_AGAIN}.")
        if name not in listed:
            raise BundleError(f"{folder / name} is not part of this bundle; remove it.")
        check_file(folder / name, listed[name])
    return len(listed)


def check_file(path: Path, sha256: str) -> None:
    """Check that a file is the one that the manifest has.

    Raises:
        BundleError: it cannot be read, or was changed.
    """
    try:
        same = sha256_of(path) == sha256
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}); {_AGAIN}.") from None
    if not same:
        raise BundleError(f"{path} was changed (SHA-256 differs); {_AGAIN}.")
