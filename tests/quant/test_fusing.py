"""What runs as one compiled pass computes what the plain operations do."""

import shutil
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from hybrid.models.norm_act import ShiftedPReLU
from hybrid.quant.fusing import can_compile, fused, fusible
from hybrid.quant.levels import activation_levels, weight_levels
from hybrid.quant.quantizers import binarize_activations, quantize

needs_a_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler here")


@fusible
def doubled(x: Tensor) -> Tensor:
    """Twice x."""
    return 2 * x


def outcome(x: Tensor, bits: int, how: str) -> list[Tensor]:
    """Result and gradients of a quantizer or an activation, of x and of what it learns."""
    x = x.clone().requires_grad_()
    if how == "prelu":
        act = ShiftedPReLU(x.shape[1])
        result, learned = act(x), list(act.parameters())
    elif bits == 1:
        shift = torch.full((1, x.shape[1], 1, 1), 0.1, requires_grad=True)
        result, learned = binarize_activations(x, shift), [shift]
    else:
        per_channel = how == "weights"
        shape = (len(x), 1, 1, 1) if per_channel else ()
        step = torch.full(shape, 0.3, requires_grad=True)
        levels = weight_levels(bits) if per_channel else activation_levels(bits)
        result, learned = quantize(x, step, levels), [step]
    weights = torch.linspace(-1, 2, x.numel()).reshape(x.shape).to(result.dtype)
    (result * weights).sum().backward()
    return [result.detach(), *(t.grad for t in [x, *learned] if t.grad is not None)]


@needs_a_compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:torch")
@pytest.mark.parametrize(
    "bits, how",
    [(1, "activations"), (2, "weights"), (4, "weights"), (4, "activations"), (1, "prelu")],
)
def test_compiled_passes_give_results_and_gradients_of_the_plain_ones(bits: int, how: str):
    # odd sizes, both memory formats and both types: each may be compiled by itself
    for seed, shape in enumerate([(5, 7, 6, 6), (8, 3, 9, 9), (2, 16, 4, 4)]):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        for given in (x, x.bfloat16().to(memory_format=torch.channels_last)):
            plain = outcome(given, bits, how)
            with fused():
                compiled = outcome(given, bits, how)

            assert [t.dtype for t in compiled] == [t.dtype for t in plain]
            for ours, theirs in zip(compiled, plain, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=1e-2)
            assert (compiled[0] == plain[0]).float().mean() > 0.99


@pytest.fixture
def asked_again() -> Iterator[None]:
    """Whether there is a compiler is asked for again, in this test and after it."""
    can_compile.cache_clear()
    yield
    can_compile.cache_clear()


@pytest.mark.usefixtures("asked_again")
def test_nothing_is_compiled_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    compiled: list[object] = []

    def recorded(
        function: Callable[[Tensor], Tensor], **_options: object
    ) -> Callable[[Tensor], Tensor]:
        compiled.append(function)
        return lambda x: function(x) + 1

    monkeypatch.setattr(torch, "compile", recorded)
    two = torch.tensor(2.0)

    assert doubled(two) == 4
    with fused(wanted=False):
        assert doubled(two) == 4
    assert compiled == []
    with fused():
        assert doubled(two) == doubled(two) == 5
    assert doubled(two) == 4
    assert len(compiled) == 2  # a trial, and this one


@pytest.mark.usefixtures("asked_again")
def test_without_a_compiler_all_runs_as_it_is_and_the_log_has_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(_function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def fail(_x: Tensor) -> Tensor:
            raise RuntimeError("No working C++ compiler found in g++\nand a long trace")

        return fail

    monkeypatch.setattr(torch, "compile", broken)

    for _ in range(2):
        with fused():
            assert doubled(torch.tensor(2.0)) == 4

    (line,) = caplog.messages
    assert line.endswith("No working C++ compiler found in g++")
