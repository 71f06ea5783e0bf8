"""Bit widths and the levels of k-bit numbers: plain integers. Needs no torch.

Three families, by bit width and by what is quantized:

    bits  weights                                     activations
    1     {-1, +1} · mean|w| of the channel           {-1, +1}, of x minus a learned shift
    2     {-3, -1, 1, 3} · step/2, no zero            {0 … 3} · step
    3–8   {-2^(k-1) … 2^(k-1)-1} · step, learned      {0 … 2^k-1} · step, learned;
                                                      signed: minus a whole zero point
    32    unchanged                                   unchanged
"""

from dataclasses import dataclass

from hybrid.errors import BitWidthError

__all__ = [
    "BITS",
    "FULL_PRECISION",
    "Levels",
    "activation_levels",
    "check_bits",
    "weight_levels",
]

FULL_PRECISION = 32
BITS = (1, 2, 3, 4, 5, 6, 7, 8, FULL_PRECISION)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """The codes low … high; the value of a code is (code + offset) · step."""

    low: int
    high: int
    offset: float = 0.0


def check_bits(bits: int) -> int:
    """Return `bits` if it is a bit width this library quantizes to.

    Raises:
        BitWidthError: for anything but 1–8 and 32.
    """
    if bits not in BITS or isinstance(bits, bool):
        raise BitWidthError(bits, BITS)
    return bits


def weight_levels(bits: int) -> Levels:
    """Levels of k-bit weights, k = 2..8; at 2 bits ±½ and ±1½ steps, without a zero.

    >>> weight_levels(4)
    Levels(low=-8, high=7, offset=0.0)
    >>> weight_levels(2)
    Levels(low=-2, high=1, offset=0.5)
    """
    half = 2 ** (check_bits(bits) - 1)
    return Levels(low=-half, high=half - 1, offset=0.5 if bits == 2 else 0.0)


def activation_levels(bits: int) -> Levels:
    """Levels of unsigned k-bit activations, k = 2..8.

    >>> activation_levels(3)
    Levels(low=0, high=7, offset=0.0)
    """
    return Levels(low=0, high=2 ** check_bits(bits) - 1)
