"""The architectures by name: each says its stages' names and builds one stage at a bit width."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hybrid.errors import UnknownNameError
from hybrid.networks.blocks import ConvGroup, ResidualBlock, Stem

__all__ = ["ARCHITECTURES", "Architecture", "StagePlan", "architecture"]


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage before it is built.

    Args:
        name: short, unique within the architecture.
        outputs: channels that leave it.
        shrink: factor by which height and width shrink.
        build: bit width to module.
    """

    name: str
    outputs: int
    shrink: int
    build: Callable[[int], nn.Module]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A family of networks: input channels to a list of stage plans."""

    title: str
    plan: Callable[[int], list[StagePlan]]


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


ARCHITECTURES = {
    # He et al., "Deep Residual Learning", CVPR 2016, section 4.2: 3 groups of n blocks.
    "resnet20": Architecture(title="ResNet-20", plan=lambda c: _resnet(c, blocks=3)),
    "resnet32": Architecture(title="ResNet-32", plan=lambda c: _resnet(c, blocks=5)),
    "digits-vgg": Architecture(title="Small VGG for 8×8 digits", plan=_digits_vgg),
}


def architecture(name: str) -> Architecture:
    """The architecture called `name`.

    Raises:
        UnknownNameError: where there is none.
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]
