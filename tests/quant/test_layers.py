"""Quantized layers: they compute with k-bit weights and inputs, learn, freeze and calibrate."""

import pytest
import torch
from torch import Tensor, nn

from hybrid.quant.layers import ActivationQuantizer, QuantConv2d, calibrating
from hybrid.quant.levels import BITS, Levels, activation_levels
from hybrid.quant.quantizers import fit_step

every_width = pytest.mark.parametrize("bits", BITS)


def spread(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@every_width
@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 1), (2, 0), (2, 1)])
def test_a_convolution_is_one_of_quantized_weights_and_inputs(bits: int, stride: int, padding: int):
    layer = QuantConv2d(3, 5, 3, bits=bits, stride=stride, padding=padding)
    x = spread(2, 3, 6, 6)

    output = layer(x)

    surrounded = nn.functional.pad(x, (padding,) * 4)
    expected = nn.functional.conv2d(
        layer.activation(surrounded), layer.quantized_weight(), stride=stride
    )
    torch.testing.assert_close(output, expected)


def test_the_padding_of_a_one_bit_input_is_no_third_level():
    layer = QuantConv2d(1, 1, 3, bits=1, padding=1)
    nn.init.constant_(layer.weight, 0.5)

    corner = layer(torch.full((1, 1, 4, 4), -1.0))[0, 0, 0, 0].item()

    # four inputs of -1 and five of the padding, whose sign is +1, times a scale of 0.5
    assert corner == (-4 + 5) * 0.5


def test_at_one_bit_the_shift_moves_the_border_of_the_sign():
    quantizer = ActivationQuantizer(1, 2)
    with torch.no_grad():
        quantizer.shift.copy_(torch.tensor([0.5, -0.5]).view(1, 2, 1, 1))

    signs = quantizer(torch.zeros(1, 2, 1, 1))

    assert signs.flatten().tolist() == [-1, 1]


@every_width
def test_freezing_changes_no_output(bits: int):
    layer = QuantConv2d(3, 5, 3, bits=bits, padding=1)
    x = spread(2, 3, 6, 6)
    before = layer(x)

    layer.freeze()
    first = layer.weight.clone()
    layer.freeze()

    assert torch.equal(layer(x), before)
    assert torch.equal(layer.weight, first)
    assert layer.frozen == (bits != 32)


@pytest.mark.parametrize("bits", BITS[:-1])
def test_codes_and_scales_stand_for_the_quantized_weights(bits: int):
    layer = QuantConv2d(3, 5, 3, bits=bits)

    codes, scale = layer.weight_codes()

    assert int(codes.max()) < 2**bits
    assert torch.equal(layer.decoded(codes, scale), layer.quantized_weight())


def test_calibrating_sets_the_steps_from_the_batch_and_ends_with_it():
    layer = QuantConv2d(3, 5, 3, bits=4)
    x = spread(8, 3, 6, 6).relu()

    with calibrating(layer), torch.no_grad():
        layer(x)

    expected = fit_step(x, activation_levels(4))
    torch.testing.assert_close(layer.activation.step, expected)
    layer(100 * x)
    torch.testing.assert_close(layer.activation.step, expected)


def test_at_one_bit_calibrating_puts_the_border_of_the_sign_at_each_channels_mean():
    layer = QuantConv2d(2, 5, 3, bits=1)
    x = spread(8, 2, 6, 6).relu() + 3

    with calibrating(layer):
        layer(x)

    expected = [x[:, channel].mean().item() for channel in (0, 1)]
    assert layer.activation.shift.flatten().tolist() == pytest.approx(expected)


def test_calibrating_ends_also_when_the_network_fails():
    layer = QuantConv2d(3, 5, 3, bits=4)

    with pytest.raises(RuntimeError, match="channels"), calibrating(layer):
        layer(torch.zeros(1, 7, 6, 6))

    assert not layer.activation.calibrate


@pytest.mark.parametrize("bits", BITS[:-1])
def test_every_parameter_of_a_convolution_learns(bits: int):
    layer = QuantConv2d(3, 5, 3, bits=bits, padding=1)

    layer(spread(2, 3, 6, 6, scale=0.5)).square().sum().backward()

    parameters = dict(layer.named_parameters())
    assert "weight" in parameters
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_signed_quantizer_after_a_relu_is_the_unsigned_one():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8).relu()
    signed, unsigned = ActivationQuantizer(4, 3, signed=True), ActivationQuantizer(4, 3)

    for quantizer in (signed, unsigned):
        quantizer.calibrate = True
        quantizer(x)
        quantizer.calibrate = False

    assert signed.levels == unsigned.levels == Levels(low=0, high=15)
    assert torch.allclose(signed(x), unsigned(x), atol=1e-6)


def test_a_signed_quantizer_keeps_values_below_zero():
    x = torch.nn.functional.silu(torch.linspace(-6, 2, 4_000)).reshape(1, 1, 40, 100)
    signed, unsigned = ActivationQuantizer(4, 1, signed=True), ActivationQuantizer(4, 1)
    for quantizer in (signed, unsigned):
        quantizer.calibrate = True
        quantizer(x)
        quantizer.calibrate = False

    with torch.no_grad():
        kept, lost = ((q(x) - x)[x < 0].square().mean() for q in (signed, unsigned))

    assert kept < 0.1 * lost
    assert signed(torch.zeros_like(x)).abs().max() == 0


@every_width
def test_a_convolution_under_autocast_quantizes_its_float32_weights(bits: int):
    layer = QuantConv2d(4, 6, 3, bits=bits, padding=1)
    expected = layer.quantized_weight()

    with torch.autocast("cpu", torch.bfloat16):
        inside = layer.quantized_weight()
        output = layer(spread(2, 4, 5, 5))

    assert torch.equal(inside, expected)
    assert output.dtype == torch.bfloat16
