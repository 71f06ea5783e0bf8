"""A trained network's edge to its deployment form. Knows the blocks of `hybrid.models`.

Batch norm, steps and scales are folded in float64 and rounded to float32 once. What is trained at
full precision (stem, 1x1 shortcuts, exits) becomes whole numbers of the bits that `Formats` names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hybrid.data.preprocess import mean_and_deviation
from hybrid.deploy import folding
from hybrid.deploy.folding import Doubles
from hybrid.deploy.form import (
    PIXELS,
    SENT,
    Codes,
    Conv,
    Form,
    Head,
    Output,
    Shape,
    check,
)
from hybrid.errors import FormError
from hybrid.models import Network
from hybrid.models.blocks import (
    ConvGroup,
    ExitHead,
    ResidualBlock,
    Stem,
    WhiteningStem,
    WideConv,
)
from hybrid.quant.layers import QuantConv2d
from hybrid.quant.levels import FULL_PRECISION

__all__ = ["FORMATS", "Formats", "Ranges", "build", "observe"]

Ranges = dict[str, tuple[float, float]]  # of each register that is read at many bits


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Bits of the numbers that were trained at full precision.

    Args:
        stem: of the stem's weights; its inputs are the 8-bit pixels.
        shortcut: of what 1x1 shortcuts read, and of their weights.
        exit_values, exit_weights: the same of exits.
    """

    stem: int
    shortcut: int
    exit_values: int = 15
    exit_weights: int = 16


# From coarse to fine; the first that is near enough on tune is taken.
FORMATS = (
    Formats(stem=12, shortcut=12),
    Formats(stem=16, shortcut=16),
    Formats(stem=20, shortcut=20),
    Formats(stem=24, shortcut=22),
)


@torch.inference_mode()
def observe(network: Network, images: Sequence[Tensor]) -> Ranges:
    """The least and the largest value of every stage's output, over batches of images."""
    found: Ranges = {}
    for batch in images:
        x = batch
        for index, stage in enumerate(network.stages[: network.cut + 1]):
            x = stage(x)
            low, high = found.get(_stage(index), (0.0, 0.0))
            found[_stage(index)] = min(low, float(x.min())), max(high, float(x.max()))
    return found


def build(
    network: Network,
    *,
    name: str,
    variant: str,
    source_sha256: str,
    dataset: str,
    ranges: Ranges,
    formats: Formats,
) -> Form:
    """The form of a network's edge.

    Args:
        dataset: whose mean and deviation its inputs are normalised with.
        ranges: see `observe`.

    Raises:
        FormError: a block or a layer without exact form; sums that would be inexact.
    """
    bits = network.spec.edge_bits[-1]
    if bits == FULL_PRECISION or network.spec.static or not network.heads:
        raise FormError(
            f"{name} {variant} has no quantized edge with exits, so it has no deployment form; "
            "choose a hybrid variant of 1 to 8 bits."
        )
    work = _Work(network=network, dataset=dataset, ranges=ranges, formats=formats)
    for index in range(network.cut + 1):
        work.stage(index)
    form = Form(
        network=name,
        variant=variant,
        source_sha256=source_sha256,
        bits=bits,
        classes=network.spec.classes,
        steps=tuple(work.steps),
        shapes=work.shapes,
        step=float(network.uplink.step.detach().float()),
        temperatures=network.temperatures,
    )
    check(form)
    return form


@dataclass(kw_only=True)
class _Work:
    """A form under construction."""

    network: Network
    dataset: str
    ranges: Ranges
    formats: Formats
    steps: list[Conv | Head] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def stage(self, index: int) -> None:
        """Add the steps of a stage, and of its exit."""
        stage, outputs = self.network.stages[index], self._wanted(index)
        if isinstance(stage, Stem | WhiteningStem):
            self._stem(stage, outputs)
        elif isinstance(stage, ResidualBlock):
            self._residual(index, stage, outputs)
        elif isinstance(stage, ConvGroup):
            self._group(index, stage, outputs)
        elif isinstance(stage, WideConv):
            self._wide(index, stage, outputs)
        else:
            raise FormError(
                f"{type(stage).__name__} has no exact deployment form; such a network can be "
                "exported to ONNX only."
            )
        if index in self.network.exit_stages:
            self.steps.append(self._head(index))

    def _wanted(self, index: int) -> tuple[Output, ...]:
        """What reads a stage's output: the next stage, the stage's exit, the uplink."""
        at = _stage(index)
        outputs = []
        if index in self.network.exit_stages:
            outputs.append(Output(register=f"{at}.exit", codes=self._exit_codes(index)))
        if index == self.network.cut:
            return (*outputs, Output(register=SENT, codes=folding.codes_of(self.network.uplink)))
        after = self.network.stages[index + 1]
        first = after.conv if isinstance(after, WideConv) else getattr(after, "conv1", None)
        if first is None:
            raise FormError(f"{type(after).__name__} has no exact deployment form.")
        outputs.append(Output(register=f"{at}.codes", codes=folding.codes_of(first.activation)))
        if isinstance(after, ResidualBlock) and not isinstance(after.shortcut, nn.Identity):
            outputs.append(Output(register=f"{at}.shortcut", codes=self._shortcut_codes(index)))
        elif isinstance(after, ResidualBlock) or (isinstance(after, WideConv) and after.adds):
            outputs.append(Output(register=at))
        return tuple(outputs)

    def _shortcut_codes(self, index: int) -> Codes:
        return self._fine(index, self.formats.shortcut)

    def _exit_codes(self, index: int) -> Codes:
        return self._fine(index, self.formats.exit_values)

    def _fine(self, index: int, bits: int) -> Codes:
        """Codes of many bits over the range that was seen."""
        low, high = self.ranges[_stage(index)]
        top = 2 ** (bits - 1) - 1 if low < 0 else 2**bits - 1
        reach = max(-low, high) or 1.0
        return Codes(low=-top if low < 0 else 0, high=top, scale=float(np.float32(top / reach)))

    def _stem(self, stage: Stem | WhiteningStem, outputs: tuple[Output, ...]) -> None:
        conv = stage.conv
        if conv.weight_bits != FULL_PRECISION:
            raise FormError("A quantized stem has no exact deployment form; leave it at 32 bits.")
        spec = self.network.spec
        mean, deviation = mean_and_deviation(self.dataset, channels=spec.channels)
        weight = folding.double(conv.weight) / np.array(deviation)[:, None, None]
        if isinstance(stage, Stem):
            factor, shift = folding.factor_and_shift(stage.norm)
        else:
            factor, shift = np.ones(len(weight)), np.zeros(len(weight))
        whole, unit = folding.whole_weights(weight / 255, bits=self.formats.stem, largest=255)
        rows, columns, taps = folding.border(spec.size, conv.kernel_size[0], conv.border[0])
        at_zero = (weight * np.array(mean)[:, None, None]).sum(1)  # (out, kernel, kernel)
        add = shift[:, None, None] - factor[:, None, None] * np.einsum(
            "ouv,ru,cv->orc", at_zero, taps, taps
        )
        self._add(
            name="stem",
            stage=0,
            source=PIXELS,
            layer=conv,
            whole=whole,
            bits=self.formats.stem,
            multiply=unit * factor,
            add=add,
            rows=rows,
            columns=columns,
            relu=True,
            outputs=outputs,
        )

    def _residual(self, index: int, stage: ResidualBlock, outputs: tuple[Output, ...]) -> None:
        at, before = _stage(index), _stage(index - 1)
        plus = before
        if isinstance(stage.shortcut, nn.Sequential):
            plus = f"{at}.by"
            self._shortcut(index, stage.shortcut, Output(register=plus))
        binary = stage.bits == 1
        codes = Output(register=f"{at}.inner.codes", codes=folding.codes_of(stage.conv2.activation))
        inner = (codes, Output(register=f"{at}.inner")) if binary else (codes,)
        self._quantized(
            f"{at}.conv1", index, f"{before}.codes", stage.conv1, stage.norm1, stage.act1,
            inner, plus=plus if binary else "",
        )  # fmt: skip
        self._quantized(
            f"{at}.conv2", index, f"{at}.inner.codes", stage.conv2, stage.norm2, stage.act2,
            outputs, plus=f"{at}.inner" if binary else plus,
        )  # fmt: skip

    def _group(self, index: int, stage: ConvGroup, outputs: tuple[Output, ...]) -> None:
        at = _stage(index)
        inner = (
            Output(register=f"{at}.inner.codes", codes=folding.codes_of(stage.conv2.activation)),
        )
        self._quantized(
            f"{at}.conv1", index, f"{_stage(index - 1)}.codes", stage.conv1, stage.norm1,
            stage.act1, inner,
        )  # fmt: skip
        self._quantized(
            f"{at}.conv2", index, f"{at}.inner.codes", stage.conv2, stage.norm2, stage.act2,
            outputs, pool=2,
        )  # fmt: skip

    def _wide(self, index: int, stage: WideConv, outputs: tuple[Output, ...]) -> None:
        before = _stage(index - 1)
        self._quantized(
            f"{_stage(index)}.conv", index, f"{before}.codes", stage.conv, stage.norm, stage.act,
            outputs, plus=before if stage.adds else "", pool=2 if stage.pools else 1,
        )  # fmt: skip

    def _shortcut(self, index: int, shortcut: nn.Sequential, output: Output) -> None:
        conv, norm = shortcut
        assert isinstance(conv, QuantConv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        source = f"{_stage(index - 1)}.shortcut"
        codes = self._shortcut_codes(index - 1)
        factor, shift = folding.factor_and_shift(norm)
        whole, unit = folding.whole_weights(
            folding.double(conv.weight), bits=self.formats.shortcut, largest=codes.largest
        )
        self._add(
            name=f"{_stage(index)}.shortcut",
            stage=index,
            source=source,
            layer=conv,
            whole=whole,
            bits=self.formats.shortcut,
            multiply=unit / codes.scale * factor,
            add=shift[:, None, None],
            outputs=(output,),
        )

    def _quantized(
        self,
        name: str,
        stage: int,
        source: str,
        layer: QuantConv2d,
        norm: nn.BatchNorm2d,
        act: nn.Module,
        outputs: tuple[Output, ...],
        *,
        plus: str = "",
        pool: int = 1,
    ) -> None:
        if layer.groups != 1 or layer.dilation != (1, 1) or layer.bias is not None:
            raise FormError(f"{name} has groups, dilation or a bias, and so no exact form yet.")
        whole, unit = folding.weight_codes(layer)
        factor, shift = folding.factor_and_shift(norm)
        self._add(
            name=name,
            stage=stage,
            source=source,
            layer=layer,
            whole=whole,
            bits=layer.weight_bits,
            multiply=unit * folding.unit(layer.activation) * factor,
            add=shift[:, None, None],
            fill=folding.fill(layer),
            plus=plus,
            pool=pool,
            relu=isinstance(act, nn.ReLU),
            prelu=folding.prelu(act),
            outputs=outputs,
        )

    def _add(
        self,
        *,
        name: str,
        stage: int,
        source: str,
        layer: nn.Conv2d,
        whole: NDArray[np.int32],
        bits: int,
        multiply: Doubles,
        add: Doubles,
        outputs: tuple[Output, ...],
        fill: NDArray[np.int32] | None = None,
        rows: NDArray[np.uint8] | None = None,
        columns: NDArray[np.uint8] | None = None,
        plus: str = "",
        pool: int = 1,
        relu: bool = False,
        prelu: NDArray[np.float32] | None = None,
    ) -> None:
        """Append a convolution; constants of a single output in its codes' own unit."""
        shape = self._shape(source)
        padding = layer.border[0] if isinstance(layer, QuantConv2d) else 0
        high, wide = (
            ((side + 2 * padding - whole.shape[-1]) // layer.stride[0] + 1) // pool
            for side in shape[1:]
        )
        relu, outputs, multiply, add = folding.in_codes(relu, prelu, plus, outputs, multiply, add)
        self.shapes |= {one.register: (len(whole), high, wide) for one in outputs}
        self.steps.append(
            Conv(
                name=name,
                stage=stage,
                source=source,
                weights=whole,
                bits=bits,
                stride=layer.stride[0],
                padding=padding,
                fill=np.zeros(whole.shape[1], np.int32) if fill is None else fill,
                pool=pool,
                multiply=multiply.astype(np.float32),
                add=add.astype(np.float32),
                rows=np.zeros(high, np.uint8) if rows is None else rows,
                columns=np.zeros(wide, np.uint8) if columns is None else columns,
                plus=plus,
                relu=relu,
                prelu=np.zeros((0, 0), np.float32) if prelu is None else prelu,
                outputs=outputs,
            )
        )

    def _shape(self, register: str) -> Shape:
        spec = self.network.spec
        return (
            self.shapes.setdefault(PIXELS, (spec.channels, spec.size, spec.size))
            if (register == PIXELS)
            else self.shapes[register]
        )

    def _head(self, index: int) -> Head:
        head = self.network.heads[str(index)]
        if not isinstance(head, ExitHead):
            raise FormError(f"{type(head).__name__} has no exact deployment form.")
        codes = self._exit_codes(index)
        weight = folding.double(head.linear.weight)
        top = 2 ** (self.formats.exit_weights - 1) - 1
        unit = float(np.abs(weight).max() or 1.0) / top
        scale = unit / codes.scale / head.pool**2
        return Head(
            name=f"{_stage(index)}.exit",
            stage=index,
            source=f"{_stage(index)}.exit",
            pool=head.pool,
            weights=np.rint(weight / unit).astype(np.int32),
            bias=np.rint(folding.double(head.linear.bias) / scale).astype(np.int64),
            scale=scale,
        )


def _stage(index: int) -> str:
    return f"stage{index}"
