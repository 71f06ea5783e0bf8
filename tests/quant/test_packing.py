"""Packing against Python's own whole numbers of any length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hybrid.errors import BitWidthError
from hybrid.quant import packing

every_width = pytest.mark.parametrize("bits", range(1, 9))


@st.composite
def codes_and_width(draw: st.DrawFn):
    bits = draw(st.integers(1, 8))
    shape = draw(npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7))
    dtype = draw(st.sampled_from([np.uint8, np.int64]))
    elements = st.integers(0, 2**bits - 1)
    return draw(npst.arrays(dtype, shape, elements=elements)), bits


def one_long_number(codes: np.ndarray, bits: int) -> bytes:
    """Value i times 2^(i*bits), summed, as little-endian bytes."""
    total = sum(int(code) << (i * bits) for i, code in enumerate(codes.ravel()))
    return total.to_bytes((codes.size * bits + 7) // 8, "little")


@given(codes_and_width())
def test_packed_bytes_are_the_digits_of_one_long_number(given_codes: tuple[np.ndarray, int]):
    codes, bits = given_codes

    assert packing.pack(codes, bits=bits) == one_long_number(codes, bits)


@given(codes_and_width())
def test_what_was_packed_comes_back(given_codes: tuple[np.ndarray, int]):
    codes, bits = given_codes

    back = packing.unpack(packing.pack(codes, bits=bits), bits=bits, shape=codes.shape)

    assert back.dtype == np.uint8
    assert np.array_equal(back, codes)


@every_width
def test_an_array_longer_than_one_chunk_is_packed_as_one_stream(
    bits: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(packing, "_CHUNK", 16)
    codes = np.random.default_rng(bits).integers(0, 2**bits, 16 * 5 + 3)

    data = packing.pack(codes, bits=bits)

    assert data == one_long_number(codes, bits)
    assert np.array_equal(packing.unpack(data, bits=bits, shape=codes.shape), codes)


@every_width
def test_no_byte_more_than_the_bits_need(bits: int):
    shape = (3, 5, 7)

    assert len(packing.pack(np.zeros(shape, np.uint8), bits=bits)) == -(-3 * 5 * 7 * bits // 8)
    assert packing.packed_bytes(shape, bits=bits) == -(-3 * 5 * 7 * bits // 8)


def test_arrays_are_read_in_c_order_whatever_their_memory_looks_like():
    codes = np.asfortranarray([[0, 1, 2], [3, 0, 1]])

    # 0 + 1*4 + 2*16 + 3*64 = 228, then 0 + 1*4 = 4
    assert packing.pack(codes, bits=2) == bytes([228, 4])


def test_bytes_and_arrays_of_bytes_unpack_alike():
    data = bytes([0b10_01_11_00])

    from_array = packing.unpack(np.frombuffer(data, np.uint8), bits=2, shape=(4,))

    assert from_array.tolist() == [0, 3, 1, 2]
    assert packing.unpack(data, bits=2, shape=(4,)).tolist() == [0, 3, 1, 2]


def test_what_comes_back_may_be_changed_and_leaves_the_bytes_alone():
    data = packing.pack(np.array([7, 8]), bits=8)

    packing.unpack(data, bits=8, shape=(2,))[:] = 0

    assert data == bytes([7, 8])


@pytest.mark.parametrize("bits", [0, 9, 32])
def test_bit_widths_outside_1_to_8_are_refused(bits: int):
    with pytest.raises(BitWidthError, match=f"{bits} bits are not offered here; choose one"):
        packing.pack(np.array([0]), bits=bits)
    with pytest.raises(BitWidthError, match="choose one of 1, 2, 3, 4, 5, 6, 7, 8"):
        packing.unpack(b"\0", bits=bits, shape=(1,))


@pytest.mark.parametrize("codes", [[0, 8], [-1, 7]])
def test_codes_that_do_not_fit_are_refused(codes: list[int]):
    with pytest.raises(ValueError, match="3-bit codes run from 0 to 7, not from"):
        packing.pack(np.array(codes), bits=3)


def test_codes_that_are_no_whole_numbers_are_refused():
    with pytest.raises(ValueError, match="Codes are whole numbers, not float64"):
        packing.pack(np.array([0.5]), bits=1)


@pytest.mark.parametrize("data", [b"", b"\0\0"])
def test_a_stream_of_the_wrong_length_is_refused(data: bytes):
    with pytest.raises(ValueError, match=f"fill 1 bytes, but {len(data)} are given"):
        packing.unpack(data, bits=4, shape=(2,))
