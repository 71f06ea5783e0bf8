"""The deployment form: an edge segment as whole numbers. Arrays only; needs no torch.

A form is a list of steps over named registers. A register holds whole numbers (pixels, codes) or
float32 values; its shape is (channels, height, width). A convolution sums whole numbers, which is
exact in any order. Its epilogue is a fixed sequence of single IEEE float32 operations, per channel:

    y = float32(sum) * multiply          the sum is the largest of a pool x pool square, if it pools
    y = y + add                          by the kind of row and column, see `Conv`
    y = y + plus                         another register, if there is one
    y = max(y, 0)                        if relu
    d = y - before                       if there is a PReLU
    y = (d if d >= 0 else slope * d) + after

and every output writes y itself or its code, see `Codes`. `hybrid.deploy.interpreter` is the
specification of these words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import FormError

__all__ = [
    "EXACT_DOUBLE",
    "INT32",
    "PIXELS",
    "SENT",
    "Codes",
    "Conv",
    "Form",
    "Head",
    "Output",
    "Shape",
    "bound",
    "check",
    "check_pixels",
    "weight_rule",
]

PIXELS, SENT = "pixels", "sent"  # registers: the image given, and the codes for the cloud
INT32, EXACT_DOUBLE = 2**31, 2**53
_KERNEL_BITS = 8  # weights of at most so many bits are summed in 32 bits, others in 64

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]
Shape = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Codes:
    """How float32 values become whole numbers.

    Without thresholds: round(min(max(x * scale, low), high)), half to even. With thresholds, one
    per channel: +1 where x >= threshold, else -1.
    """

    low: int
    high: int
    scale: float = 1.0
    thresholds: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def largest(self) -> int:
        """The largest absolute value of a code."""
        return max(abs(self.low), abs(self.high))

    @property
    def bits(self) -> int:
        """Bits that tell the codes apart; 1 if there are thresholds."""
        return 1 if self.thresholds.size else (self.high - self.low).bit_length()


@dataclass(frozen=True, kw_only=True)
class Output:
    """A register that a convolution writes: float32 values, or codes."""

    register: str
    codes: Codes | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv:
    """A convolution of whole numbers with its epilogue.

    | field    | shape                   |                                                 |
    |----------|-------------------------|-------------------------------------------------|
    | weights  | (out, in, kernel, kernel) | int32                                         |
    | fill     | (in,)                   | int32, the code outside of the source            |
    | multiply | (out,)                  | float32                                         |
    | add      | (out, kinds, kinds)     | float32, by kind of row and of column           |
    | rows     | (height out,)           | the kind of each row of the output              |
    | columns  | (width out,)            | the kind of each column                         |
    | prelu    | (3, out) or (0, 0)      | float32: before, slope, after                   |

    Rows and columns are of several kinds only where the border is not a code: in a stem that
    reads pixels, a zero of the normalised image is no whole number of the pixels.

    Args:
        stage: of the network.
        bits: of a weight.
        pool: side of the square whose largest sum goes on; 1 does not pool.
        plus: the register that is added; "" for none.
    """

    name: str
    stage: int
    source: str
    weights: Integers
    bits: int
    stride: int
    padding: int
    fill: Integers
    pool: int
    multiply: Floats
    add: Floats
    rows: NDArray[np.uint8]
    columns: NDArray[np.uint8]
    plus: str
    relu: bool
    prelu: Floats
    outputs: tuple[Output, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """An exit: codes summed over squares, then whole-number logits.

    The real logits are the whole ones times `scale`.

    Args:
        pool: side of the squares; what does not fill one at the end is left out.
        weights: (classes, channels * squares) int32, channels first.
        bias: (classes,) int64.
    """

    name: str
    stage: int
    source: str
    pool: int
    weights: Integers
    bias: NDArray[np.int64]
    scale: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Form:
    """An edge segment with its exits, ready for any engine.

    Args:
        network, variant: the trained weights it was made of, `hybrid-4bit`.
        source_sha256: of their file.
        steps: in the order of computing.
        shapes: of every register.
        classes: how many there are.
        step: the value of one code that is sent.
        temperatures: of every exit, the cloud's last.
    """

    network: str
    variant: str
    source_sha256: str
    bits: int
    classes: int
    steps: tuple[Conv | Head, ...]
    shapes: Mapping[str, Shape]
    step: float
    temperatures: tuple[float, ...] = ()

    @property
    def heads(self) -> tuple[Head, ...]:
        """The exits, in the order of computing."""
        return tuple(one for one in self.steps if isinstance(one, Head))

    @property
    def convolutions(self) -> tuple[Conv, ...]:
        """The convolutions, in the order of computing."""
        return tuple(one for one in self.steps if isinstance(one, Conv))

    @property
    def codes(self) -> dict[str, Codes]:
        """How the codes of each register are made; those of the pixels too."""
        made = {PIXELS: Codes(low=0, high=255)}
        for conv in self.convolutions:
            made |= {one.register: one.codes for one in conv.outputs if one.codes}
        return made


def bound(step: Conv | Head, source: Codes) -> int:
    """The largest absolute value that any partial sum of a step can reach.

    >>> plain = dict(name="", stage=0, source=PIXELS, pool=2, scale=1.0)
    >>> head = Head(**plain, weights=np.array([[3, -4]]), bias=np.array([5]))
    >>> bound(head, Codes(low=0, high=15))  # (3 + 4) * 15 * 2 * 2 + 5
    425
    """
    rows = np.abs(step.weights.reshape(len(step.weights), -1).astype(np.int64)).sum(axis=1)
    if isinstance(step, Conv):
        return int(rows.max()) * source.largest
    return int((rows * source.largest * step.pool**2 + np.abs(step.bias)).max())


def check_pixels(form: Form, pixels: NDArray[np.uint8]) -> None:
    """Refuse images of another size.

    Raises:
        FormError: pixels that are not (n, height, width, channels) uint8 of the form's shape.
    """
    channels, height, width = form.shapes[PIXELS]
    if (
        pixels.dtype != np.uint8
        or pixels.ndim != 4
        or pixels.shape[1:] != (height, width, channels)
    ):
        raise FormError(
            f"{form.network} takes images of {height}x{width} pixels with {channels} channels as "
            f"uint8, not {pixels.dtype} of shape {pixels.shape[1:]}; resize them first."
        )


def weight_rule(bits: int) -> tuple[int, int]:
    """How codes counted from 0 become weights of 1 to 8 bits: code * first + second.

    At 1 and 2 bits weights are odd numbers.

    >>> weight_rule(1), weight_rule(2), weight_rule(4)
    ((2, -1), (2, -3), (1, -8))
    """
    return (2 if bits <= 2 else 1), {1: -1, 2: -3}.get(bits, -(2 ** (bits - 1)))


def check(form: Form) -> None:
    """Refuse a form whose sums could be inexact in some engine.

    Raises:
        FormError: sums of 1- to 8-bit weights that do not fit 32 bits, or others above 2^53.
    """
    for name, reached, limit in _bounds(form):
        if reached >= limit:
            raise FormError(
                f"The sums of {name} of {form.network} {form.variant} can reach {reached}, and "
                f"only those below {limit} are exact; choose fewer bits for its numbers."
            )


def _bounds(form: Form) -> Iterator[tuple[str, int, int]]:
    codes = form.codes
    for step in form.steps:
        narrow = isinstance(step, Conv) and step.bits <= _KERNEL_BITS
        limit = INT32 if narrow else EXACT_DOUBLE
        yield step.name, bound(step, codes[step.source]), limit
