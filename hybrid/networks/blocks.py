"""The building blocks of stages: residual blocks, convolution groups and exit heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.quant import FULL_PRECISION, QuantConv2d

__all__ = ["Classifier", "ConvGroup", "ExitHead", "ResidualBlock", "ShiftedPReLU", "Stem"]


class Stem(nn.Module):
    """The first convolution with batch norm and ReLU: stage 0, at full precision unless said."""

    def __init__(self, channels: int, width: int, *, bits: int = FULL_PRECISION) -> None:
        super().__init__()
        self.conv = QuantConv2d(channels, width, 3, bits=bits, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, width, h, w)."""
        return functional.relu(self.norm(self.conv(x)))


class ShiftedPReLU(nn.Module):
    """PReLU between two learned shifts per channel, for 1-bit stages.

    Source: Liu et al., "ReActNet", ECCV 2020, equation 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.after = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out."""
        return functional.prelu(x - self.before, self.slope) + self.after


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; one stage of a ResNet.

    At 1 bit a shortcut stands over each convolution and the activations are shifted PReLUs
    (Bi-Real Net, ReActNet): a sign loses too much for one shortcut over two of them. Neither adds
    a multiply-accumulate. The shortcut's own convolution is at full precision, as in the paper.
    """

    def __init__(self, inputs: int, outputs: int, *, bits: int, stride: int = 1) -> None:
        super().__init__()
        self.bits = bits
        self.conv1 = QuantConv2d(inputs, outputs, 3, bits=bits, stride=stride, padding=1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = QuantConv2d(outputs, outputs, 3, bits=bits, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            convolution = QuantConv2d(inputs, outputs, 1, bits=FULL_PRECISION, stride=stride)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        binary = bits == 1
        self.act1 = ShiftedPReLU(outputs) if binary else nn.ReLU()
        self.act2 = ShiftedPReLU(outputs) if binary else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        shortcut = self.shortcut(x)
        inner = self.norm1(self.conv1(x))
        inner = self.act1(inner + shortcut if self.bits == 1 else inner)
        outer = self.norm2(self.conv2(inner))
        result: Tensor = self.act2(outer + (inner if self.bits == 1 else shortcut))
        return result


class ConvGroup(nn.Module):
    """Two 3x3 convolutions and a 2x2 max-pool; one stage of a VGG-like network.

    At 1 bit the pool stands before the activation's sign, and activations are shifted PReLUs.
    """

    def __init__(self, inputs: int, outputs: int, *, bits: int) -> None:
        super().__init__()
        self.conv1 = QuantConv2d(inputs, outputs, 3, bits=bits, padding=1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = QuantConv2d(outputs, outputs, 3, bits=bits, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act1 = ShiftedPReLU(outputs) if bits == 1 else nn.ReLU()
        self.act2 = ShiftedPReLU(outputs) if bits == 1 else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h // 2, w // 2)."""
        x = self.act1(self.norm1(self.conv1(x)))
        x = functional.max_pool2d(self.conv2(x), 2)
        result: Tensor = self.act2(self.norm2(x))
        return result


class ExitHead(nn.Module):
    """An exit: 3x3 average pooling and one linear layer at full precision (the paper's head)."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.pool = min(3, size)
        self.linear = nn.Linear(channels * (size // self.pool) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, size, size) to logits (n, classes)."""
        logits: Tensor = self.linear(functional.avg_pool2d(x, self.pool).flatten(1))
        return logits


class Classifier(nn.Module):
    """The final exit: global average pooling and one linear layer at full precision."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to logits (n, classes)."""
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits
