"""Our quantizers give the numbers of qonnx, which comes with the extra `reference`."""

import numpy as np
import pytest
import torch

from hybrid.quant.levels import activation_levels, weight_levels
from hybrid.quant.quantizers import binarize_weights, quantize

WHY = "qonnx is not installed; it comes with the extra `reference`"


def spread(*shape: int, scale: float) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "bits, signed",
    # signed 2-bit levels of qonnx have a zero, ours have none
    [(bits, signed) for bits in range(2, 9) for signed in (True, False) if bits > 2 or not signed],
)
def test_learned_steps_give_the_same_numbers(bits: int, signed: bool):
    qonnx = pytest.importorskip("qonnx.custom_op.general.quant", reason=WHY)
    x, step = spread(500, scale=3.0), np.float32(0.23)
    levels = weight_levels(bits) if signed else activation_levels(bits)

    ours = quantize(x, torch.tensor(step), levels)

    theirs = qonnx.quant(
        x.numpy(),
        step,
        np.float32(0),
        np.float32(bits),
        signed,
        narrow=False,
        rounding_mode="ROUND",
    )
    assert ours.unique().numel() > min(bits, 3)
    torch.testing.assert_close(ours, torch.from_numpy(theirs), check_dtype=False)


def test_bipolar_weights_give_the_same_numbers():
    qonnx = pytest.importorskip("qonnx.custom_op.general.bipolar_quant", reason=WHY)
    weight = spread(2, 3, 3, 3, scale=1.0)
    weight[0, 0, 0, 0] = 0.0
    scale = weight.abs().mean(dim=(1, 2, 3), keepdim=True)

    theirs = qonnx.binary_quant(weight.numpy(), scale.numpy())

    assert torch.equal(binarize_weights(weight), torch.from_numpy(theirs))
