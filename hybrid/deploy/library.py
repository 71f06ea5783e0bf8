"""The C engine of a form, compiled on this machine and called from Python; needs no torch."""

import ctypes
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.c_code import c_files
from hybrid.deploy.compiling import FLAGS, loaded
from hybrid.deploy.form import SENT, Form, check_pixels
from hybrid.deploy.interpreter import Answers, Left
from hybrid.quant.packing import packed_bytes

__all__ = ["KERNELS", "Library"]

MEASURES = ("max_probability", "margin", "entropy")  # numbered as in hybrid_edge.h
KERNELS = ("plain", "avx2", "avx-vnni", "avx-512")  # numbered as in hybrid_edge.h
_HOOKS = """
#include "hybrid_edge.h"
#include <stddef.h>
#include <string.h>

size_t hybrid_edge_size(void) { return sizeof(hybrid_edge_t); }
size_t hybrid_arena_size(void) { return HYBRID_ARENA_BYTES; }
size_t hybrid_weights_size(void) { return HYBRID_WEIGHT_BYTES; }

static void codes_at_the_cut(const hybrid_edge_t *edge, uint8_t *codes)
{
    for (int32_t c = 0; c < HYBRID_SENT_CHANNELS; c++)
        for (int32_t i = 0; i < HYBRID_SENT_PIXELS; i++)
            *codes++ = edge->arena[HYBRID_SENT + i * HYBRID_SENT_STORED + c];
}

void hybrid_run(hybrid_edge_t *edge, const uint8_t *pixels, int64_t images, int64_t *logits,
                uint8_t *sent, uint8_t *codes)
{
    for (int64_t n = 0; n < images; n++) {
        hybrid_answer_t answer;
        hybrid_edge_begin(edge, pixels + n * HYBRID_HEIGHT * HYBRID_WIDTH * HYBRID_CHANNELS);
        while (hybrid_edge_step(edge, &answer)) {
            memcpy(logits, edge->logits, sizeof edge->logits);
            logits += HYBRID_CLASSES;
        }
        if (sent) hybrid_edge_pack(edge, sent + n * (int64_t)HYBRID_SENT_BYTES);
        if (codes) codes_at_the_cut(edge, codes + n * HYBRID_SENT_CHANNELS * HYBRID_SENT_PIXELS);
    }
}

int64_t hybrid_leave(hybrid_edge_t *edge, const uint8_t *pixels, int64_t images,
                     const uint32_t *thresholds, int32_t measure, int64_t *logits, int64_t *taken,
                     int64_t *steps, uint8_t *codes)
{
    int64_t went_on = 0;
    memcpy(edge->thresholds, thresholds, sizeof edge->thresholds);
    edge->measure = measure;
    for (int64_t n = 0; n < images; n++, logits += HYBRID_EXITS * HYBRID_CLASSES) {
        hybrid_answer_t answer = {0, 0, 0, 0};
        hybrid_edge_begin(edge, pixels + n * HYBRID_HEIGHT * HYBRID_WIDTH * HYBRID_CHANNELS);
        while (!answer.leaves && hybrid_edge_step(edge, &answer))
            memcpy(logits + answer.exit * HYBRID_CLASSES, edge->logits, sizeof edge->logits);
        taken[n] = answer.leaves ? answer.exit : HYBRID_EXITS;
        steps[n] = edge->next_step;
        if (answer.leaves) continue;
        codes_at_the_cut(edge, codes + went_on * HYBRID_SENT_CHANNELS * HYBRID_SENT_PIXELS);
        went_on++;
    }
    return went_on;
}

void hybrid_confidences(hybrid_edge_t *edge, const int64_t *logits, int64_t images, int32_t exit,
                        int32_t measure, uint32_t *out)
{
    for (int64_t n = 0; n < images; n++) {
        memcpy(edge->logits, logits + n * HYBRID_CLASSES, sizeof edge->logits);
        out[n] = hybrid_edge_confidence(edge, exit, measure);
    }
}
"""


class Library:
    """A form as a shared library, that computes with the fastest kernel of this processor."""

    def __init__(self, form: Form, *, flags: tuple[str, ...] = FLAGS) -> None:
        self.form = form
        self._library = _loaded(form, flags)
        for name in ("edge", "arena", "weights"):
            getattr(self._library, f"hybrid_{name}_size").restype = ctypes.c_size_t
        self._library.hybrid_leave.restype = ctypes.c_int64
        self._edge = self._buffer("edge")
        self._arena, self._weights = self._buffer("arena"), self._buffer("weights")
        self.use(KERNELS[self._library.hybrid_edge_best_kernel()])

    @property
    def kernels(self) -> list[str]:
        """The kernels that this processor can run, the fastest last."""
        has = self._library.hybrid_edge_has_kernel
        return [name for number, name in enumerate(KERNELS) if has(ctypes.c_int32(number))]

    def use(self, kernel: str, *, packed: bool = False) -> None:
        """Compute with one of `kernels`.

        Args:
            packed: read the packed weights at every image, as small devices do; plain only.
        """
        assert kernel in self.kernels
        edge, arena, weights = map(_pointer, (self._edge, self._arena, self._weights))
        number = ctypes.c_int32(KERNELS.index(kernel))
        self._library.hybrid_edge_unpack(weights, number)
        size = ctypes.c_uint32(self._arena.size)
        refused = self._library.hybrid_edge_init(
            edge, arena, size, None if packed else weights, number
        )
        assert not refused

    def run(self, pixels: NDArray[np.uint8]) -> Answers:
        """The same as `hybrid.deploy.interpreter.run`."""
        codes = np.empty((len(pixels), *self.form.shapes[SENT]), np.uint8)
        return Answers(logits=self._run(pixels, None, codes), sent=codes)

    def run_packed(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[tuple[NDArray[np.int64], ...], NDArray[np.uint8]]:
        """Logits by exit, and the packed bytes of each image."""
        packed = np.empty((len(pixels), _sent_bytes(self.form)), np.uint8)
        return self._run(pixels, packed, None), packed

    def leave(self, pixels: NDArray[np.uint8], limits: Sequence[int], measure: str) -> Left:
        """The same as `hybrid.deploy.interpreter.leave`; what comes after is not computed."""
        check_pixels(self.form, pixels)
        form, pixels, n = self.form, np.ascontiguousarray(pixels), len(pixels)
        logits = np.zeros((n, len(form.heads), form.classes), np.int64)
        taken, steps = np.empty(n, np.int64), np.empty(n, np.int64)
        codes = np.empty((n, *form.shapes[SENT]), np.uint8)
        whole = np.array(limits, np.uint32)
        sent = self._library.hybrid_leave(
            _pointer(self._edge), _pointer(pixels), ctypes.c_int64(n), _pointer(whole),
            ctypes.c_int32(MEASURES.index(measure)), _pointer(logits), _pointer(taken),
            _pointer(steps), _pointer(codes),
        )  # fmt: skip
        return Left(
            exit_taken=taken,
            logits=tuple(logits[:, i] for i in range(len(form.heads))),
            sent=codes[:sent],
            steps=steps,
        )

    def _run(
        self,
        pixels: NDArray[np.uint8],
        packed: NDArray[np.uint8] | None,
        codes: NDArray[np.uint8] | None,
    ) -> tuple[NDArray[np.int64], ...]:
        check_pixels(self.form, pixels)
        form, pixels = self.form, np.ascontiguousarray(pixels)
        logits = np.empty((len(pixels), len(form.heads), form.classes), np.int64)
        self._library.hybrid_run(
            _pointer(self._edge), _pointer(pixels), ctypes.c_int64(len(pixels)), _pointer(logits),
            None if packed is None else _pointer(packed),
            None if codes is None else _pointer(codes),
        )  # fmt: skip
        return tuple(logits[:, i] for i in range(len(form.heads)))

    def confidences(
        self, logits: NDArray[np.int64], *, exit_: int, measure: int
    ) -> NDArray[np.uint32]:
        """Confidences in units of 2^-24: what `hybrid.deploy.exits.confidences` specifies."""
        given, found = np.ascontiguousarray(logits), np.empty(len(logits), np.uint32)
        self._library.hybrid_confidences(
            _pointer(self._edge), _pointer(given), ctypes.c_int64(len(given)),
            ctypes.c_int32(exit_), ctypes.c_int32(measure), _pointer(found),
        )  # fmt: skip
        return found

    def _buffer(self, name: str) -> NDArray[np.uint8]:
        size = getattr(self._library, f"hybrid_{name}_size")()
        whole = np.zeros(size + 64, np.uint8)
        start = -whole.ctypes.data % 64
        return whole[start : start + size]


def _loaded(form: Form, flags: tuple[str, ...]) -> ctypes.CDLL:
    files = c_files(form) | {"hybrid_hooks.c": _HOOKS}

    def write(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")

    return loaded([part for item in files.items() for part in item], write, flags=flags)


def _sent_bytes(form: Form) -> int:
    return packed_bytes(form.shapes[SENT], bits=form.codes[SENT].bits)


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
