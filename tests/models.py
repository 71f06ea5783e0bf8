"""Small models for the tests, as a user might bring them."""

import threading

import torch
from torch import Tensor, nn


class Plain(nn.Module):
    """A skip connection, a depthwise and a 1x1 convolution, biases, SiLU; 32x32 or smaller."""

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.SiLU(inplace=True)
        )
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.point = nn.Conv2d(8, 8, 1)
        self.wide = nn.Sequential(nn.Conv2d(8, 16, 3, padding=2, dilation=2, stride=2), nn.ReLU())
        self.fc = nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, classes)."""
        x = self.stem(x)
        x = x + self.point(self.norm(self.depth(x)))
        return self.fc(self.wide(x).mean((2, 3)))


class Branching(Plain):
    """torch.fx cannot follow a branch on a shape; torch.export can."""

    def forward(self, x: Tensor) -> Tensor:
        """The same, in larger steps where the image is large."""
        x = self.stem(x)
        if x.shape[2] > 1:
            x = x + self.point(self.norm(self.depth(x)))
        return self.fc(self.wide(x).mean((2, 3)))


class Scaled(Plain):
    """An argument with a default, which decides a branch."""

    def forward(self, x: Tensor, mask: Tensor | None = None, factor: float = 1.0) -> Tensor:
        """The same, masked where there is a mask."""
        if mask is not None:
            x = x * mask
        return super().forward(x) * factor


class Counting(Plain):
    """A number, not a tensor, is needed behind a module."""

    def forward(self, x: Tensor) -> Tensor:
        """The same, divided by the image's height."""
        height = x.shape[2]
        x = self.depth(self.stem(x))
        return self.fc(self.wide(x).mean((2, 3)) / height)


class Reading(Plain):
    """A branch on a value, which nothing can follow."""

    def forward(self, x: Tensor) -> Tensor:
        """The same, negated where the image is dark."""
        if float(x.sum()) < -1e9:
            x = -x
        return super().forward(x)


class Sharing(Plain):
    """Another thread runs another network while this one is traced."""

    def forward(self, x: Tensor) -> Tensor:
        """The same; what the other network said is in `heard`."""
        self.heard: list[Tensor] = []
        other = nn.Linear(2, 1)
        nn.init.ones_(other.weight)
        nn.init.zeros_(other.bias)
        thread = threading.Thread(target=lambda: self.heard.append(other(torch.ones(1, 2))))
        thread.start()
        thread.join()
        return super().forward(x)


def plain(num_classes: int = 10) -> nn.Module:
    """A model whose statistics are not those of a fresh one."""
    return _worn(Plain(num_classes))


def grey(num_classes: int = 10) -> nn.Module:
    """For one colour channel."""
    return _worn(Plain(num_classes, channels=1))


def branching(num_classes: int = 10) -> nn.Module:
    """Needs torch.export."""
    return _worn(Branching(num_classes))


def scaled() -> nn.Module:
    """More arguments than an image."""
    return _worn(Scaled())


def sharing() -> nn.Module:
    """Beside another network."""
    return _worn(Sharing())


def counting() -> nn.Module:
    """A number crosses."""
    return _worn(Counting())


def reading() -> nn.Module:
    """Nothing can follow it."""
    return _worn(Reading())


def two_answers() -> nn.Module:
    """Answers with no logits."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def raising() -> nn.Module:
    """Code that raises."""
    raise RuntimeError("no such weights.\nsecond line")


def leaving() -> nn.Module:
    """Code that ends the program."""
    raise SystemExit(3)


def no_model() -> int:
    """Something else."""
    return 7


def _worn(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.add_(0.5)
    return model
