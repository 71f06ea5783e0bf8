"""A form as ONNX graphs, one per exit: registers in; logits, class, confidence, registers out.

A host runs the first graph, compares the confidence with the threshold, and runs the next only
for images that stay. The numbers are those of `hybrid.deploy.interpreter`, with any optimization
of the runtime: sums are of whole numbers, exact in float32 below 2^24, and a rounding after each
sum keeps the runtime from folding the epilogue's constants into weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.exits import multiplier
from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Head, bound
from hybrid.deploy.graphs.confidence import add_confidence
from hybrid.deploy.graphs.nodes import Graph, Port
from hybrid.deploy.interpreter import sums
from hybrid.quant.packing import packed_bytes

__all__ = ["Segment", "edge_graphs", "segments"]

_PACKED = "packed"
_EXACT = 2**24  # whole numbers up to it are exact in float32

Step = Conv | Head


@dataclass(frozen=True, kw_only=True)
class Segment:
    """The steps up to an exit.

    Args:
        head: of the exit; None if it only leads to the cut.
        inputs, outputs: registers that earlier graphs have made, and that later ones read.
    """

    steps: tuple[Step, ...]
    head: Head | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def segments(form: Form) -> tuple[Segment, ...]:
    """The steps of a form in one segment per exit, and one more if the cut comes after the last."""
    ends = [number + 1 for number, step in enumerate(form.steps) if isinstance(step, Head)]
    if not ends or ends[-1] < len(form.steps):
        ends.append(len(form.steps))
    return tuple(_segment(form.steps, start, end) for start, end in pairwise([0, *ends]))


def edge_graphs(form: Form, *, measure: str) -> dict[str, bytes]:
    """The ONNX files of an edge by name, `edge-1.onnx` first.

    Args:
        measure: of the confidence that each exit gives.
    """
    parts = segments(form)
    return {
        f"edge-{number}.onnx": _Edge(form, measure).file(part, number)
        for number, part in enumerate(parts, 1)
    }


def _segment(steps: Sequence[Step], start: int, end: int) -> Segment:
    own, last = tuple(steps[start:end]), steps[end - 1]
    made = [register for step in own for register in _written(step)]
    later = {register for step in steps[end:] for register in _read(step)}
    needed = dict.fromkeys(register for step in own for register in _read(step))
    return Segment(
        steps=own,
        head=last if isinstance(last, Head) else None,
        inputs=tuple(one for one in needed if one not in made),
        outputs=tuple(one for one in made if one in later or one == SENT),
    )


def _read(step: Step) -> list[str]:
    return [step.source, *([step.plus] if isinstance(step, Conv) and step.plus else [])]


def _written(step: Step) -> list[str]:
    return [one.register for one in step.outputs] if isinstance(step, Conv) else []


class _Edge:
    """One graph of a form."""

    def __init__(self, form: Form, measure: str) -> None:
        self.form, self.measure = form, measure
        self.codes = form.codes
        self.graph = Graph()
        self.names: dict[str, str] = {}  # register to its float32 value in the graph

    def file(self, part: Segment, number: int) -> bytes:
        """The graph of a segment."""
        inputs = [self._port(register) for register in part.inputs]
        for register in part.inputs:
            self.names[register] = self._read(register)
        outputs: list[Port] = []
        for step in part.steps:
            if isinstance(step, Head):
                outputs += self._exit(step)
            else:
                self._conv(step)
        outputs += [self._out(register) for register in part.outputs]
        return self.graph.model(
            f"{self.form.network} {self.form.variant} edge {number}",
            inputs=inputs,
            outputs=outputs,
            about={"measure": self.measure, "source_sha256": self.form.source_sha256},
        )

    def _port(self, register: str) -> Port:
        shape = self.form.shapes[register]
        if register == PIXELS:
            return register, np.uint8, (*shape[1:], shape[0])  # as in an image file
        return register, self._kind(register), shape

    def _kind(self, register: str) -> type[np.generic]:
        codes = self.codes.get(register)
        if codes is None:
            return np.float32
        if codes.thresholds.size:
            return np.int8
        return np.uint8 if codes.low >= 0 and codes.high <= 255 else np.int32

    def _read(self, register: str) -> str:
        x = register
        if register == PIXELS:
            x = self.graph.add("Transpose", register, perm=[0, 3, 1, 2])
        return x if self._kind(register) is np.float32 else self.graph.cast(x, np.float32)

    def _out(self, register: str) -> Port:
        value, shape = self.names[register], self.form.shapes[register]
        if register == SENT:
            bits = self.codes[SENT].bits
            self.graph.packed(value, bits=bits, shape=shape, name=_PACKED)
            return _PACKED, np.uint8, (packed_bytes(shape, bits=bits),)
        kind = self._kind(register)
        if kind is np.float32:
            self.graph.add("Identity", value, name=register)
        else:
            self.graph.cast(value, kind, name=register)
        return register, kind, shape

    def _conv(self, conv: Conv) -> None:
        y = self._sums(conv)
        if conv.pool > 1:
            sides = [conv.pool, conv.pool]
            y = self.graph.add("MaxPool", y, kernel_shape=sides, strides=sides)
        y = self._epilogue(conv, y)
        for output in conv.outputs:
            codes = output.codes
            self.names[output.register] = y if codes is None else self._coded(codes, y)

    def _sums(self, conv: Conv) -> str:
        """The sums in float32, rounded once where they are larger than float32's whole numbers."""
        source, x = self.codes[conv.source], self.names[conv.source]
        if bound(conv, source) < _EXACT:
            y = self._convolved(conv, x)
            if conv.fill.any():
                y = self.graph.add("Add", y, self.graph.weights(self._border(conv), np.float32))
            return self.graph.add("Round", y)
        wide = self._by_double(conv, x)
        if conv.fill.any():
            border = self.graph.weights(self._border(conv), np.int64)
            wide = self.graph.add("Add", wide, border)
        return self.graph.cast(wide, np.float32)

    def _convolved(self, conv: Conv, x: str) -> str:
        return self.graph.add(
            "Conv",
            x,
            self.graph.weights(conv.weights, np.float32),
            kernel_shape=list(conv.weights.shape[2:]),
            pads=[conv.padding] * 4,
            strides=[conv.stride] * 2,
        )

    def _border(self, conv: Conv) -> NDArray[np.int64]:
        """What the codes outside of the source add to each sum, (out, height, width)."""
        nothing = np.zeros((1, *self.form.shapes[conv.source]), np.int64)
        border: NDArray[np.int64] = sums(conv, nothing)[0]
        return border

    def _by_double(self, conv: Conv, x: str) -> str:
        """The sums as products of matrices of float64, exact below 2^53; int64.

        Summing digits of the weights in float32 convolutions takes as long (8-bit Wide-9).
        """
        out, _, kernel, _ = conv.weights.shape
        x = self.graph.cast(x, np.float64)
        if conv.padding:
            around = [0, 0, conv.padding, conv.padding]
            x = self.graph.add("Pad", x, self.graph.ints(*around, *around))
        high, wide = _sides(conv, self.form.shapes[conv.source])
        taps = [
            self.graph.add(
                "Slice",
                x,
                self.graph.ints(v, u),
                self.graph.ints(v + (high - 1) * conv.stride + 1, u + (wide - 1) * conv.stride + 1),
                self.graph.ints(2, 3),
                self.graph.ints(conv.stride, conv.stride),
            )
            for v in range(kernel)
            for u in range(kernel)
        ]
        together = taps[0] if len(taps) == 1 else self.graph.add("Concat", *taps, axis=1)
        columns = self.graph.add("Reshape", together, self.graph.ints(0, -1, high * wide))
        rows = conv.weights.transpose(0, 2, 3, 1).reshape(out, -1)
        found = self.graph.add("MatMul", self.graph.weights(rows, np.float64), columns)
        found = self.graph.add("Reshape", found, self.graph.ints(0, out, high, wide))
        return self.graph.cast(found, np.int64)

    def _epilogue(self, conv: Conv, y: str) -> str:
        """Single float32 operations in the form's order."""
        y = self.graph.add("Mul", y, self._per_channel(conv.multiply))
        add = (
            conv.add if conv.add.shape[1:] == (1, 1) else conv.add[:, conv.rows][:, :, conv.columns]
        )
        y = self.graph.add("Add", y, self.graph.constant(add, np.float32))
        if conv.plus:
            y = self.graph.add("Add", y, self.names[conv.plus])
        if conv.relu:
            y = self.graph.add("Relu", y)
        if not conv.prelu.size:
            return y
        before, slope, after = map(self._per_channel, conv.prelu)
        moved = self.graph.add("PRelu", self.graph.add("Sub", y, before), slope)
        return self.graph.add("Add", moved, after)

    def _per_channel(self, values: NDArray[np.float32]) -> str:
        return self.graph.constant(values[:, None, None], np.float32)

    def _coded(self, codes: Codes, y: str) -> str:
        number = self.graph.constant
        if codes.thresholds.size:
            # 2 * (y >= threshold) - 1, in which ONNX Runtime is faster than in a Where
            above = self.graph.add("GreaterOrEqual", y, self._per_channel(codes.thresholds))
            twice = self.graph.add("Mul", self.graph.cast(above, np.float32), number(2, np.float32))
            return self.graph.add("Sub", twice, number(1, np.float32))
        if codes.scale != 1:
            y = self.graph.add("Mul", y, number(codes.scale, np.float32))
        limits = number(codes.low, np.float32), number(codes.high, np.float32)
        return self.graph.add("Round", self.graph.add("Clip", y, *limits))

    def _exit(self, head: Head) -> list[Port]:
        logits = self._logits(head)
        at = self.form.heads.index(head)
        multiply = multiplier(head.scale, self.form.temperatures[at])
        self.graph.add("ArgMax", logits, axis=1, keepdims=0, name="class")
        add_confidence(self.graph, logits, self.form.classes, multiply, self.measure)
        return [
            ("logits", np.int64, (self.form.classes,)),
            ("class", np.int64, ()),
            ("confidence", np.int64, ()),
        ]

    def _logits(self, head: Head) -> str:
        channels, height, width = self.form.shapes[head.source]
        rows, columns, pool = height // head.pool, width // head.pool, head.pool
        x = self.graph.cast(self.names[head.source], np.float64)
        x = self.graph.add(
            "Slice", x, self.graph.ints(0, 0), self.graph.ints(rows * pool, columns * pool),
            self.graph.ints(2, 3),
        )  # fmt: skip
        x = self.graph.add("Reshape", x, self.graph.ints(0, channels, rows, pool, columns, pool))
        x = self.graph.add("ReduceSum", x, self.graph.ints(3, 5), keepdims=0)
        x = self.graph.add("Reshape", x, self.graph.ints(0, channels * rows * columns))
        found = self.graph.add("MatMul", x, self.graph.weights(head.weights.T, np.float64))
        bias = self.graph.constant(head.bias, np.int64)
        return self.graph.add("Add", self.graph.cast(found, np.int64), bias, name="logits")


def _added(conv: Conv) -> NDArray[np.float32]:
    """(out, 1, 1), or (out, height, width) where rows and columns differ."""
    if conv.add.shape[1:] == (1, 1):
        return conv.add
    return conv.add[:, conv.rows][:, :, conv.columns]


def _sides(conv: Conv, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the sums before pooling."""
    kernel = conv.weights.shape[-1]
    high, wide = ((side + 2 * conv.padding - kernel) // conv.stride + 1 for side in shape[1:])
    return high, wide
