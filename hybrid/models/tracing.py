"""Trace a model to a graph in canonical form and measure every node.

    model = load_model("torchvision.models:resnet18", classes=10)
    outline = trace(model, shape=(3, 224, 224), reference="torchvision.models:resnet18")

Convolutions and linear layers are modules in the graph, and every node knows the module that
called it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import ModelError
from hybrid.models.canonical import LAYERS, canonical, owners_of
from hybrid.models.following import followed
from hybrid.models.user_models import (
    answer_of,
    chosen,
    leaves,
    shape_in_words,
    users_code,
)

__all__ = ["LAYERS", "NodeOutput", "Outline", "trace"]

SAMPLES = 2  # in the measured batch: 1 would hide a first axis that is not the batch


@dataclass(frozen=True, kw_only=True)
class NodeOutput:
    """A node's output for one sample.

    Args:
        shape: without the batch axis; None if it is not a float tensor with the batch first.
        what: in words, for when `shape` is None.
        macs: multiply-accumulates.
        inputs, outputs: numbers that a node with multiply-accumulates reads and gives.
        fixed: it does not depend on the image but at most on the number of images, so either side
            of a cut can compute it.
        sizes: of an int or a tuple of ints, each as (a, b) for a · images + b; else None.
    """

    shape: tuple[int, ...] | None
    what: str
    macs: int
    inputs: int
    outputs: int
    fixed: bool
    sizes: tuple[int, int] | tuple[tuple[int, int], ...] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A model as a graph in the order in which it runs, each node measured for one sample.

    Args:
        nodes: the graph's, from the image to the logits.
        owners: for each node, the modules that were being called, outermost first.
        shape: of the image, (channels, height, width).
        classes: logits per image.
        by: "torch.fx" or "torch.export".
    """

    reference: str
    graph: fx.GraphModule
    nodes: tuple[fx.Node, ...]
    owners: tuple[tuple[str, ...], ...]
    seen: dict[fx.Node, NodeOutput]
    shape: tuple[int, ...]
    classes: int
    by: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(seen.macs for seen in self.seen.values())


def trace(
    model: nn.Module, *, shape: tuple[int, int, int], reference: str, output: str = ""
) -> Outline:
    """The model as a measured graph.

    Args:
        shape: of an image, (channels, height, width).
        reference: the model's name in errors.
        output: name of the logits in a dict, or their number in a tuple; by default the first
            tensor.

    Raises:
        ModelError: a forward that raises, takes more than an image, does not return (n, classes),
            that neither torch.fx nor torch.export can follow, or that answers differently there.
    """
    model.eval()
    images = torch.zeros((SAMPLES, *shape))
    with users_code(f"{reference} on images of {shape_in_words(shape)}"), torch.no_grad():
        returned = model(images)
    answer = answer_of(returned, output, reference=reference)
    if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != SAMPLES:
        raise ModelError(
            f"{reference} returns {_what(answer)} for {SAMPLES} images; it must return one tensor "
            "of shape (images, classes), or name it with --output."
        )

    def finish(followed_graph: fx.GraphModule) -> fx.GraphModule:
        with users_code(reference):
            _keep_only(followed_graph, chosen(returned, output))
            made = canonical(followed_graph, images)
        _check_same(model, made, images, output, reference)
        return made

    graph, by = followed(model, images, finish, reference=reference)
    nodes = tuple(graph.graph.nodes)
    return Outline(
        reference=reference,
        graph=graph,
        nodes=nodes,
        owners=tuple(owners_of(node) for node in nodes),
        seen=_measured(graph, images, reference),
        shape=shape,
        classes=answer.shape[1],
        by=by,
    )


def _keep_only(graph: fx.GraphModule, number: int) -> None:
    """Let a graph give one of its outputs alone."""
    for node in graph.graph.find_nodes(op="output"):
        node.args = (leaves(node.args[0])[number],)


@torch.no_grad()
def _check_same(
    model: nn.Module, graph: fx.GraphModule, images: Tensor, output: str, reference: str
) -> None:
    """Refuse a model whose graph answers differently, or that draws its answers at random."""
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    with users_code(reference):
        theirs = answer_of(model(noise), output, reference=reference)
        ours = graph(noise)
    if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
        raise ModelError(f"{reference} returns {_what(ours)} once it is traced.")
    if theirs.isfinite().all() and not torch.allclose(theirs, ours, rtol=1e-3, atol=1e-4):
        raise ModelError(
            f"{reference} answers differently once it is traced, by up to "
            f"{float((theirs - ours).abs().max()):.3g}: it draws numbers at random, keeps state "
            "outside its weights, or changes a tensor in place that it reads again; write "
            "x = x + y instead of x += y and inplace=False there."
        )


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _measured(graph: fx.GraphModule, images: Tensor, reference: str) -> dict[fx.Node, NodeOutput]:
    """Each node's output for one sample, from runs with two numbers of samples."""
    meter, more = _Meter(graph), _Meter(graph)
    with users_code(reference), torch.no_grad(), _counted_attention():
        meter.run(images)
        more.run(torch.cat([images, images[:1]]))
    return _Reading(meter, more).nodes


@contextmanager
def _counted_attention() -> Iterator[None]:
    """Let attention run as products of matrices, which the counter knows; not as one kernel."""
    before = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Meter(fx.Interpreter):
    """Runs a graph node by node and records shapes, numbers and multiply-accumulates."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=True)
        self.shapes: dict[fx.Node, tuple[int, ...] | None] = {}
        self.numbers: dict[fx.Node, Any] = {}
        self.what: dict[fx.Node, str] = {}
        self.work: dict[fx.Node, tuple[int, int, int]] = {}  # macs, numbers read and given

    def run_node(self, n: fx.Node) -> Any:
        counter = FlopCounterMode(display=False)
        given = [one for one in map(self.env.get, n.all_input_nodes) if isinstance(one, Tensor)]
        inputs = sum(one.numel() for one in given)  # before they are freed
        with counter:
            value = super().run_node(n)
        macs = counter.get_total_flops() // 2
        outputs = sum(one.numel() for one in leaves(value) if isinstance(one, Tensor))
        self.work[n] = (macs, inputs, outputs) if macs else (0, 0, 0)
        self.what[n] = _what(value)
        floats = isinstance(value, Tensor) and value.is_floating_point()
        self.shapes[n] = tuple(value.shape) if floats else None
        if not isinstance(value, Tensor):
            self.numbers[n] = value
        return value


class _Reading:
    """What two runs, of two and three samples, tell about each node."""

    def __init__(self, two: _Meter, three: _Meter) -> None:
        self.nodes: dict[fx.Node, NodeOutput] = {}
        for node, what in two.what.items():
            sizes = _sizes(two.numbers.get(node), three.numbers.get(node))
            macs, inputs, outputs = map(_of_one, two.work[node], three.work[node])
            self.nodes[node] = NodeOutput(
                shape=_sample_shape(two.shapes[node], three.shapes[node]),
                what=what,
                macs=macs,
                inputs=inputs,
                outputs=outputs,
                fixed=sizes is not None or _is_shared(two.numbers.get(node)) or self._fixed(node),
                sizes=sizes,
            )

    def _fixed(self, node: fx.Node) -> bool:
        if node.op in ("placeholder", "output"):
            return False
        return all(self.nodes[given].fixed for given in node.all_input_nodes)


def _is_shared(value: Any) -> bool:
    """Whether it is the device or kind of numbers that all tensors of a network share."""
    return isinstance(value, torch.device) or value is torch.float32


def _of_one(two: int, three: int) -> int:
    """For one image, from the counts for two and three; part of it may be the same for any number.

    >>> _of_one(20, 30), _of_one(20, 20)
    (10, 20)
    """
    return SAMPLES * two - (SAMPLES - 1) * three


def _sample_shape(
    two: tuple[int, ...] | None, three: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The shape of one sample, if the first axis is the batch and no other changes with it."""
    if not two or not three or len(two) < 2 or two[1:] != three[1:]:
        return None
    return two[1:] if (two[0], three[0]) == (SAMPLES, SAMPLES + 1) else None


def _sizes(two: Any, three: Any) -> Any:
    """An int, or a tuple of ints, at any number of images; None if it is something else."""
    if isinstance(two, int) and not isinstance(two, bool):
        return three - two, two - SAMPLES * (three - two)
    if not isinstance(two, tuple) or not two:
        return None
    each = tuple(_sizes(one, other) for one, other in zip(two, three, strict=True))
    whole = all(isinstance(one, tuple) and isinstance(one[0], int) for one in each)
    return each if whole else None
