"""Batch norm, sum and activation in one operation, against torch's own in double precision."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybrid.models.norm_act import ShiftedPReLU, compiled_code, norm_act

ROUNDING = 2**-8  # of bfloat16, which has eight bits of precision


def layers(kind: str, channels: int) -> tuple[nn.BatchNorm2d, nn.Module]:
    norm = nn.BatchNorm2d(channels)
    act = nn.ReLU() if kind == "relu" else ShiftedPReLU(channels)
    for parameter in (*norm.parameters(), *act.parameters()):
        nn.init.normal_(parameter)
    return norm, act


def half(*shape: int) -> Tensor:
    return torch.randn(shape).bfloat16().to(memory_format=torch.channels_last)


def error(found: Tensor | None, wanted: Tensor | None) -> float:
    assert found is not None
    assert wanted is not None
    return float((found.double() - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6))


@pytest.fixture(autouse=True)
def as_in_training(monkeypatch: pytest.MonkeyPatch):
    """One thread and the switch of `fused` on, without its search for a C++ compiler."""
    monkeypatch.setattr("hybrid.models.norm_act.is_fusing", lambda: True)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(["relu", "prelu"]),
    adds=st.booleans(),
    images=st.integers(2, 5),
    size=st.integers(1, 9),
    groups=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_values_gradients_and_running_values_are_torchs(
    kind: str, adds: bool, images: int, size: int, groups: int, seed: int
):
    torch.manual_seed(seed)
    channels = 16 * groups
    x = half(images, channels, size, size + 1) * 3 + 1
    added = half(*x.shape) if adds else None
    grad = half(*x.shape)
    ours = layers(kind, channels)
    plain = [copy.deepcopy(layer).double() for layer in ours]
    ins = [one.clone().requires_grad_() for one in (x, added) if one is not None]
    ins64 = [one.double().requires_grad_() for one in (x, added) if one is not None]

    result = norm_act(ins[0], ours[0], ours[1], *ins[1:])
    result.backward(grad)
    inner = plain[0](ins64[0])
    wanted = plain[1](inner + ins64[1] if adds else inner)
    wanted.backward(grad.double())

    assert type(result.grad_fn).__name__ == "_NormActBackward"
    assert error(result.detach(), wanted.detach()) < ROUNDING
    for one, two in zip(ins, ins64, strict=True):
        assert error(one.grad, two.grad) < 2 * ROUNDING
    for layer, other in zip(ours, plain, strict=True):
        for one, two in zip(layer.parameters(), other.parameters(), strict=True):
            assert error(one.grad, two.grad) < 1e-4
        for one, two in zip(layer.buffers(), other.buffers(), strict=True):
            assert error(one, two) < 1e-4


@pytest.mark.parametrize("why", ["no compiler", "channels", "float32", "evaluation", "not fused"])
def test_what_does_not_suit_runs_as_before(why: str, monkeypatch: pytest.MonkeyPatch):
    norm, act = layers("relu", 24 if why == "channels" else 16)
    x = half(4, norm.num_features, 3, 3)
    if why == "float32":
        x = x.float()
    if why == "no compiler":
        monkeypatch.setenv("PATH", "")
        compiled_code.cache_clear()
    if why == "not fused":
        monkeypatch.setattr("hybrid.models.norm_act.is_fusing", lambda: False)
    norm.train(why != "evaluation")
    other = copy.deepcopy(norm)

    result = norm_act(x, norm, act)

    compiled_code.cache_clear()
    assert torch.equal(result, act(other(x)))
