"""Payloads come back bit for bit, or not at all and with one sentence."""

import struct
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hybrid.errors import PayloadError
from hybrid.quant.payload import decode, encode, payload_bytes

shapes = npst.array_shapes(min_dims=1, max_dims=4, max_side=6)


@st.composite
def sent(draw: st.DrawFn) -> tuple[npt.NDArray[np.float32], int, float]:
    """Features with the bits and the step that they were quantized with."""
    bits = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 32]))
    if bits == 32:
        any_float = st.floats(width=32, allow_nan=False)
        return draw(npst.arrays(np.float32, shapes, elements=any_float)), bits, 1.0
    step = draw(st.floats(2**-10, 100, width=32))
    codes = draw(npst.arrays(np.uint8, shapes, elements=st.integers(0, 2**bits - 1)))
    return codes.astype(np.float32) * np.float32(step), bits, step


SOME = encode(
    np.arange(24, dtype=np.float32).reshape(2, 3, 4) % 16 * np.float32(0.1), bits=4, step=0.1
)


@given(sent())
def test_features_come_back_bit_for_bit(one: tuple[npt.NDArray[np.float32], int, float]):
    features, bits, step = one

    received = decode(encode(features, bits=bits, step=step))

    assert received.bits == bits
    assert received.features.dtype == np.float32
    np.testing.assert_array_equal(received.features, features, strict=True)


@given(sent())
def test_its_size_is_what_was_promised(one: tuple[npt.NDArray[np.float32], int, float]):
    features, bits, step = one

    assert len(encode(features, bits=bits, step=step)) == payload_bytes(features.shape, bits=bits)


def test_one_payload_by_hand():
    body = bytes([0x21, 0x03])  # codes 1, 2, 3 at 4 bits, the first in the low half
    shape = struct.pack("<H", 3)
    head = b"HYB1" + bytes([4, 1, 0, 0]) + struct.pack("<f", 0.5)
    check = zlib.crc32(head + bytes(4) + shape + body)

    written = encode(np.array([0.5, 1.0, 1.5], np.float32), bits=4, step=0.5)

    assert written == head + struct.pack("<I", check) + shape + body


@pytest.mark.parametrize("length", range(len(SOME)))
def test_a_payload_cut_short_is_refused(length: int):
    with pytest.raises(PayloadError, match=r"(incomplete|damaged).*; send it again\."):
        decode(SOME[:length])


def test_a_payload_with_more_behind_it_is_refused():
    with pytest.raises(PayloadError, match="damaged"):
        decode(SOME + b"\0")


@pytest.mark.parametrize("position", range(len(SOME)))
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_any_byte_changed_is_noticed_header_and_step_included(position: int, flip: int):
    damaged = bytearray(SOME)
    damaged[position] ^= flip

    with pytest.raises(PayloadError, match="send it again"):
        decode(bytes(damaged))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(data: bytes):
    with pytest.raises(PayloadError):
        decode(data)


@pytest.mark.parametrize("bits, body", [(4, b"\0\0"), (0, b"\0"), (9, b"\0"), (32, b"\0\0\0")])
def test_a_header_that_does_not_fit_what_follows_is_refused(bits: int, body: bytes):
    shape = struct.pack("<H", 1)
    head = b"HYB1" + bytes([bits, 1, 0, 0]) + struct.pack("<f", 1.0)
    check = struct.pack("<I", zlib.crc32(head + bytes(4) + shape + body))

    with pytest.raises(PayloadError, match="does not fit its header"):
        decode(head + check + shape + body)
