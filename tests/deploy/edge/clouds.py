"""Clouds that know the test vectors only, and links that fail as they are told."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import LinkError, Reply

__all__ = ["Cloud", "FailingLink", "Waiting", "read_vectors"]


class Cloud:
    """Answers the bytes of the test vectors, and no others."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._known = {
            packed.tobytes(): logits
            for packed, logits in zip(vectors["packed"], vectors["cloud_logits"], strict=True)
        }
        self.asked = 0

    def __call__(self, packed: np.ndarray) -> np.ndarray:
        self.asked += 1
        return np.stack([self._known[one.tobytes()] for one in packed])


class FailingLink:
    """Fails with each of these errors in turn, then answers as another link."""

    def __init__(self, errors: Iterator[LinkError | None], then: Callable[[bytes], Reply]) -> None:
        self._errors, self._then = errors, then
        self.calls = 0

    def ask(self, bundle: EdgeBundle, packed: bytes, *, deadline: float) -> Reply:  # noqa: ARG002
        self.calls += 1
        error = next(self._errors, None)
        if error is not None:
            raise error
        return self._then(packed)

    def another(self) -> "FailingLink":
        return self

    def close(self) -> None:
        pass


class Waiting:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def read_vectors(folder: Path) -> dict[str, np.ndarray]:
    """The test vectors of a bundle."""
    return load_file(folder / "vectors.safetensors")
