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


class SamePadded(nn.Conv2d):
    """A library's own convolution, as timm has it: pads by itself where the image's size asks."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h, w)."""
        padded = nn.functional.pad(x, (0, 2, 0, 2))
        return nn.functional.conv2d(padded, self.weight, self.bias)


class Answering(nn.Linear):
    """A library's own linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) to (n, out)."""
        return nn.functional.linear(x, self.weight, self.bias)


class NormAndAct(nn.BatchNorm2d):
    """A library's own norm, with the activation in it."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to the same."""
        return super().forward(x).relu_()


class Library(Plain):
    """Layers of classes that are not torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = SamePadded(8, 8, 3)
        self.norm = NormAndAct(8)
        self.fc = Answering(16, 10)


def library() -> nn.Module:
    """Subclasses of layers."""
    return _worn(Library())


class Mixed(Plain):
    """A linear layer and a convolution that mirrors the image's edge, amid the others."""

    def __init__(self) -> None:
        super().__init__()
        self.mirrored = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.gate = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """The same, each channel weighed by what a linear layer makes of the means."""
        x = self.mirrored(self.stem(x))
        x = x * self.gate(x.mean((2, 3))).sigmoid()[:, :, None, None]
        return self.fc(self.wide(self.point(self.depth(x))).mean((2, 3)))


class Forked(nn.Module):
    """Two layers that read the image, so that nothing but both lies behind the first."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Conv2d(3, 4, 5, padding=2)
        self.both = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2), nn.Hardswish(inplace=True))
        self.more = nn.Conv2d(8, 8, 1)
        self.fc = nn.Sequential(nn.Dropout(), nn.Linear(8, 10))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, classes)."""
        x = self.both(torch.cat([self.fine(x), self.coarse(x)], 1))
        return self.fc(torch.flatten(self.more(x).mean((2, 3)), 1))


class Block(nn.Module):
    """An inverted bottleneck as in MobileNetV3: widened, depthwise, squeezed and excited."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(inplace=True)
        )
        self.depth = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 16, 1)
        )
        self.project = nn.Conv2d(16, 8, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 8, h, w) to the same."""
        inner = nn.functional.hardswish(self.norm(self.depth(self.wide(x))))
        return x + self.project(inner * nn.functional.hardsigmoid(self.squeeze(inner)))


class Mobile(nn.Module):
    """MobileNetV3 in small: hard-swish, squeeze and excitation, depthwise, dropout, flatten."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.block = Block()
        self.last = nn.Sequential(nn.Conv2d(8, 12, 1), nn.ReLU6(inplace=True), nn.MaxPool2d(2))
        self.fc = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12 * 16, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 16, 16) to (n, classes)."""
        return self.fc(self.last(self.block(self.stem(x))))


def mobile(num_classes: int = 10) -> nn.Module:
    """What mobile networks are made of."""
    torch.manual_seed(0)
    return Mobile(num_classes).eval()


def mixed() -> nn.Module:
    """Layers that stay at full precision in the midst."""
    return _worn(Mixed())


def forked() -> nn.Module:
    """A fork at the image."""
    return _worn(Forked())


def plain(num_classes: int = 10) -> nn.Module:
    """A model whose statistics are not those of a fresh one."""
    return _worn(Plain(num_classes))


def grey(num_classes: int = 10) -> nn.Module:
    """For one colour channel."""
    return _worn(Plain(num_classes, channels=1))


def four_channels(num_classes: int = 10) -> nn.Module:
    """For colour and depth."""
    return _worn(Plain(num_classes, channels=4))


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
