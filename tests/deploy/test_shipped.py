"""The forms that ship give the same whole numbers in every engine; see `scripts.engines`."""

import shutil

import pytest

from hybrid import zoo
from hybrid.deploy.files import load_form
from scripts.engines import KINDS, compared

CASES = [
    ("digits-vgg", 1, 40),
    pytest.param("cifar10-resnet32", 4, 8, marks=pytest.mark.images("cifar10")),
    # sums beyond the whole numbers of float32
    pytest.param("cifar10-wide9", 8, 4, marks=pytest.mark.images("cifar10")),
]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
@pytest.mark.parametrize("network, bits, images", CASES)
def test_no_number_differs(network: str, bits: int, images: int):
    form = load_form(zoo.weights_path(network, zoo.variant_name(bits, deployed=True)))

    found = list(compared(form, zoo.images(network, "test").images[:images]))

    assert {one.kind for one in found} == set(KINDS)
    assert [one.different for one in found] == [0] * len(found)
