"""Bit widths and the levels of k-bit numbers."""

import pytest

from hybrid.errors import BitWidthError
from hybrid.quant.levels import Levels, activation_levels, check_bits, weight_levels


def test_the_levels_are_those_of_the_table():
    def all_values(levels: Levels) -> list[float]:
        return [code + levels.offset for code in range(levels.low, levels.high + 1)]

    assert all_values(weight_levels(2)) == [-1.5, -0.5, 0.5, 1.5]  # {-3, -1, 1, 3} · step/2
    assert all_values(weight_levels(3)) == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert all_values(activation_levels(2)) == [0, 1, 2, 3]
    assert (weight_levels(8).low, weight_levels(8).high) == (-128, 127)
    assert activation_levels(8).high == 255


@pytest.mark.parametrize("bits", [0, 9, 16, -1, True])
def test_other_bit_widths_are_refused(bits: int):
    with pytest.raises(BitWidthError, match="bits are not offered here; choose one of 1, 2, 3"):
        check_bits(bits)
