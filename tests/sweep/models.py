"""A small model with a layer that cannot be quantized, for sweeps."""

import torch
from torch import Tensor, nn


class Chain(nn.Module):
    """One tensor between all layers, but for a skip connection around `c`; 8x8 or larger."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.mix = nn.ConvTranspose2d(4, 4, 1)
        self.b = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU())
        self.c = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.d = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 8, 8) to (n, classes)."""
        x = self.b(self.mix(self.a(x)))
        x = self.d(x + self.c(x))
        return self.fc(x.mean((2, 3)))


def chain(num_classes: int = 10) -> nn.Module:
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Chain(num_classes)
