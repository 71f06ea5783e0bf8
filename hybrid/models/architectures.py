"""The architectures by name: each lists its stages and builds them at a bit width."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hybrid.errors import UnknownNameError
from hybrid.models.blocks import (
    ConvGroup,
    DenseLayers,
    ResidualBlock,
    Stem,
    WhiteningStem,
    WideConv,
)

__all__ = ["ARCHITECTURES", "Architecture", "StagePlan", "architecture"]


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage before it is built.

    Args:
        name: short, unique within the architecture.
        outputs: channels that leave it.
        shrink: factor by which height and width are divided, rounded down.
        build: bit width to module.
        trim: pixels of height and width that are lost before that.
    """

    name: str
    outputs: int
    shrink: int
    build: Callable[[int], nn.Module]
    trim: int = 0

    def side(self, size: int) -> int:
        """Height and width of the output, given that of the input.

        >>> StagePlan(name="stem", outputs=24, shrink=2, build=nn.Identity, trim=1).side(32)
        15
        """
        return (size - self.trim) // self.shrink


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of networks: input channels to a list of stage plans.

    Args:
        pooling: of the final exit, "mean" or "max".
    """

    title: str
    plan: Callable[[int], list[StagePlan]]
    pooling: str = "mean"


def _stem(channels: int, width: int) -> StagePlan:
    return StagePlan(
        name="stem", outputs=width, shrink=1, build=lambda bits: Stem(channels, width, bits=bits)
    )


def _block(name: str, inputs: int, outputs: int, stride: int) -> StagePlan:
    return StagePlan(
        name=name,
        outputs=outputs,
        shrink=stride,
        build=lambda bits: ResidualBlock(inputs, outputs, bits=bits, stride=stride),
    )


def _resnet(
    channels: int, *, blocks: int, widths: tuple[int, ...] = (16, 32, 64)
) -> list[StagePlan]:
    plans = [_stem(channels, widths[0])]
    inputs = widths[0]
    for group, width in enumerate(widths, start=1):
        for index in range(1, blocks + 1):
            stride = 2 if index == 1 and group > 1 else 1
            plans.append(_block(f"{group}.{index}", inputs, width, stride))
            inputs = width
    return plans


def _group(name: str, inputs: int, outputs: int) -> StagePlan:
    return StagePlan(
        name=name,
        outputs=outputs,
        shrink=2,
        build=lambda bits: ConvGroup(inputs, outputs, bits=bits),
    )


def _digits_vgg(channels: int) -> list[StagePlan]:
    return [_stem(channels, 16), _group("1", 16, 24), _group("2", 24, 32), _group("3", 32, 64)]


def _wide(
    channels: int, *, widths: tuple[int, ...], depths: tuple[int, ...] = (2, 2, 2)
) -> list[StagePlan]:
    inputs = 8 * channels
    plans = [
        StagePlan(
            name="stem",
            outputs=inputs,
            shrink=1,
            build=lambda bits: WhiteningStem(channels, bits=bits),
            trim=1,
        )
    ]
    for group, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for letter in "abc"[:depth]:
            first = letter == "a"
            plans.append(_wide_conv(f"{group}{letter}", inputs, width, pools=first))
            inputs = width
    return plans


def _wide_conv(name: str, inputs: int, outputs: int, *, pools: bool) -> StagePlan:
    return StagePlan(
        name=name,
        outputs=outputs,
        shrink=2 if pools else 1,
        build=lambda bits: WideConv(inputs, outputs, bits=bits, pools=pools),
    )


def _dense(
    channels: int, *, layers: int, growths: tuple[int, ...] = (8, 16, 32)
) -> list[StagePlan]:
    """Blocks of `layers` layers, each in two stages, so that an exit can be in the middle."""
    outputs = 2 * growths[0]
    plans = [_stem(channels, outputs)]
    for group, growth in enumerate(growths, start=1):
        for letter, count in (("a", layers // 2), ("b", layers - layers // 2)):
            pools = letter == "a" and group > 1
            plans.append(_dense_layers(f"{group}{letter}", outputs, count, growth, pools=pools))
            outputs += count * growth
    return plans


def _dense_layers(name: str, inputs: int, layers: int, growth: int, *, pools: bool) -> StagePlan:
    return StagePlan(
        name=name,
        outputs=inputs + layers * growth,
        shrink=2 if pools else 1,
        build=lambda bits: DenseLayers(
            inputs, layers=layers, growth=growth, bits=bits, pools=pools
        ),
    )


ARCHITECTURES = {
    # He et al., "Deep Residual Learning", CVPR 2016, section 4.2: 3 groups of n blocks.
    "resnet20": Architecture(title="ResNet-20", plan=lambda c: _resnet(c, blocks=3)),
    "resnet32": Architecture(title="ResNet-32", plan=lambda c: _resnet(c, blocks=5)),
    # After Jordan, arXiv 2404.00498 (64-256-256 there): a whitening convolution and three pairs,
    # narrower where images are large and every exit pays for them, wider after that.
    "wide7": Architecture(
        title="Wide-7", plan=lambda c: _wide(c, widths=(64, 192, 384)), pooling="max"
    ),
    # Deeper where convolutions are cheap: a third one in the second and the last group.
    "wide9": Architecture(
        title="Wide-9",
        plan=lambda c: _wide(c, widths=(64, 192, 320), depths=(2, 3, 3)),
        pooling="max",
    ),
    # Few multiply-accumulates for their accuracy: 36 and 75 million at 32x32 pixels.
    "dense18": Architecture(title="Dense-18", plan=lambda c: _dense(c, layers=6)),
    "dense30": Architecture(title="Dense-30", plan=lambda c: _dense(c, layers=10)),
    # A teacher of Wide-9: twice as wide and not for a device.
    "wide9-teacher": Architecture(
        title="Wide-9, twice as wide",
        plan=lambda c: _wide(c, widths=(128, 384, 384), depths=(2, 3, 3)),
        pooling="max",
    ),
    "digits-vgg": Architecture(title="Small VGG for 8×8 digits", plan=_digits_vgg),
}


def architecture(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
