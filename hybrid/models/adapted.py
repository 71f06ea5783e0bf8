"""A user's model as a network: its pieces become stages, with exits and bit widths.

The architecture is a reference, "package.module:function", and building the network calls that
function: loading an adapted network runs its author's code.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.errors import ModelError, NetworkError
from hybrid.models.blocks import PooledHead
from hybrid.models.cutting import Cut, cuts, find_cut, least_sent, pieces, quantizable
from hybrid.models.network import Network
from hybrid.models.pieces import Piece
from hybrid.models.spec import Reference, Spec
from hybrid.models.tracing import Outline, trace
from hybrid.models.user_models import is_reference, load_model
from hybrid.quant.layers import ActivationQuantizer, quantized_copy
from hybrid.quant.levels import FULL_PRECISION
from hybrid.quant.quantizers import fit_range

__all__ = ["Adapted", "Prepare", "build", "seen_shape", "stage_cuts"]


def build(spec: Spec, outline: Outline | None = None) -> Network:
    """The network that `spec` describes, with fresh weights.

    Args:
        outline: of the user's model, if it is traced already; its weights are taken.

    Raises:
        NetworkError, ModelError: not a valid description; see `load_model`, `find_cut`.
    """
    return Adapted(spec, outline) if is_reference(spec.architecture) else Network(spec)


def seen_shape(spec: Spec) -> tuple[int, int, int]:
    """Shape of the images that a user's model sees: (channels, height, width)."""
    reference = _reference(spec)
    height = reference.size or spec.size
    return reference.channels or spec.channels, height, reference.width or height


def stage_cuts(
    found: Sequence[Cut], *, cut: str, exits: Sequence[str], reference: str
) -> tuple[list[Cut], list[int], int]:
    """How a model is divided into stages, such that the exits and the cut are at ends of stages.

    Stage 0 ends after the first layer, which stays at full precision; after the cut, each
    outermost module with one output tensor is a stage.

    Returns:
        The cut that ends each stage but the last, the stages of the exits, the stage of the cut.

    Raises:
        ModelError: no such modules, an exit after the cut or spanned by a skip connection, or no
            layer between two exits or an exit and the cut.
    """
    last = find_cut(found, cut, reference=reference)
    early = [find_cut(found, name, reference=reference, clean=True) for name in exits]
    early.sort(key=lambda one: one.position)
    asked = sorted({one.position: one for one in (*early, last)}.values(), key=_position)
    if asked[-1] is not last:
        raise ModelError(
            f"The exit after {asked[-1].name} comes after the cut at {last.name}; move the cut or "
            "leave that exit out."
        )
    if why := last.unusable:
        raise ModelError(f"{reference} cannot be cut after {last.name}: {why}")
    if last.exit_only and last.edge.layers == 1:  # at 32 bits nothing need be quantized
        raise ModelError(f"The cut after {last.name} {last.exit_only}")
    before, after = _stem(found, asked[0]), _outermost(found, last)
    for one, other in pairwise(asked):
        if one.edge.layers == other.edge.layers:
            raise ModelError(
                f"There is no layer between {one.name} and {other.name}; leave one of them out."
            )
    stages = [*before, *asked, *after]
    places = [stage.position for stage in stages]
    numbers = sorted({places.index(one.position) for one in early})
    return stages, numbers, places.index(last.position)


class Adapted(Network):
    """A user's model, cut into stages.

    The features that are sent may be negative: they are shifted before they are quantized to
    unsigned levels, and shifted back after the cut.
    """

    def __init__(self, spec: Spec, outline: Outline | None = None) -> None:
        self._traced = outline
        super().__init__(spec)
        del self._traced

    def _build(self, spec: Spec) -> None:
        reference = _reference(spec)
        with torch.device("cpu"):  # building a model may compute, which "meta" cannot
            outline = self._traced or _outline(spec)
            at = _at(outline, reference)
            parts = pieces(outline, at)
        bits = spec.stage_bits(len(parts))
        quantized = quantizable(outline)
        for part, width in zip(parts, bits, strict=True):
            _quantize(part, quantized, width)
        first = [Prepare(reference, seen_shape(spec))] if _prepares(spec) else []
        self.stages = nn.ModuleList([nn.Sequential(*first, parts[0]), *parts[1:]])
        self.stage_names = (*reference.stages, _last_name(outline))
        shapes = [*(cut.state_shape for cut in at), (outline.classes,)]
        self.heads = nn.ModuleDict(
            {str(index): PooledHead(shapes[index], spec.classes) for index in spec.exits}
        )
        self.classifier = nn.Identity()  # the model's classifier is in its last stage
        self.feature_shape = shapes[spec.cut]
        width = FULL_PRECISION if spec.static else spec.uplink_bits
        self.uplink = ActivationQuantizer(width, self.feature_shape[0])
        self.uplink_shift: Tensor | None
        narrow = width != FULL_PRECISION
        self.register_buffer("uplink_shift", torch.zeros(()) if narrow else None)

    def _sent(self, x: Tensor) -> Tensor:
        if self.uplink_shift is None:
            return x
        if self.uplink.calibrate:
            step, zero = fit_range(x, bits=self.uplink.bits)
            self.uplink_shift.copy_(step * zero)
        sent: Tensor = self.uplink(x + self.uplink_shift)
        return sent

    def _received(self, features: Tensor) -> Tensor:
        return features if self.uplink_shift is None else features - self.uplink_shift


class Prepare(nn.Module):
    """A data set's normalised images to a model's channels, size, mean and deviation.

    Args:
        shape: of the result, (channels, height, width).
    """

    def __init__(self, reference: Reference, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.scale, self.shift = reference.scale, reference.shift

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels', h, w) to (n, channels, height, width)."""
        channels, height, width = self.shape
        x = x.expand(-1, channels, -1, -1)
        if self.scale:
            scale, shift = (x.new_tensor(v).reshape(1, -1, 1, 1) for v in (self.scale, self.shift))
            x = x * scale + shift
        if x.shape[2:] != (height, width):
            x = functional.interpolate(x, (height, width), mode="bilinear", align_corners=False)
        return x


def _reference(spec: Spec) -> Reference:
    if spec.reference is None:
        raise NetworkError(f"{spec.architecture} has no stages; adapt the model again.")
    return spec.reference


def _outline(spec: Spec) -> Outline:
    model = load_model(spec.architecture, classes=spec.classes)
    outline = trace(
        model,
        shape=seen_shape(spec),
        reference=spec.architecture,
        output=_reference(spec).output,
    )
    if outline.classes != spec.classes:
        raise ModelError(
            f"{spec.architecture} returns {outline.classes} logits per image, but there are "
            f"{spec.classes} classes; give it as many outputs."
        )
    return outline


def _at(outline: Outline, reference: Reference) -> list[Cut]:
    found = cuts(outline)
    at = [find_cut(found, name, reference=outline.reference) for name in reference.stages]
    places = [cut.position for cut in at]
    if places != sorted(set(places)):
        raise NetworkError(
            f"The stages {', '.join(reference.stages)} of {outline.reference} are not in order; "
            "adapt the model again."
        )
    return at


def _prepares(spec: Spec) -> bool:
    same = seen_shape(spec) == (spec.channels, spec.size, spec.size)
    return bool(_reference(spec).scale) or not same


def _position(cut: Cut) -> int:
    return cut.position


def _stem(found: Sequence[Cut], first: Cut) -> Iterator[Cut]:
    """The cut after the first layer, if it comes before all others.

    A clean cut if possible; if two layers read the image, there is none.
    """
    after = [one for one in found if one.edge.layers == 1 < first.edge.layers]
    yield from least_sent([one for one in after if one.clean]) or least_sent(after)


def _outermost(found: Sequence[Cut], last: Cut) -> Iterator[Cut]:
    """After the cut, the ends of outermost modules with one output, layers between them."""
    layers = last.edge.layers
    for cut in found:
        if cut.clean and "." not in cut.name and cut.edge.layers > layers:
            layers = cut.edge.layers
            yield cut


def _last_name(outline: Outline) -> str:
    """The outermost module of the last layer."""
    for node, owners in zip(reversed(outline.nodes), reversed(outline.owners), strict=True):
        if outline.seen[node].macs:
            return owners[0] if owners else node.name
    return "last"


def _quantize(part: Piece, narrow: set[str], bits: int) -> None:
    """Give the layers of a piece whose names are in `narrow` k-bit weights and inputs."""
    if bits == FULL_PRECISION:
        return
    for name, module in part.layers().items():
        made = quantized_copy(module, bits=bits) if name in narrow else None
        if made is not None:
            parent, _, child = name.rpartition(".")
            setattr(part.graph.get_submodule(parent), child, made)
