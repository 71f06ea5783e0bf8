"""The edge on emulated Cortex-M processors gives what the specification gives."""

import shutil

import pytest

from scripts.microcontrollers import PROCESSORS, TOOLS, measure
from tests.deploy.forms import one_form

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)),
    reason="needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm",
)
QUICK = ("cortex-m4f", 4)
ALL = [
    (name, bits) if (name, bits) == QUICK else pytest.param(name, bits, marks=pytest.mark.slow)
    for name in PROCESSORS
    for bits in (1, 4, 5)
]


@pytest.mark.parametrize("processor, bits", ALL)
def test_an_edge_on_a_processor_equals_the_specification(processor: str, bits: int):
    found = measure(one_form(bits), processor)

    assert found.wrong == 0
    assert found.code_bytes <= 12_000  # bytes beside weights and tables
    assert 0 < found.stack_bytes < 4_000
