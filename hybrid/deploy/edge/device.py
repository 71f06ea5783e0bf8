"""A bundle's edge in C: pixels to the exit that answers, or to the bytes for the cloud.

It is compiled when a bundle is first started on a machine, and kept in the user's cache folder
under the hash of everything that it was made of.
"""

import ctypes
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.compiling import FLAGS, cached_path, loaded
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.exits import ONE, whole_threshold
from hybrid.traces.confidence import MEASURES

__all__ = ["Device", "Exited", "is_compiled"]

_HOOKS = """
#include "hybrid_edge.h"
#include <stddef.h>

size_t hybrid_edge_size(void) { return sizeof(hybrid_edge_t); }
size_t hybrid_arena_size(void) { return HYBRID_ARENA_BYTES; }
size_t hybrid_weights_size(void) { return HYBRID_WEIGHT_BYTES; }
int32_t hybrid_sent_bytes(void) { return HYBRID_SENT_BYTES; }
int32_t hybrid_exits(void) { return HYBRID_EXITS; }

void hybrid_start(hybrid_edge_t *edge, void *arena, void *weights, const uint32_t *thresholds,
                  int32_t measure)
{
    int32_t kernel = hybrid_edge_best_kernel();
    hybrid_edge_unpack(weights, kernel);
    (void)hybrid_edge_init(edge, arena, HYBRID_ARENA_BYTES, weights, kernel);
    for (int32_t i = 0; i < HYBRID_EXITS; i++) edge->thresholds[i] = thresholds[i];
    edge->measure = measure;
}

/* Answers of the exits that ran; their number. The last one leaves, or all of them stay. */
int32_t hybrid_ask(hybrid_edge_t *edge, const uint8_t *pixels, hybrid_answer_t *answers)
{
    int32_t ran = 0;
    hybrid_edge_begin(edge, pixels);
    while (hybrid_edge_step(edge, &answers[ran]))
        if (answers[ran++].leaves) return ran;
    return ran;
}

/* The rest of the image that was asked last, and its bytes. */
void hybrid_send(hybrid_edge_t *edge, uint8_t *sent)
{
    hybrid_answer_t answer;
    while (hybrid_edge_step(edge, &answer)) {}
    hybrid_edge_pack(edge, sent);
}
"""


class _Answer(ctypes.Structure):
    """hybrid_answer_t."""

    _fields_ = (
        ("exit", ctypes.c_int32),
        ("class_index", ctypes.c_int32),
        ("confidence", ctypes.c_uint32),
        ("leaves", ctypes.c_int32),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Exited:
    """What one exit gave.

    Args:
        confidence: in [0, 1]; a whole number of 2^-24, so exact.
        leaves: whether it reaches the exit's threshold.
    """

    exit_index: int
    class_index: int
    confidence: float
    leaves: bool


class Device:
    """The edge of a bundle, one image at a time.

    Args:
        cache: folder of compiled libraries; that of the user by default.

    Raises:
        FormError: there is no C compiler, or it refuses the code.
    """

    def __init__(self, bundle: EdgeBundle, *, cache: Path | None = None) -> None:
        self.bundle = bundle
        self._library = _loaded(bundle, cache)
        for name in ("edge", "arena", "weights"):
            getattr(self._library, f"hybrid_{name}_size").restype = ctypes.c_size_t
        self._edge, self._arena, self._weights = map(self._buffer, ("edge", "arena", "weights"))
        self._answers = (_Answer * max(1, self._library.hybrid_exits()))()
        self._sent = np.empty(self._library.hybrid_sent_bytes(), np.uint8)
        self._library.hybrid_start(
            _pointer(self._edge), _pointer(self._arena), _pointer(self._weights),
            _pointer(_thresholds(bundle)), ctypes.c_int32(list(MEASURES).index(bundle.measure)),
        )  # fmt: skip

    def run(self, pixels: NDArray[np.uint8]) -> list[Exited]:
        """The exits that ran, in their order: up to the one that answers, or all of them.

        Args:
            pixels: (height, width, channels), C order.
        """
        assert pixels.shape == self.bundle.shape and pixels.dtype == np.uint8  # noqa: PT018
        given = np.ascontiguousarray(pixels)
        ran = self._library.hybrid_ask(_pointer(self._edge), _pointer(given), self._answers)
        return [
            Exited(
                exit_index=one.exit,
                class_index=one.class_index,
                confidence=one.confidence / ONE,
                leaves=bool(one.leaves),
            )
            for one in self._answers[:ran]
        ]

    def packed(self) -> bytes:
        """The bytes for the cloud of the image that ran last, also if it left early."""
        self._library.hybrid_send(_pointer(self._edge), _pointer(self._sent))
        return self._sent.tobytes()

    def _buffer(self, name: str) -> NDArray[np.uint8]:
        size = getattr(self._library, f"hybrid_{name}_size")()
        whole = np.zeros(size + 64, np.uint8)
        start = -whole.ctypes.data % 64
        return whole[start : start + size]


def is_compiled(bundle: EdgeBundle, *, cache: Path | None = None) -> bool:
    """Whether the edge was compiled on this machine before."""
    return cached_path(_made_of(bundle), flags=FLAGS, cache=cache).is_file()


def _loaded(bundle: EdgeBundle, cache: Path | None) -> ctypes.CDLL:
    def write(folder: Path) -> None:
        for one in bundle.c_files:
            shutil.copyfile(bundle.folder / "c" / one, folder / one)
        (folder / "hybrid_hooks.c").write_text(_HOOKS, encoding="utf-8")

    return loaded(_made_of(bundle), write, flags=FLAGS, cache=cache)


def _made_of(bundle: EdgeBundle) -> list[str]:
    return [_HOOKS, *(f"{name} {sha256}" for name, sha256 in bundle.c_files.items())]


def _thresholds(bundle: EdgeBundle) -> NDArray[np.uint32]:
    return np.array([whole_threshold(one) for one in bundle.thresholds], np.uint32)


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
