"""Pack unsigned k-bit numbers into bytes and back, with numpy only: the device has no torch.

Value i occupies bits i*k to i*k + k - 1 of the stream, lowest bit first; bit b of the stream is
bit b % 8 of byte b // 8, counted from the lowest. Unused bits of the last byte are zero.
"""

import math

import numpy as np
import numpy.typing as npt

from hybrid.errors import BitWidthError

__all__ = ["pack", "packed_bytes", "unpack"]

_WIDTHS = range(1, 9)
_CHUNK = 1 << 18  # values at a time; a multiple of 8, so that every chunk ends with a whole byte


def pack(codes: npt.NDArray[np.integer], *, bits: int) -> bytes:
    """Pack unsigned codes into exactly ceil(n * bits / 8) bytes.

    Args:
        codes: any shape, read in C order; whole numbers 0 to 2^bits - 1.
        bits: 1 to 8.

    Raises:
        BitWidthError: bits outside 1 to 8.
        ValueError: a code that does not fit.

    >>> pack(np.array([1, 0, 3, 2]), bits=2).hex()  # 1 + 0*4 + 3*16 + 2*64 = 177
    'b1'
    """
    _check_bits(bits)
    flat = np.ravel(codes)
    if flat.size and not (int(flat.min()) >= 0 and int(flat.max()) < 1 << bits):
        given = f"{int(flat.min())} to {int(flat.max())}"
        raise ValueError(f"{bits}-bit codes run from 0 to {(1 << bits) - 1}, not from {given}.")
    if not np.issubdtype(flat.dtype, np.integer) and flat.size:
        raise ValueError(f"Codes are whole numbers, not {flat.dtype}.")
    starts = range(0, flat.size, _CHUNK)
    return b"".join(_pack_chunk(flat[start : start + _CHUNK], bits) for start in starts)


def unpack(
    data: bytes | npt.NDArray[np.uint8], *, bits: int, shape: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Read back what `pack` wrote.

    Args:
        data: exactly ceil(n * bits / 8) bytes, n the product of `shape`.
        bits: 1 to 8.
        shape: of the array that was packed.

    Raises:
        BitWidthError: bits outside 1 to 8.
        ValueError: more or fewer bytes than the shape needs.
    """
    _check_bits(bits)
    stream = np.frombuffer(data, np.uint8)
    needed = packed_bytes(shape, bits=bits)
    if stream.size != needed:
        raise ValueError(
            f"{bits}-bit values of shape {shape} fill {needed} bytes, but {stream.size} are given."
        )
    codes = np.empty(math.prod(shape), np.uint8)
    for start in range(0, codes.size, _CHUNK):
        part = codes[start : start + _CHUNK]
        part[:] = _unpack_chunk(stream[start * bits // 8 :], bits, part.size)
    return codes.reshape(shape)


def packed_bytes(shape: tuple[int, ...], *, bits: int) -> int:
    """How many bytes `pack` writes for an array of this shape."""
    return (math.prod(shape) * bits + 7) // 8


def _pack_chunk(codes: npt.NDArray[np.integer], bits: int) -> bytes:
    octets = codes.astype(np.uint8)
    if bits == 8:
        return octets.tobytes()
    if bits > 1:
        octets = np.unpackbits(octets[:, None], axis=1, count=bits, bitorder="little")  # (n, bits)
    return np.packbits(octets, bitorder="little").tobytes()


def _unpack_chunk(stream: npt.NDArray[np.uint8], bits: int, count: int) -> npt.NDArray[np.uint8]:
    if bits == 8:
        return stream[:count]
    flags = np.unpackbits(stream[: (count * bits + 7) // 8], count=count * bits, bitorder="little")
    if bits == 1:
        return flags
    rows = flags.reshape(count, bits)  # (n, bits)
    return np.packbits(rows, axis=1, bitorder="little")[:, 0]  # (n,)


def _check_bits(bits: int) -> None:
    if bits not in _WIDTHS:
        raise BitWidthError(bits, _WIDTHS)
