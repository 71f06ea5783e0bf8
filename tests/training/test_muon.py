"""Muon against singular value decompositions, a hand-made step and torch's own Adam."""

import pytest
import torch
from torch import nn

from hybrid.training.muon import MOMENTUM, Muon, orthogonalized


@pytest.mark.parametrize("dtype, error", [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (6, 6)])
def test_orthogonalized_keeps_directions_and_evens_out_their_sizes(
    shape: tuple[int, int], dtype: torch.dtype, error: float
):
    torch.manual_seed(1)
    u, _, vt = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.linspace(1.0, 0.3, len(vt))

    result = orthogonalized(u @ torch.diag(sizes) @ vt, steps=5, dtype=dtype)

    inner = u.T @ result @ vt.T  # diagonal where the singular vectors are the same
    assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=error)
    assert 0.6 < inner.diagonal().min() <= inner.diagonal().max() < 1.3
    assert torch.linalg.matrix_norm(result - u @ vt) < torch.linalg.matrix_norm(
        u @ torch.diag(sizes) @ vt - u @ vt
    )


def test_a_filter_step_is_one_of_constant_length_from_a_constant_norm():
    torch.manual_seed(2)
    weight = nn.Parameter(torch.randn(8, 4, 3, 3))
    direction = weight.detach() * (8**0.5 / weight.detach().norm())
    optimizer = Muon([weight], [], filter_rate=0.1, rest_rate=0.0)
    weight.grad = torch.randn_like(weight)
    ahead = weight.grad * (1 + MOMENTUM)  # the first momentum is the gradient itself

    optimizer.step()

    expected = direction - 0.1 * orthogonalized(ahead.flatten(1)).reshape(weight.shape)
    assert torch.allclose(weight, expected, atol=1e-6)


def test_everything_else_moves_as_torchs_adam_moves_it():
    torch.manual_seed(3)
    ours, theirs = (nn.Parameter(torch.ones(5)) for _ in range(2))
    muon = Muon([], [ours], filter_rate=0.1, rest_rate=0.02)
    adam = torch.optim.Adam([theirs], lr=0.02, betas=(0.9, 0.99))

    for _ in range(5):
        ours.grad = torch.randn(5)
        theirs.grad = ours.grad.clone()
        muon.step()
        adam.step()

    assert torch.allclose(ours, theirs, atol=1e-6)
