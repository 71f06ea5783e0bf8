"""Small models in the styles in which models are published, each a function of `num_classes`."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune


class Simple(nn.Module):
    """Stem, two blocks, a hidden linear layer and a classifier, for images of 16 pixels."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.block1 = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.block2 = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1), nn.BatchNorm2d(12), nn.ReLU())
        self.hidden = nn.Linear(12, 10)
        self.fc = nn.Linear(10, num_classes)

    def forward(self, x: Tensor) -> Any:
        """(n, 3, 16, 16) to (n, classes)."""
        x = self.block2(self.block1(self.stem(x)))
        return self.fc(self.hidden(x.mean((2, 3))).relu())


class Viewing(Simple):
    """`view` with the batch size, which is read at the top."""

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        n = x.size(0)
        x = self.block2(self.block1(self.stem(x)))
        return self.fc(self.hidden(x.view(n, 12, -1).mean(2)).view(n, -1).relu())


class Unpacking(Simple):
    """All sizes, read at the top by unpacking, multiplied and used at the end."""

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        n, _, h, w = x.shape
        x = self.block2(self.block1(self.stem(x)))
        cells = (h // 4) * (w // 4)
        rows = x.permute(0, 2, 3, 1).reshape(n * cells, 12)
        return self.fc(self.hidden(rows.view(n, cells, 12).mean(1)).relu())


class ViewingLate(Simple):
    """The batch size of the image, and its device, asked for only after the blocks."""

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        y = self.block2(self.block1(self.stem(x)))
        y = y.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, 12).mean(1)
        return self.fc(self.hidden(y + torch.ones(12, device=x.device, dtype=x.dtype)).relu())


class Counting(Simple):
    """`len` of the batch, and `int` of a quotient of sizes, as windows of attention have it."""

    def forward(self, x: Tensor) -> Tensor:
        """The same, without a norm at the end of a block."""
        x = self.block2(self.block1(self.stem(x)))
        windows = x.view(len(x) * 4, 3, 16)
        x = windows.view(int(windows.shape[0] / 4), 12, 4, 4)
        return self.fc(self.hidden(x.mean((2, 3))).relu())


class Squeezing(Simple):
    """A `squeeze` that would also remove the first axis of a single image."""

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        x = functional.adaptive_avg_pool2d(self.block2(self.block1(self.stem(x))), 1)
        return self.fc(self.hidden(x.squeeze()).relu())


class Branching(Simple):
    """Two layers that see the image, so that no exit can be before they are joined."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.other = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        x = self.block2(self.block1(self.stem(x) + self.other(x)))
        return self.fc(self.hidden(x.mean((2, 3))).relu())


class Listing(Simple):
    """Blocks in a list and a dict, any number of inputs, options that are not used."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.blocks = nn.ModuleList([self.block1, self.block2])
        self.pools = nn.ModuleDict({"mean": nn.AdaptiveAvgPool2d(1)})

    def forward(self, *inputs: Tensor, **_options: Any) -> Any:
        """The same, in a list."""
        x = self.stem(inputs[0])
        for block in self.blocks:
            x = block(x)
        return [self.fc(self.hidden(torch.flatten(self.pools["mean"](x), 1)).relu())]


class Functional(Simple):
    """Weights of its own, and functions of them."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.kernel = nn.Parameter(torch.randn(12, 12, 3, 3) / 10)
        self.rows = nn.Parameter(torch.randn(10, 12) / 3)
        self.hidden = self.block2 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The same, without a norm."""
        x = self.block1(self.stem(x))
        x = functional.relu(functional.conv2d(x, self.kernel, padding=1))
        return self.fc(functional.linear(x.mean((2, 3)), self.rows).relu())


class Standardised(nn.Conv2d):
    """Weights of mean 0 and variance 1, as BiT and NFNets have them."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h, w)."""
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.var((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return functional.conv2d(
            x, w, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class StaticSame(nn.Conv2d):
    """TensorFlow's padding, worked out when it is built, as EfficientNet has it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        self.static_padding = nn.ZeroPad2d((0, 1, 0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h / stride, w / stride)."""
        x = self.static_padding(x)
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class DynamicSame(nn.Conv2d):
    """The same, worked out from each image."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, h / stride, w / stride)."""
        h, w = x.shape[-2:]
        s, k = self.stride[0], self.kernel_size[0]
        high, wide = ((math.ceil(side / s) - 1) * s + k - side for side in (h, w))
        if high > 0 or wide > 0:
            x = functional.pad(x, [wide // 2, wide - wide // 2, high // 2, high - high // 2])
        return functional.conv2d(x, self.weight, self.bias, self.stride)


class WritingBlock(nn.Module):
    """A block that begins with an in-place activation and so changes its own shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same."""
        out = self.body(x)
        out += x
        return functional.relu(out.mul_(0.5), inplace=True) + x


class Tied(Simple):
    """One convolution called twice, and a second one with its weights."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.block3 = nn.Conv2d(12, 12, 3, 1, 1)
        self.block3.weight = self.block2[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """The same."""
        x = self.block3(self.block2(self.block2(self.block1(self.stem(x)))))
        return self.fc(self.hidden(x.mean((2, 3))).relu())


class Attending(Simple):
    """Tokens, attention, a transposed convolution and products of matrices."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__(num_classes)
        self.attention = nn.MultiheadAttention(12, 3, batch_first=True)
        self.up = nn.ConvTranspose2d(12, 12, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The same, on tokens."""
        x = self.block1(self.stem(x))
        tokens = self.up(x).flatten(2).transpose(1, 2)  # (n, 64, 12)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        alike = tokens @ tokens.transpose(1, 2)
        return self.fc(self.hidden((alike.softmax(-1) @ tokens).mean(1)).relu())


class Answering(Simple):
    """Features first, then logits, in the container that `pack` makes."""

    pack: Callable[..., Any] = dict

    def forward(self, x: Tensor) -> Any:
        """(n, 3, 16, 16) to logits and features."""
        features = self.block2(self.block1(self.stem(x)))
        logits = self.fc(self.hidden(features.mean((2, 3))).relu())
        return type(self).pack(features=features, logits=logits)


@dataclass
class Answer:
    """What libraries of transformers return."""

    features: Tensor
    logits: Tensor


class Named(NamedTuple):
    """The same as a named tuple."""

    features: Tensor
    logits: Tensor


def _block(model: Simple, block: nn.Module, *, norm: bool = True) -> Simple:
    model.block2 = nn.Sequential(block, nn.BatchNorm2d(12) if norm else nn.Identity(), nn.ReLU())
    return model


def _convolutions(model: nn.Module) -> Iterator[nn.Conv2d]:
    return (m for m in list(model.modules()) if isinstance(m, nn.Conv2d))


def _each(model: Simple, change: Callable[[nn.Conv2d], object]) -> Simple:
    for convolution in _convolutions(model):
        change(convolution)
    return model


def _answering(pack: Callable[..., Any], classes: int) -> nn.Module:
    model = Answering(classes)
    model.__class__ = type("Answering", (Answering,), {"pack": staticmethod(pack)})
    return model


def _lazy(classes: int) -> nn.Module:
    model = Simple(classes)
    model.block2 = nn.Sequential(nn.LazyConv2d(12, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU())
    model.hidden = nn.LazyLinear(10)
    return model


STYLES: dict[str, Callable[[int], nn.Module]] = {
    "simple": Simple,
    "viewing": Viewing,
    "unpacking": Unpacking,
    "viewing late": ViewingLate,
    "counting": Counting,
    "squeezing": Squeezing,
    "branching": Branching,
    "listing": Listing,
    "functions": Functional,
    "standardised": lambda n: _block(Simple(n), Standardised(12, 12, 3, padding=1)),
    "static same": lambda n: _block(Simple(n), StaticSame(12, 12, 3, 2)),
    "dynamic same": lambda n: _block(Simple(n), DynamicSame(12, 12, 3, 2)),
    "mirrored": lambda n: _block(
        Simple(n), nn.Conv2d(12, 12, 3, padding=1, padding_mode="reflect")
    ),
    "uneven": lambda n: _block(Simple(n), nn.Conv2d(12, 12, 2, padding="same")),
    "writing": lambda n: _block(Simple(n), WritingBlock(12), norm=False),
    "tied": Tied,
    "attending": Attending,
    "lazy": _lazy,
    "weight norm": lambda n: _each(Simple(n), parametrizations.weight_norm),
    "old weight norm": lambda n: _each(Simple(n), torch.nn.utils.weight_norm),
    "spectral norm": lambda n: _each(Simple(n), parametrizations.spectral_norm),
    "old spectral norm": lambda n: _each(Simple(n), torch.nn.utils.spectral_norm),
    "orthogonal": lambda n: _each(Simple(n), parametrizations.orthogonal),
    "pruned": lambda n: _each(Simple(n), lambda c: prune.l1_unstructured(c, "weight", 0.3)),
    "compiled": lambda n: torch.compile(Simple(n)),
    "compiled inside": lambda n: _block(Simple(n), torch.compile(nn.Conv2d(12, 12, 3, padding=1))),
    "data parallel": lambda n: nn.DataParallel(Simple(n)),
    "dict": lambda n: _answering(dict, n),
    "tuple": lambda n: _answering(lambda features, logits: (features, logits), n),
    "record": lambda n: _answering(Answer, n),
    "named": lambda n: _answering(Named, n),
    "averaged": lambda n: torch.optim.swa_utils.AveragedModel(Simple(n)),
    "double": lambda n: Simple(n).double(),
}
OUTPUTS = {
    "dict": "logits",
    "tuple": "1",
    "record": "logits",
    "named": "logits",
}  # where the logits are


def make(num_classes: int = 3, *, style: str = "simple") -> nn.Module:
    """A model in a style, with weights drawn from a fixed seed and used norms."""
    torch.manual_seed(0)
    model = STYLES[style](num_classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.num_features:
            module.running_mean = torch.rand(module.num_features) - 0.5
            module.running_var = torch.rand(module.num_features) + 0.5
    return model.eval()


def __getattr__(name: str) -> Callable[[int], nn.Module]:
    """`weight_norm(num_classes)` and so on, for references such as tests.published_models:tied."""
    style = name.replace("_", " ")
    if style not in STYLES:
        raise AttributeError(name)

    def builder(num_classes: int = 3) -> nn.Module:
        return make(num_classes, style=style)

    return builder
