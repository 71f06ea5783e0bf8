"""Check a bundle: its files, and its test vectors in ONNX Runtime and in C. Needs no torch."""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from hybrid.deploy.bundles.manifest import VECTORS, check_files, read_manifest
from hybrid.deploy.compiling import FLAGS, compiler, reason_of
from hybrid.deploy.graphs.sessions import CloudSession, EdgeSessions, float_answers
from hybrid.errors import BundleError

__all__ = ["CLOUD_TOLERANCE", "check_bundle", "check_cloud", "read_vectors"]

CLOUD_TOLERANCE = 0.05  # of logits: a rounding at 8 bits that goes the other way moves them

_WAIT_S = 120
Arrays = Mapping[str, NDArray[Any]]


def check_bundle(folder: Path) -> Iterator[str]:
    """Compare everything in a bundle that can be compared here; a sentence for each part.

    Raises:
        BundleError: no bundle, a damaged or changed one, or different answers.
        FormError: there is no C compiler.
    """
    manifest = read_manifest(folder)
    yield f"{check_files(folder, manifest)} files have the SHA-256 of the manifest."
    vectors = read_vectors(folder)
    images = len(vectors["pixels"])
    if not manifest["exact"]:
        yield f"ONNX Runtime: {images} images, {_check_without_form(folder, vectors)}."
        yield f"Not promised: {manifest.get('not_promised', 'anything exact')}"
        return
    _check_edge(folder, vectors)
    yield (
        f"ONNX Runtime, optimized and not: {images} images, every exit's logits, class and "
        "confidence, the bytes sent: equal."
    )
    session = CloudSession((folder / "onnx" / "cloud.onnx").read_bytes())
    furthest = check_cloud(folder, session, vectors)
    yield (
        f"ONNX Runtime, cloud: {images} images, the same classes; logits differ by at most "
        f"{furthest:.1e}."
    )
    yield from (f"C library, {line}." for line in _c_lines(folder))


def read_vectors(folder: Path) -> Arrays:
    """The test vectors of a bundle.

    Raises:
        BundleError: there are none, or they are damaged.
    """
    try:
        return load_tensors((folder / VECTORS).read_bytes())
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{folder / VECTORS} cannot be read ({error}).") from None


def check_cloud(folder: Path, session: CloudSession, vectors: Arrays) -> float:
    """The largest difference of a logit.

    Raises:
        BundleError: another class, or logits that differ by more than rounding.
    """
    found = session.run(vectors["packed"])
    expected = vectors["cloud_logits"]
    furthest = float(np.abs(found - expected).max())
    same = np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
    if not same or not furthest <= CLOUD_TOLERANCE:
        raise BundleError(
            f"The cloud's graph gives other answers than the test vectors of {folder}; do not "
            "deploy it."
        )
    return furthest


def _check_edge(folder: Path, vectors: Arrays) -> None:
    graphs = sorted((folder / "onnx").glob("edge-*.onnx"), key=lambda path: int(path.stem[5:]))
    for optimized in (False, True):
        sessions = EdgeSessions([path.read_bytes() for path in graphs], optimized=optimized)
        answers, packed = sessions.run(vectors["pixels"])
        same = np.array_equal(packed, vectors["packed"]) and all(
            np.array_equal(one.logits, vectors["logits"][:, i])
            and np.array_equal(one.confidences, vectors["confidences"][:, i])
            and np.array_equal(one.classes, vectors["logits"][:, i].argmax(axis=1))
            for i, one in enumerate(answers)
        )
        if not same:
            raise BundleError(
                f"ONNX Runtime gives other answers than the test vectors of {folder}; do not "
                "deploy it."
            )


def _check_without_form(folder: Path, vectors: Arrays) -> str:
    """How far the graphs of a model without exact form are from PyTorch."""
    graphs = sorted((folder / "onnx").glob("edge-*.onnx"), key=lambda path: int(path.stem[5:]))
    logits, packed = float_answers([path.read_bytes() for path in graphs], vectors["pixels"])
    cloud = CloudSession((folder / "onnx" / "cloud.onnx").read_bytes()).run(vectors["packed"])
    pairs = [*zip(logits, vectors["logits"].swapaxes(0, 1), strict=True)]
    pairs.append((cloud, vectors["cloud_logits"]))
    furthest = max(float(np.abs(found - expected).max()) for found, expected in pairs)
    if not furthest <= CLOUD_TOLERANCE:
        raise BundleError(
            f"ONNX Runtime gives other answers than the test vectors of {folder}: a logit differs "
            f"by {furthest:.2g}; do not deploy it."
        )
    same = float((packed == vectors["packed"]).mean())
    return f"logits differ by at most {furthest:.1e}, {same:.2%} of the bytes sent are equal"


def _c_lines(folder: Path) -> list[str]:
    """What the bundle's own test program prints, compiled elsewhere."""
    found = sorted(str(path) for path in (folder / "c").glob("*.c"))
    with tempfile.TemporaryDirectory(prefix="hybrid-check-") as place:
        program = Path(place) / "test"
        words = [compiler(), *FLAGS, "-o", str(program), *found]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            why = reason_of(made.stderr)
            raise BundleError(f"The C compiler refused the edge of {folder}: {why}")
        done = subprocess.run(
            [str(program)], capture_output=True, text=True, check=False, timeout=_WAIT_S
        )
    if done.returncode:
        raise BundleError(
            f"The C library gives other answers than the test vectors of {folder}; do not deploy "
            "it."
        )
    return done.stdout.strip().splitlines()
