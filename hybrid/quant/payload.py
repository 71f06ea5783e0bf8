"""Encode features at the cut as the bytes that are sent, and decode them; numpy only.

header (16 bytes, little-endian): "HYB1", bits u8, dimensions u8, reserved u16, step f32,
crc32 of everything with this field zero
shape: one u16 per dimension
codes: k bits per value, packed; at 32 bits the float32 values
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybrid.errors import BitWidthError, PayloadError
from hybrid.quant.levels import FULL_PRECISION
from hybrid.quant.packing import pack, packed_bytes, unpack

__all__ = ["Frame", "Received", "decode", "encode", "payload_bytes", "read_frame"]

_MAGIC = b"HYB1"
_HEADER = struct.Struct("<4sBBHfI")


@dataclass(frozen=True, kw_only=True)
class Received:
    """A decoded payload: features float32 in the shape sent."""

    features: npt.NDArray[np.float32]
    bits: int


@dataclass(frozen=True, kw_only=True)
class Frame:
    """An intact payload that is not decoded: `body` has the packed codes."""

    bits: int
    step: float
    shape: tuple[int, ...]
    body: bytes


def payload_bytes(shape: tuple[int, ...], *, bits: int) -> int:
    """Bytes that `encode` gives for features of this shape.

    >>> payload_bytes((64, 8, 8), bits=4) == 16 + 3 * 2 + 64 * 8 * 8 // 2
    True
    """
    values = int(np.prod(shape))
    body = values * 4 if bits == FULL_PRECISION else packed_bytes(shape, bits=bits)
    return _HEADER.size + 2 * len(shape) + body


def encode(features: npt.NDArray[np.float32], *, bits: int, step: float = 1.0) -> bytes:
    """One sample's features as bytes.

    Args:
        features: any shape of up to 255 axes, values code · step with codes 0 … 2^bits - 1.
        bits: of the uplink; 32 sends the values unchanged.
    """
    if bits == FULL_PRECISION:
        body = np.ascontiguousarray(features, dtype="<f4").tobytes()
    else:
        codes = np.rint(features / np.float32(step)).astype(np.int64)
        body = pack(codes.clip(0, 2**bits - 1), bits=bits)
    shape = struct.pack(f"<{features.ndim}H", *features.shape)
    unchecked = _HEADER.pack(_MAGIC, bits, features.ndim, 0, step, 0) + shape + body
    return _HEADER.pack(_MAGIC, bits, features.ndim, 0, step, zlib.crc32(unchecked)) + shape + body


def decode(data: bytes) -> Received:
    """The inverse of `encode`: the features sent, bit for bit.

    Raises:
        PayloadError: not exactly one intact payload.
    """
    frame = read_frame(data)
    try:
        features = _features(frame.body, frame.shape, bits=frame.bits, step=frame.step)
    except (ValueError, BitWidthError) as error:
        raise PayloadError(f"The payload does not fit its header: {error}") from error
    return Received(features=features, bits=frame.bits)


def read_frame(data: bytes) -> Frame:
    """Header and codes of a payload whose checksum is right; whether they fit is not looked at.

    Raises:
        PayloadError: incomplete, damaged or in another format.
    """
    try:
        magic, bits, dimensions, reserved, step, check = _HEADER.unpack_from(data)
        shape = struct.unpack_from(f"<{dimensions}H", data, _HEADER.size)
    except struct.error as error:
        raise PayloadError("The payload is incomplete; send it again.") from error
    rest = data[_HEADER.size :]
    header = _HEADER.pack(magic, bits, dimensions, reserved, step, 0)
    if magic != _MAGIC or zlib.crc32(header + rest) != check:
        raise PayloadError("The payload is damaged or in another format; send it again.")
    return Frame(bits=bits, step=step, shape=shape, body=rest[2 * dimensions :])


def _features(
    body: bytes, shape: tuple[int, ...], *, bits: int, step: float
) -> npt.NDArray[np.float32]:
    if bits == FULL_PRECISION:
        return np.frombuffer(body, dtype="<f4").reshape(shape).astype(np.float32)
    return unpack(body, bits=bits, shape=shape).astype(np.float32) * np.float32(step)
