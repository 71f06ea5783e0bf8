"""Quantizers against hand calculations, torch's own fake quantization; `reference/` has more."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import Tensor

from hybrid.quant.levels import BITS, Levels, activation_levels, weight_levels
from hybrid.quant.quantizers import (
    binarize_activations,
    binarize_weights,
    fit_range,
    fit_step,
    quantize,
    to_codes,
)

LEARNED = range(2, 9)
every_learned_width = pytest.mark.parametrize("bits", LEARNED)
every_width = pytest.mark.parametrize("bits", BITS)

floats = st.floats(-8, 8, width=32)
values = npst.arrays(np.float32, st.integers(1, 24), elements=floats).map(torch.from_numpy)
steps = st.floats(0.0625, 2, width=32).map(torch.tensor)
levels_of = st.sampled_from(
    [f(bits) for f in (weight_levels, activation_levels) for bits in LEARNED]
)
kernels = npst.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.just(3), st.just(3)),
    elements=floats,
).map(torch.from_numpy)


def spread(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- against references


def away_from_halves(x: Tensor, step: Tensor) -> Tensor:
    """Only values whose quotient is no tie: torch multiplies by 1/step, we divide by step."""
    return x[((x / step).frac().abs() - 0.5).abs() > 1e-3]


@every_learned_width
def test_activations_equal_torchs_fake_quantization_and_its_gradient(bits: int):
    step, levels = torch.tensor(0.37), activation_levels(bits)
    ours = away_from_halves(spread(4000, scale=40.0), step).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()

    one = quantize(ours, step, levels)
    other = torch.fake_quantize_per_tensor_affine(theirs, 0.37, 0, levels.low, levels.high)
    one.sum().backward()
    other.sum().backward()

    torch.testing.assert_close(one, other)
    assert ours.grad is not None
    assert theirs.grad is not None
    # torch tests the rounded code and we the value, as LSQ does: they part within half a step
    beside = ((ours / step - levels.low).abs() <= 0.5) | ((ours / step - levels.high).abs() <= 0.5)
    assert torch.equal(ours.grad[~beside], theirs.grad[~beside])


@pytest.mark.parametrize("bits", range(3, 9))
def test_weights_equal_torchs_fake_quantization_per_channel(bits: int):
    levels, step = weight_levels(bits), torch.tensor([0.11, 0.3, 0.07])
    weight = spread(3, 4, 3, 3)
    zeros = torch.zeros(3, dtype=torch.int32)

    ours = quantize(weight, step.view(3, 1, 1, 1), levels)

    theirs = torch.fake_quantize_per_channel_affine(weight, step, zeros, 0, levels.low, levels.high)
    torch.testing.assert_close(ours, theirs)


# ---------------------------------------------------------------- by hand


def test_two_bit_weights_by_hand():
    x = torch.tensor([-9.0, -2.1, -1.9, -0.1, 0.0, 0.1, 1.9, 2.1, 9.0])

    quantized = quantize(x, torch.tensor(2.0), weight_levels(2))

    # step 2: the levels are -3, -1, 1, 3; borders lie at -2, 0 and 2, and 0 itself counts up
    assert quantized.tolist() == [-3, -3, -1, -1, 1, 1, 1, 3, 3]


def test_ties_round_to_the_even_code():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])

    assert quantize(x, torch.tensor(1.0), weight_levels(4)).tolist() == [0, 2, 2, 0, -2]


def test_the_gradient_of_the_learned_step_by_hand():
    x = torch.tensor([0.3, 1.4, 9.0, -9.0])
    step = torch.tensor(0.5, requires_grad=True)

    quantize(x, step, weight_levels(3)).sum().backward()

    # x/step = 0.6, 2.8, 18, -18; codes 1, 3, 3, -4: inside code - x/step, outside the code;
    # times 1/√(4 values · largest level 4). 2.8 lies inside, for 2.8 <= 3.
    expected = ((1 - 0.6) + (3 - 2.8) + 3 - 4) / (4 * 4) ** 0.5
    assert step.grad is not None
    assert step.grad.item() == pytest.approx(expected)


def test_each_channel_gathers_the_gradient_of_its_own_step():
    weight = spread(3, 2, 3, 3)
    together = torch.tensor([0.2, 0.5, 1.0]).view(3, 1, 1, 1).requires_grad_()
    factor = spread(3, 2, 3, 3, seed=1)

    (quantize(weight, together, weight_levels(4)) * factor).sum().backward()

    for channel, value in enumerate([0.2, 0.5, 1.0]):
        alone = torch.tensor(value, requires_grad=True)
        one = quantize(weight[channel], alone, weight_levels(4))
        (one * factor[channel]).sum().backward()
        assert together.grad is not None
        assert alone.grad is not None
        assert together.grad[channel].item() == pytest.approx(alone.grad.item(), rel=1e-5)


def test_the_gradient_passes_inside_the_levels_only():
    x = torch.tensor([-0.1, 0.0, 1.5, 3.0, 3.1], requires_grad=True)

    quantize(x, torch.tensor(1.0), activation_levels(2)).sum().backward()

    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_binary_weights_by_hand():
    weight = torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.5, -0.5]]).view(2, 1, 1, 3).requires_grad_()

    binary = binarize_weights(weight)
    binary.sum().backward()

    assert binary.flatten().tolist() == [1, -1, 1, 0.5, 0.5, -0.5]  # (1 + 2 + 0) / 3 = 1
    assert weight.grad is not None
    assert weight.grad.flatten().tolist() == [1, 0, 1, 1, 1, 1]  # |-2| > 1


def test_binary_activations_by_hand():
    x = torch.tensor([-2.0, -0.5, 0.0, 0.25, 1.0], requires_grad=True)
    shift = torch.tensor(0.0, requires_grad=True)

    signs = binarize_activations(x, shift)
    signs.sum().backward()

    assert signs.tolist() == [-1, -1, 1, 1, 1]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2, 1.5, 0]  # 2 - 2|x|
    assert shift.grad == -4.5


@given(kernels, st.integers(0, 2**31))
def test_a_shift_per_channel_is_the_same_as_shifting_first(x: Tensor, seed: int):
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(1, x.shape[1], 1, 1, generator=generator)
    factor = torch.randn(x.shape, generator=generator)
    outcomes = []
    for together in (True, False):
        ours, moved = x.clone().requires_grad_(), shift.clone().requires_grad_()
        if together:
            signs = binarize_activations(ours, moved)
        else:
            signs = binarize_activations(ours - moved, torch.tensor(0.0))
        (signs * factor).sum().backward()
        outcomes.append((signs, ours.grad, moved.grad))

    together, first = outcomes
    torch.testing.assert_close(together, first)


def test_a_step_is_found_that_no_other_candidate_beats():
    x = spread(2000)
    levels = weight_levels(3)

    def error(step: Tensor) -> float:
        return float((quantize(x, step, levels) - x).square().mean())

    found = fit_step(x, levels)

    others = torch.linspace(0.05, 1.0, 60) * x.abs().max() / 4
    assert error(found) <= min(error(step) for step in others) * (1 + 1e-6)
    assert error(found) < 0.6 * error(x.abs().max() / 4)  # better than covering the whole range


def test_values_that_are_levels_already_keep_their_place():
    weight = torch.tensor([[-1.0, -0.5, 0.25, 0.75], [-8.0, 4.0, 2.0, 6.0]]).view(2, 4, 1, 1)

    steps = fit_step(weight, weight_levels(3), per_channel=True)

    assert steps.flatten().tolist() == [0.25, 2.0]
    assert torch.equal(quantize(weight, steps, weight_levels(3)), weight)


def test_an_all_zero_channel_has_a_positive_step():
    assert fit_step(torch.zeros(2, 3, 3, 3), weight_levels(4), per_channel=True).min() > 0


# ---------------------------------------------------------------- properties


@given(values, steps, levels_of)
def test_codes_lie_in_range_and_say_the_quantized_value(x: Tensor, step: Tensor, levels: Levels):
    codes = to_codes(x, step, levels)

    assert codes.dtype == torch.uint8
    assert codes.max() <= levels.high - levels.low
    again = (codes.float() + levels.low + levels.offset) * step
    assert torch.equal(again, quantize(x, step, levels))


@given(values, steps, levels_of)
def test_quantizing_twice_changes_nothing(x: Tensor, step: Tensor, levels: Levels):
    once = quantize(x, step, levels)

    assert torch.equal(quantize(once, step, levels), once)


@given(values, steps, levels_of)
def test_quantizing_keeps_the_order(x: Tensor, step: Tensor, levels: Levels):
    quantized = quantize(x.sort().values, step, levels)

    assert (quantized.diff() >= 0).all()


@given(values, steps, levels_of)
def test_no_value_inside_moves_by_more_than_half_a_step(x: Tensor, step: Tensor, levels: Levels):
    low, high = (levels.low + levels.offset) * step, (levels.high + levels.offset) * step
    inside = (x >= low) & (x <= high)

    moved = (quantize(x, step, levels) - x)[inside].abs()

    assert (moved <= step * (0.5 + 1e-5)).all()


@given(values, steps, levels_of)
def test_inference_computes_the_same_as_training(x: Tensor, step: Tensor, levels: Levels):
    before = x.clone()
    with torch.inference_mode():
        fast = quantize(x, step, levels)

    assert torch.equal(fast, quantize(x, step, levels))
    assert torch.equal(x, before)


@given(values, steps)
def test_two_bit_weights_are_never_zero(x: Tensor, step: Tensor):
    assert (quantize(x, step, weight_levels(2)) != 0).all()


@given(kernels)
def test_one_bit_weights_have_two_levels_a_channel(weight: Tensor):
    binary = binarize_weights(weight)

    for channel, scale in zip(binary, weight.abs().mean(dim=(1, 2, 3)), strict=True):
        assert set(channel.flatten().abs().tolist()) == {scale.item()}
    assert torch.equal(torch.where(weight >= 0, 1.0, -1.0) * binary.abs(), binary)


@given(values)
def test_one_bit_activations_have_two_levels(x: Tensor):
    assert set(binarize_activations(x, torch.tensor(0.0)).tolist()) <= {-1.0, 1.0}


@given(st.lists(st.floats(-4, 4, width=32), min_size=2, max_size=40), st.sampled_from([2, 4, 8]))
def test_a_signed_range_has_zero_as_a_level_and_loses_at_most_half_a_step(
    values: list[float], bits: int
):
    x = torch.tensor(values)

    step, zero = fit_range(x, bits=bits, candidates=1)  # of the whole range

    codes = x / step + zero
    assert float(zero).is_integer()
    assert 0 <= zero <= 2**bits - 1
    assert float(codes.min()) >= -0.51  # the zero point was rounded by half a code at most
    assert float(codes.max()) <= 2**bits - 1 + 0.51


# ---------------------------------------------------------------- autocast


@every_learned_width
def test_scales_are_computed_in_float32_under_bf16_autocast(bits: int):
    step, levels = torch.tensor(0.0123456), activation_levels(bits)
    x = spread(500).bfloat16()

    with torch.autocast("cpu", torch.bfloat16):
        quantized = quantize(x, step, levels)

    in_float32 = quantize(x.float(), step, levels)
    assert quantized.dtype == torch.bfloat16
    assert torch.equal(quantized, in_float32.bfloat16())


def test_gradients_under_autocast_have_the_types_of_their_inputs():
    x = spread(50).bfloat16().requires_grad_()
    step = torch.tensor(0.1, requires_grad=True)

    with torch.autocast("cpu", torch.bfloat16):
        quantize(x, step, activation_levels(4)).sum().backward()

    assert x.grad is not None
    assert step.grad is not None
    assert (x.grad.dtype, step.grad.dtype) == (torch.bfloat16, torch.float32)
