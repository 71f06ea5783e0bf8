"""One optimizer: Muon for convolution filters, Adam for the rest; independent of networks."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalized"]

# Coefficients that raise small singular values fastest; from the reference implementation of
# Jordan et al.,
# the optimizer Muon, 2024.
QUINTIC = (3.4445, -4.7750, 2.0315)
MOMENTUM = 0.6
BETAS, EPSILON = (0.9, 0.99), 1e-8


def orthogonalized(matrix: Tensor, *, steps: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    """The matrix with singular values near 1, by Newton–Schulz iteration.

    X ← aX + (bA + cA²)X with A = XXᵀ, from X = matrix / ‖matrix‖.

    Args:
        matrix: (rows, columns), float32.
        steps: of the iteration; three bring all but tiny singular values to about 0.5–1.3.
        dtype: of the products; bfloat16 is enough, and several times faster where the hardware
            multiplies it.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = ((matrix.T if tall else matrix) / (matrix.norm() + 1e-7)).to(dtype)
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Filters by orthogonalized momentum at a constant norm, the rest by Adam.

    Each filter bank is scaled to the norm √out before a step: the batch norm after it makes its
    scale meaningless, and a growing norm would shrink the steps.

    Args:
        filters: convolution weights (out, in, kh, kw), each followed by a batch norm.
        rest: everything else that is trained.
        filter_rate, rest_rate: learning rates of the two.
        dtype: see `orthogonalized`.
    Source: Jordan et al., 2024, and arXiv 2404.00498's code for norm and momentum.
    """

    def __init__(
        self,
        filters: Iterable[Tensor],
        rest: Iterable[Tensor],
        *,
        filter_rate: float,
        rest_rate: float,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        groups: list[dict[str, Any]] = [
            {"params": list(filters), "lr": filter_rate, "muon": True},
            {"params": list(rest), "lr": rest_rate, "muon": False},
        ]
        super().__init__([group for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns the closure's result, if there is one."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            move = self._filter_step if group["muon"] else self._adam_step
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move(parameter, parameter.grad.float(), group["lr"])
        return result

    def _filter_step(self, weight: Tensor, grad: Tensor, rate: float) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(grad)
        state["momentum"].mul_(MOMENTUM).add_(grad)
        ahead = grad.add(state["momentum"], alpha=MOMENTUM)  # Nesterov
        weight.mul_(len(weight) ** 0.5 / weight.norm())
        update = orthogonalized(ahead.flatten(1), dtype=self.dtype).reshape(weight.shape)
        weight.add_(update, alpha=-rate)

    def _adam_step(self, weight: Tensor, grad: Tensor, rate: float) -> None:
        state = self.state[weight]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(grad), "square": torch.zeros_like(grad)}
        state["step"] += 1
        state["mean"].lerp_(grad, 1 - BETAS[0])
        state["square"].lerp_(grad.square(), 1 - BETAS[1])
        mean = state["mean"] / (1 - BETAS[0] ** state["step"])
        square = state["square"] / (1 - BETAS[1] ** state["step"])
        weight.addcdiv_(mean, square.sqrt() + EPSILON, value=-rate)
