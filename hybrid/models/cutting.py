"""Where a traced model can be cut, the tensors sent there, and the pieces it is cut into.

A cut is after a module: everything up to its end runs on the edge, the rest in the cloud. Tensors
that are computed before it and needed after it are sent. If that is one tensor, the cut is clean;
if a skip connection spans it, several are sent.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from torch import Tensor, fx, nn

from hybrid.errors import ModelError
from hybrid.models.pieces import MOST_COLUMNS, Piece, crossing, in_pieces, state_shape
from hybrid.models.tracing import Outline
from hybrid.quant.layers import can_be_quantized
from hybrid.quant.payload import payload_bytes

__all__ = [
    "Cut",
    "SegmentCost",
    "check_any",
    "cuts",
    "find_cut",
    "least_sent",
    "pieces",
    "quantizable",
    "worthwhile",
]


_NO_EXIT = "no place up to here has a single tensor, which the exit on the device needs; cut later."


@dataclass(frozen=True, kw_only=True)
class SegmentCost:
    """Computation and memory of one side of a cut, for one image.

    Args:
        macs: multiply-accumulates.
        layers: steps that run with multiply-accumulates: convolutions, linear layers, attention.
        filters: numbers in the weights of layers that have k bits on the edge.
        other_weights: all other parameters and statistics, which stay at 32 bits, including the
            first layer, the last, and those that cannot be quantized.
        activations: the most numbers that one k-bit layer holds, inputs and outputs.
        other_activations: the same for the other layers, whose numbers stay at 32 bits.
    """

    macs: int
    layers: int
    filters: int
    other_weights: int
    activations: int
    other_activations: int

    def weight_bytes(self, bits: int = 32) -> int:
        """Memory of the weights, filters at `bits`."""
        return -(-self.filters * bits // 8) + 4 * self.other_weights

    def activation_bytes(self, bits: int = 32) -> int:
        """Memory of the layer that holds the most, k-bit layers' numbers at `bits`."""
        return max(-(-self.activations * bits // 8), 4 * self.other_activations)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A place in a model, after the module `name`.

    Args:
        name: the outermost module that ends here; `name@1` is a module's second call.
        also: the other modules that end here.
        position: of the last node before it.
        crossing: the tensors that are sent, in the order in which they are computed.
        shapes: of each, for one image.
        refused: why the model cannot be cut here; empty if it can.
        has_exit: an exit can be here or before.
    """

    name: str
    also: tuple[str, ...]
    position: int
    crossing: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    refused: str
    edge: SegmentCost
    cloud: SegmentCost
    has_exit: bool = True

    @property
    def clean(self) -> bool:
        """Whether exactly one tensor is sent."""
        return not self.refused and len(self.shapes) == 1

    @property
    def exit_only(self) -> str:
        """Why an exit can be here, but not the end of the edge; empty if that can be too."""
        if self.refused or (self.edge.layers > 1 and self.edge.filters):
            return ""
        if self.edge.layers > 1:
            return "leaves no layer to the edge that can be quantized; cut later."
        return "leaves only the first layer to the edge, which stays at full precision; cut later."

    @property
    def unusable(self) -> str:
        """Why neither the edge can end here nor an exit be; empty if one of them can."""
        if self.refused:
            return self.refused
        if not self.has_exit:
            return _NO_EXIT
        return "" if self.clean else self.exit_only

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Shape that is sent for one image: the tensor's, or all of them in rows of one length."""
        return state_shape(self.shapes)

    def wire_bytes(self, bits: int = 32) -> int:
        """Bytes sent per image, header included."""
        return payload_bytes(self.state_shape, bits=bits)

    def to_dict(self, *, bits: int) -> dict[str, Any]:
        """Plain values for JSON; bytes at 32 bits and with the edge at `bits`."""
        about = {"name": self.name, "also": list(self.also), "clean": self.clean}
        if self.unusable:
            return about | {"refused": self.unusable}
        sent = [
            {"tensor": name, "shape": list(shape)}
            for name, shape in zip(self.crossing, self.shapes, strict=True)
        ]
        return about | {
            "crossing": sent,
            "exit_only": self.exit_only,
            "wire_bytes": {"32": self.wire_bytes(), str(bits): self.wire_bytes(bits)},
            "edge": _side_dict(self.edge, {32, bits}),
            "cloud": _side_dict(self.cloud, {32}),
        }


def _side_dict(side: SegmentCost, widths: set[int]) -> dict[str, Any]:
    return {
        "macs": side.macs,
        "layers": side.layers,
        "weight_bytes": {str(b): side.weight_bytes(b) for b in sorted(widths)},
        "largest_activation_bytes": {str(b): side.activation_bytes(b) for b in sorted(widths)},
    }


def cuts(outline: Outline) -> list[Cut]:
    """Every place after a module with layers on both sides, in order."""
    count = len(outline.nodes)
    before = _sides(outline, range(count))
    after = _sides(outline, reversed(range(count)))
    found: list[Cut] = []
    for position, names in sorted(_ends(outline).items()):
        if position + 1 == count:
            continue
        edge, cloud = before[position], after[position + 1]
        if edge.layers and cloud.layers:
            cut = _cut(outline, position, names, edge, cloud)
            found.append(replace(cut, has_exit=any(one.clean for one in (*found, cut))))
    return found


def check_any(found: Sequence[Cut], *, reference: str) -> None:
    """Refuse a model that cannot be cut anywhere.

    Raises:
        ModelError: with the reason at the last place.
    """
    if not any(not cut.unusable and not cut.exit_only for cut in found):
        reasons = [f"after {cut.name}, {cut.unusable or cut.exit_only}" for cut in found]
        why = reasons[-1] if reasons else "it has fewer than two layers that end in a module."
        raise ModelError(f"{reference} cannot be cut: {why}")


def worthwhile(found: Sequence[Cut]) -> list[Cut]:
    """Of the usable cuts with the same layers before them, the one that sends least."""
    return least_sent([cut for cut in found if not cut.unusable])


def least_sent(found: Sequence[Cut]) -> list[Cut]:
    """Of the cuts with the same layers before them, the one that sends least; the last of equals.

    Refused cuts are left out.
    """
    best: dict[int, Cut] = {}
    for cut in found:
        if cut.refused:
            continue
        known = best.get(cut.edge.layers)
        if known is None or cut.wire_bytes() <= known.wire_bytes():
            best[cut.edge.layers] = cut
    return list(best.values())


def find_cut(found: Sequence[Cut], name: str, *, reference: str, clean: bool = False) -> Cut:
    """The cut after the module `name`.

    Args:
        clean: refuse one that a skip connection spans.

    Raises:
        ModelError: no such module, or the model cannot be cut after it.
    """
    for cut in found:
        if name in (cut.name, *cut.also):
            break
    else:
        names = [n for cut in found if not cut.refused for n in (cut.name, *cut.also)]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"`hybrid cuts {reference}` lists them."
        raise ModelError(f"{reference} cannot be cut after {name!r}: no module ends there; {hint}")
    if cut.refused:
        raise ModelError(f"{reference} cannot be cut after {name}: {cut.refused}")
    if clean and not cut.clean:
        others = [one for one in found if one.clean]
        nearest = min(others, key=lambda one: abs(one.position - cut.position), default=None)
        raise ModelError(
            f"A skip connection spans {name}, but an exit needs a place with a single tensor; the "
            f"nearest is {nearest.name if nearest else 'none'}."
        )
    return cut


def pieces(outline: Outline, at: Sequence[Cut]) -> list[Piece]:
    """The model in pieces, one more than cuts; their layers are copies of the model's."""
    return in_pieces(outline, [(cut.position, cut.shapes) for cut in at])


def quantizable(outline: Outline) -> set[str]:
    """The layers with k bits on the edge: all that can be quantized, but for the first and last."""
    calls = [node for node in outline.nodes if outline.seen[node].macs]
    ends = {str(calls[0].target), str(calls[-1].target)} if calls else set()
    modules = dict(outline.graph.named_modules())
    return {
        str(node.target)
        for node in calls
        if node.op == "call_module"
        and str(node.target) not in ends
        and can_be_quantized(modules[str(node.target)])
    }


def _ends(outline: Outline) -> dict[int, list[str]]:
    """Position → the modules whose last node it is, outermost first."""
    last: dict[str, int] = {}
    for position, names in enumerate(outline.owners):
        last |= dict.fromkeys(names, position)
    ends: dict[int, list[str]] = {}
    for name, position in last.items():
        ends.setdefault(position, []).append(name)
    return {
        position: sorted(names, key=lambda name: (name.count("."), name))
        for position, names in ends.items()
    }


def _cut(
    outline: Outline, position: int, names: list[str], edge: SegmentCost, cloud: SegmentCost
) -> Cut:
    sent = crossing(outline, position)
    shapes = [outline.seen[node].shape for node in sent]
    known = tuple(shape for shape in shapes if shape is not None)
    return Cut(
        name=names[0],
        also=tuple(names[1:]),
        position=position,
        crossing=tuple(node.name for node in sent),
        shapes=known,
        refused=_why_not(outline, sent, shapes),
        edge=edge,
        cloud=cloud,
    )


def _why_not(
    outline: Outline, sent: Sequence[fx.Node], shapes: Sequence[tuple[int, ...] | None]
) -> str:
    for node, shape in zip(sent, shapes, strict=True):
        if shape is None:
            what = outline.seen[node].what
            return f"{node.name}, {what}, would be sent, but only tensors with a row per image can."
        if max(shape) > MOST_COLUMNS or not prod(shape):
            return f"{node.name} would be sent, but its shape {shape} does not fit into a payload."
    return ""


def _sides(outline: Outline, order: Iterable[int]) -> dict[int, SegmentCost]:
    """Position → the cost of all nodes up to it, in this order, itself included."""
    seen_modules: set[nn.Module] = set()
    found: dict[int, SegmentCost] = {}
    quantized = quantizable(outline)
    side = SegmentCost(
        macs=0, layers=0, filters=0, other_weights=0, activations=0, other_activations=0
    )
    for position in order:
        node = outline.nodes[position]
        filters, others = _weights_of(outline, node, seen_modules, quantized)
        if (seen := outline.seen.get(node)) is not None:
            numbers = seen.inputs + seen.outputs
            held = (numbers, 0) if str(node.target) in quantized else (0, numbers)
            side = SegmentCost(
                macs=side.macs + seen.macs,
                layers=side.layers + bool(seen.macs),
                filters=side.filters + filters,
                other_weights=side.other_weights + others,
                activations=max(side.activations, held[0]),
                other_activations=max(side.other_activations, held[1]),
            )
        found[position] = side
    return found


def _weights_of(
    outline: Outline, node: fx.Node, known: set[nn.Module], quantized: set[str]
) -> tuple[int, int]:
    """Numbers in k-bit filters, and in all other weights, that this node is the first to use."""
    if node.op == "get_attr":
        value = _attribute(outline.graph, str(node.target))
        return 0, value.numel() if isinstance(value, Tensor) else 0
    if node.op != "call_module":
        return 0, 0
    module = outline.graph.get_submodule(str(node.target))
    if module in known:
        return 0, 0
    known.add(module)
    held = sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
    weight = module.weight if str(node.target) in quantized else None
    filters = weight.numel() if isinstance(weight, Tensor) else 0
    return filters, held - filters


def _attribute(graph: fx.GraphModule, target: str) -> object:
    value: object = graph
    for name in target.split("."):
        value = getattr(value, name)
    return value
