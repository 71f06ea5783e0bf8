"""A traced model in pieces: each is a module that computes from one cut to the next.

It gives the tensors that are sent at its end; what depends on nothing but the number of images is
computed again on either side.
"""

import operator
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import gcd, prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybrid.models.canonical import LAYERS
from hybrid.models.tracing import Outline

__all__ = [
    "MOST_COLUMNS",
    "OtherWork",
    "Piece",
    "crossing",
    "in_pieces",
    "state_shape",
]

MOST_COLUMNS = 65_535  # of a payload's header


@dataclass(frozen=True, kw_only=True)
class OtherWork:
    """Multiply-accumulates of a piece that are not in convolutions and linear layers.

    Args:
        kind: "attention", "transposed conv" or "matmul".
        fan_in: multiply-accumulates per output.
        weights, inputs, outputs: numbers.
    """

    name: str
    kind: str
    macs: int
    fan_in: int
    weights: int
    inputs: int
    outputs: int


class Piece(nn.Module):
    """A run of a model's nodes: the tensors at its beginning to the tensors at its end.

    Args:
        given, gives: their shapes, for one image; several are one tensor of `state_shape`.
        other_work: what runs besides convolutions and linear layers.
    """

    def __init__(
        self,
        graph: fx.GraphModule,
        *,
        given: Sequence[tuple[int, ...]],
        gives: Sequence[tuple[int, ...]],
        other_work: Sequence[OtherWork] = (),
    ) -> None:
        super().__init__()
        self.graph = graph
        self.given, self.gives = tuple(given), tuple(gives)
        self.other_work = tuple(other_work)

    def layers(self) -> dict[str, nn.Module]:
        """Its convolutions and linear layers by name, but none that is part of another module."""
        called = {str(node.target) for node in self.graph.graph.find_nodes(op="call_module")}
        modules = ((name, self.graph.get_submodule(name)) for name in sorted(called))
        return {name: module for name, module in modules if isinstance(module, LAYERS)}

    def forward(self, state: Tensor) -> Tensor:
        """(n, …) to (n, …)."""
        if len(self.given) == 1:
            results = self.graph(state)
        else:
            parts = torch.split(state.flatten(1), [prod(shape) for shape in self.given], dim=1)
            results = self.graph(
                # contiguous, as computed: strides decide the order of sums
                *(p.reshape(-1, *s).contiguous() for p, s in zip(parts, self.given, strict=True))
            )
        if len(self.gives) == 1:
            alone: Tensor = results[0]
            return alone
        flat = torch.cat([result.flatten(1) for result in results], dim=1)
        return flat.reshape(len(flat), *state_shape(self.gives))


def in_pieces(outline: Outline, at: Sequence[tuple[int, Sequence[tuple[int, ...]]]]) -> list[Piece]:
    """The model in pieces, one more than cuts; their layers are copies of the model's.

    Args:
        at: position of each cut, and the shapes of the tensors that are sent there.
    """
    starts = [-1, *(position for position, _ in at)]
    ends = [*starts[1:], len(outline.nodes) - 2]
    shapes = [(outline.shape,), *(shapes for _, shapes in at), ((outline.classes,),)]
    return [
        Piece(
            _graph(outline, start, end),
            given=shapes[i],
            gives=shapes[i + 1],
            other_work=tuple(_other_work(outline, start, end)),
        )
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def state_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of several tensors sent as one: rows of the longest length that divides all.

    >>> state_shape([(64, 56, 56)]), state_shape([(4, 6, 6), (8, 3, 3)])
    ((64, 56, 56), (3, 72))
    """
    if len(shapes) == 1:
        return shapes[0]
    common = gcd(*(prod(shape) for shape in shapes))
    rows = next(n for n in range(-(-common // MOST_COLUMNS), common + 1) if common % n == 0)
    return rows * sum(prod(shape) // common for shape in shapes), common // rows


def crossing(outline: Outline, position: int) -> list[fx.Node]:
    """The nodes up to `position` whose values are needed later and depend on the image.

    A later node that only asks for a size, device or kind of numbers needs no value.
    """
    after = {node for node in outline.nodes[position + 1 :] if not outline.seen[node].fixed}
    return [
        node
        for node in outline.nodes[: position + 1]
        if not outline.seen[node].fixed and any(user in after for user in node.users)
    ]


def _other_work(outline: Outline, start: int, end: int) -> Iterable[OtherWork]:
    for node in outline.nodes[start + 1 : end + 1]:
        seen = outline.seen[node]
        module = _module(outline, node)
        if not seen.macs or isinstance(module, LAYERS):
            continue
        weights = 0 if module is None else sum(one.numel() for one in module.parameters())
        yield OtherWork(
            name=str(node.target) if module is not None else node.name,
            kind=_kind(node, module),
            macs=seen.macs,
            fan_in=max(1, round(seen.macs / max(1, seen.outputs))),
            weights=weights,
            inputs=seen.inputs,
            outputs=seen.outputs,
        )


def _kind(node: fx.Node, module: nn.Module | None) -> str:
    name = type(module).__name__ if module is not None else str(node.target)
    if "ConvTranspose" in name or "conv_transpose" in name:
        return "transposed conv"
    attends = ("attention", "Attention", "Transformer")
    return "attention" if any(word in name for word in attends) else "matmul"


def _module(outline: Outline, node: fx.Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    called = node.op == "call_module"
    return outline.graph.get_submodule(str(node.target)) if called else None


def _graph(outline: Outline, start: int, end: int) -> fx.GraphModule:
    """The nodes after `start` up to `end` as a graph of the tensors sent in and out."""
    image = [node for node in outline.nodes if node.op == "placeholder"]
    copier = _Copier(outline, image if start < 0 else crossing(outline, start))
    for node in outline.nodes[start + 1 : end + 1]:
        if not outline.seen[node].fixed:
            copier.copied(node)
    last = end == len(outline.nodes) - 2
    gives = outline.nodes[-1].all_input_nodes if last else crossing(outline, end)
    copier.made.output(tuple(copier.copied(node) for node in gives))
    return _own_copy(fx.GraphModule(outline.graph, copier.made))


class _Copier:
    """Copies nodes into a new graph, and with them what they need.

    Args:
        given: the nodes whose values the graph is given, at least one.
    """

    def __init__(self, outline: Outline, given: Sequence[fx.Node]) -> None:
        self.made = fx.Graph()
        self._seen = outline.seen
        self._known: dict[fx.Node, Any] = {node: self.made.placeholder(node.name) for node in given}
        self._first = self._known[given[0]]

    def copied(self, node: fx.Node) -> Any:
        """The node's copy, made when first asked for."""
        if node not in self._known:
            self._known[node] = self._copy(node)
        return self._known[node]

    def _copy(self, node: fx.Node) -> Any:
        sizes = self._seen[node].sizes
        if sizes is not None:
            nested: Any = sizes if isinstance(sizes[0], tuple) else (sizes,)
            made = tuple(self._size(*one) for one in nested)
            return made if nested is sizes else made[0]
        if node.target is getattr and not self._seen[node.all_input_nodes[0]].fixed:
            # the device or kind of numbers, which all tensors share
            return self.made.call_function(getattr, (self._first, node.args[1]))
        return self.made.node_copy(node, self.copied)

    def _size(self, of_one: int, others: int) -> Any:
        """So many for each image, and others."""
        if not of_one:
            return others
        images = self.made.call_method("size", (self._first, 0))
        scaled = images if of_one == 1 else self.made.call_function(operator.mul, (images, of_one))
        return self.made.call_function(operator.add, (scaled, others)) if others else scaled


def _own_copy(graph: fx.GraphModule) -> fx.GraphModule:
    """A copy with its own layers, none of which changes its input in place."""
    graph = deepcopy(graph)
    for module in graph.modules():
        if getattr(module, "inplace", False):
            module.__dict__["inplace"] = False  # set past the checks of an unknown class
    return graph
