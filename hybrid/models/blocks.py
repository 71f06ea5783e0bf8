"""The building blocks of stages: residual blocks, convolution groups and exit heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.models.norm_act import ShiftedPReLU, norm_act
from hybrid.quant.layers import QuantConv2d
from hybrid.quant.levels import FULL_PRECISION

__all__ = [
    "Classifier",
    "ConvGroup",
    "DenseLayers",
    "ExitBranch",
    "ExitHead",
    "PooledHead",
    "ResidualBlock",
    "Stem",
    "WhiteningStem",
    "WideConv",
]


class Stem(nn.Module):
    """The first convolution with batch norm and ReLU: stage 0, at full precision by default."""

    def __init__(self, channels: int, width: int, *, bits: int = FULL_PRECISION) -> None:
        super().__init__()
        self.conv = QuantConv2d(channels, width, 3, bits=bits, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, width, h, w)."""
        return norm_act(self.conv(x), self.norm, self.act)


class WhiteningStem(nn.Module):
    """A frozen 2x2 convolution onto the patches' principal directions and their negatives, ReLU.

    The filters are set once from training images (`fit`) and never learned: the next layer sees
    decorrelated inputs of equal scale, which saves most of the epochs that a network needs to
    learn that. Since each direction comes with its negative, the ReLU loses no information.
    One pixel of height and width is lost.

    Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds", arXiv 2404.00498, section 3.2.
    """

    def __init__(self, channels: int, *, bits: int = FULL_PRECISION) -> None:
        super().__init__()
        self.conv = QuantConv2d(channels, 8 * channels, 2, bits=bits)
        self.conv.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor, *, floor: float = 5e-4) -> None:
        """Set the filters from preprocessed images (n, channels, h, w).

        Args:
            floor: added to each direction's variance, so that noise is not amplified.
        """
        patches = images.float().unfold(2, 2, 1).unfold(3, 2, 1)  # (n, c, h-1, w-1, 2, 2)
        rows = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)
        variances, directions = torch.linalg.eigh(rows.T @ rows / len(rows))
        filters = (directions / (variances + floor).sqrt()).T.reshape(-1, images.shape[1], 2, 2)
        self.conv.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, 8 * channels, h - 1, w - 1)."""
        return functional.relu(self.conv(x))


class WideConv(nn.Module):
    """A 3x3 convolution, optionally a 2x2 max-pool, batch norm, activation: one stage.

    If input and output have the same shape, the input is added before the activation. A fresh
    convolution passes its first input channels on unchanged. At 1 bit the activation is a shifted
    PReLU.

    Source: Jordan, arXiv 2404.00498, sections 3.1 and 3.3 (pool before norm, identity
    initialisation).
    """

    def __init__(self, inputs: int, outputs: int, *, bits: int, pools: bool = False) -> None:
        super().__init__()
        self.pools, self.adds = pools, inputs == outputs and not pools
        self.conv = QuantConv2d(inputs, outputs, 3, bits=bits, padding=1)
        if not self.conv.weight.is_meta:
            nn.init.dirac_(self.conv.weight.detach()[: min(inputs, outputs)])
        self.norm = nn.BatchNorm2d(outputs)
        self.act = ShiftedPReLU(outputs) if bits == 1 else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h, w), with half of h and w if it pools."""
        inner = self.conv(x)
        if self.pools:
            inner = functional.max_pool2d(inner, 2)
        return norm_act(inner, self.norm, self.act, x if self.adds else None)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; one stage of a ResNet.

    At 1 bit each convolution has its own shortcut and the activations are shifted PReLUs (Bi-Real
    Net, ReActNet), because a sign loses too much for one shortcut over two of them. Neither adds a
    multiply-accumulate. The shortcut's convolution is at full precision, as in the paper.
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
        binary = self.bits == 1
        inner = norm_act(self.conv1(x), self.norm1, self.act1, shortcut if binary else None)
        return norm_act(self.conv2(inner), self.norm2, self.act2, inner if binary else shortcut)


class ConvGroup(nn.Module):
    """Two 3x3 convolutions and a 2x2 max-pool; one stage of a VGG-like network.

    At 1 bit the pool comes before the activation's sign, and activations are shifted PReLUs.
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
        x = norm_act(self.conv1(x), self.norm1, self.act1)
        x = functional.max_pool2d(self.conv2(x), 2)
        return norm_act(x, self.norm2, self.act2)


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


class DenseLayers(nn.Module):
    """Layers that each see all features made before them; one stage of a dense network.

    A layer is a 1x1 convolution to 2 * growth channels and a 3x3 convolution to `growth` channels,
    which are appended to the features. Every feature is normalised and rectified once, when it is
    made, so one quantizer's step serves all layers that read it.

    Source: Huang et al., "Densely Connected Convolutional Networks", CVPR 2017; growth that doubles
    with each resolution as in Huang et al., "CondenseNet", CVPR 2018.

    Args:
        pools: average 2x2 pixels first.
    """

    def __init__(
        self, inputs: int, *, layers: int, growth: int, bits: int, pools: bool = False
    ) -> None:
        super().__init__()
        self.pools = pools
        self.squeeze = nn.ModuleList(
            _Rectified(inputs + i * growth, 2 * growth, kernel=1, bits=bits) for i in range(layers)
        )
        self.grow = nn.ModuleList(
            _Rectified(2 * growth, growth, kernel=3, bits=bits) for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, inputs + layers * growth, h, w), half of h and w if it pools."""
        if self.pools:
            x = functional.avg_pool2d(x, 2)
        for squeeze, grow in zip(self.squeeze, self.grow, strict=True):
            x = torch.cat([x, grow(squeeze(x))], dim=1)
        return x


class _Rectified(nn.Module):
    """A convolution, batch norm and an activation; at 1 bit a shifted PReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, bits: int) -> None:
        super().__init__()
        self.conv = QuantConv2d(inputs, outputs, kernel, bits=bits, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)
        self.act = ShiftedPReLU(outputs) if bits == 1 else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return norm_act(self.conv(x), self.norm, self.act)


class ExitBranch(nn.Module):
    """An exit with blocks of its own before the paper's head.

    The blocks are those that follow in the network, at the branch's bit width. Like the cloud
    segment, they take features that are not negative.

    Source: Teerapittayanon et al., "BranchyNet", ICPR 2016, whose branches have convolutions; the
    paper's exits have none.
    """

    def __init__(self, blocks: list[nn.Module], head: ExitHead) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to logits (n, classes)."""
        logits: Tensor = self.head(self.blocks(x.relu()))
        return logits


class PooledHead(nn.Module):
    """An exit for features of any shape: averages over at most 4x4 cells, then a linear layer.

    Features without height and width are averaged over all axes but the last, which holds the
    channels (a transformer's tokens), or taken as they are.

    Args:
        shape: of the features of one sample.
    """

    _CELLS = (4, 3, 2, 1)
    _MOST_INPUTS = 4096

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.cells = (1, 1)
        inputs = shape[-1]
        if len(shape) == 3:  # channels, height, width
            cells = [(min(n, shape[1]), min(n, shape[2])) for n in self._CELLS]
            small = [c for c in cells if shape[0] * c[0] * c[1] <= self._MOST_INPUTS]
            self.cells = small[0] if small else (1, 1)
            inputs = shape[0] * self.cells[0] * self.cells[1]
        self.linear = nn.Linear(inputs, classes)

    def pooled(self, x: Tensor) -> Tensor:
        """(n, …) to the linear layer's inputs (n, inputs)."""
        if x.ndim == 4:
            return functional.adaptive_avg_pool2d(x, self.cells).flatten(1)
        return x.flatten(1, -2).mean(1) if x.ndim > 2 else x

    def forward(self, x: Tensor) -> Tensor:
        """(n, …) to logits (n, classes)."""
        logits: Tensor = self.linear(self.pooled(x))
        return logits


class Classifier(nn.Module):
    """The final exit: global pooling and one linear layer at full precision."""

    def __init__(self, channels: int, classes: int, *, pooling: str = "mean") -> None:
        super().__init__()
        self.pooling = pooling
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to logits (n, classes)."""
        pooled = x.amax(dim=(2, 3)) if self.pooling == "max" else x.mean(dim=(2, 3))
        logits: Tensor = self.linear(pooled)
        return logits
