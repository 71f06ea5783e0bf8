"""Trace a model to a graph and measure every node.

    model = load_model("torchvision.models:resnet18", classes=10)
    outline = trace(model, shape=(3, 224, 224), reference="torchvision.models:resnet18")

torch.fx traces the model. If fx cannot follow it (because of a branch on a shape, for example),
torch.export is tried. Either way, convolutions and linear layers are modules in the graph, and
every node knows the module that called it.
"""

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import ModelError
from hybrid.models.user_models import ANYTHING, in_words, shape_in_words, users_code

__all__ = ["LAYERS", "NodeOutput", "Outline", "trace"]

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_WHOLE = (*LAYERS, nn.BatchNorm2d)  # not traced into, subclasses included
SAMPLES = 2  # in the measured batch: 1 would hide a first axis that is not the batch


@dataclass(frozen=True, kw_only=True)
class NodeOutput:
    """A node's output for one sample.

    Args:
        shape: without the batch axis; None if it is not a float tensor with the batch first.
        what: in words, for when `shape` is None.
        macs: multiply-accumulates.
        held: numbers that a layer holds, inputs and outputs; 0 for other nodes.
        fixed: it does not depend on the image, so either side of a cut can compute it.
    """

    shape: tuple[int, ...] | None
    what: str
    macs: int
    held: int
    fixed: bool


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


def trace(model: nn.Module, *, shape: tuple[int, int, int], reference: str) -> Outline:
    """The model as a measured graph.

    Args:
        shape: of an image, (channels, height, width).
        reference: the model's name in errors.

    Raises:
        ModelError: a forward that raises, takes more than an image, returns anything but
            (n, classes), or that neither torch.fx nor torch.export can follow.
    """
    model.eval()
    images = torch.zeros((SAMPLES, *shape))
    with users_code(f"{reference} on images of {shape_in_words(shape)}"), torch.no_grad():
        answer = model(images)
    if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != SAMPLES:
        raise ModelError(
            f"{reference} returns {_what(answer)} for {SAMPLES} images; it must return one tensor "
            "of shape (images, classes)."
        )
    try:
        graph, by = _by_fx(model), "torch.fx"
    except ANYTHING as error:
        graph, by = _by_export(model, images, reference, error), "torch.export"
    nodes = tuple(graph.graph.nodes)
    return Outline(
        reference=reference,
        graph=graph,
        nodes=nodes,
        owners=tuple(_owners(node) for node in nodes),
        seen=_measured(graph, images, reference),
        shape=shape,
        classes=answer.shape[1],
        by=by,
    )


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _by_fx(model: nn.Module) -> fx.GraphModule:
    """Trace the model by torch.fx, with every argument except the image at its default."""
    parameters = list(inspect.signature(model.forward).parameters.values())[1:]
    fixed = {
        p.name: p.default
        for p in parameters
        if p.default is not p.empty and p.kind is not p.VAR_KEYWORD
    }
    with _TRACING:
        traced = _Tracer().trace(model, concrete_args=fixed or None)
    if fixed:
        _drop_arguments(traced)
    plain = fx.Graph()
    plain.output(plain.graph_copy(traced, {}))
    return fx.GraphModule(model, plain)


_TRACING = threading.Lock()


class _Tracer(fx.Tracer):
    """Traces one thread only: fx replaces every module's call, so two traces take turns.

    Calls in other threads, such as a page's network, run as usual.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep layers and norms of a library's or user's class as modules, like torch's own."""
        return isinstance(m, _WHOLE) or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _drop_arguments(graph: fx.Graph) -> None:
    """Remove the arguments that stay at their default, and the checks for that."""
    for placeholder in list(graph.find_nodes(op="placeholder"))[1:]:
        doomed = [placeholder]
        for node in doomed:
            doomed += [user for user in node.users if user not in doomed]
        for node in sorted(doomed, reverse=True):
            graph.erase_node(node)


def _by_export(
    model: nn.Module, images: Tensor, reference: str, why: BaseException
) -> fx.GraphModule:
    """Trace the model by torch.export for any batch; convolutions and linear layers are modules."""
    batch = torch.export.Dim("batch", min=1)
    try:
        exported = torch.export.export(model, (images,), dynamic_shapes=({0: batch},))
        graph: Any = exported.module(check_guards=False)
    except ANYTHING as error:
        raise ModelError(
            f"{reference} cannot be followed by torch.fx ({in_words(why)}) nor by torch.export "
            f"({in_words(error)}); write its forward without branches on the data."
        ) from error
    for node in list(graph.graph.nodes):
        if node.target in _LIFTED and node.args[1].op == "get_attr":
            _lift(graph, node)
    graph.graph.eliminate_dead_code()
    for node in graph.graph.find_nodes(op="get_attr"):
        min(node.users).prepend(node)  # next to its first user, so that a cut keeps them together
    plain = fx.Graph()
    plain.output(plain.graph_copy(graph.graph, {}))
    result = fx.GraphModule(graph, plain)
    for node in result.graph.find_nodes(op="output"):
        if isinstance(node.args[0], list | tuple) and len(node.args[0]) == 1:
            node.args = (node.args[0][0],)
    result.recompile()
    return result


def _lift(graph: fx.GraphModule, node: fx.Node) -> None:
    """Replace a function that is given a convolution's weights by a module."""
    weight_name = str(node.args[1].target)  # type: ignore[union-attr]
    place = weight_name.rpartition(".")[0]
    if not place or not weight_name.endswith(".weight"):
        return
    holder = graph.get_submodule(place)
    module = _LIFTED[node.target](node, holder)
    parent, _, name = place.rpartition(".")
    if not isinstance(holder, LAYERS):
        setattr(graph.get_submodule(parent), name, module)
    with graph.graph.inserting_before(node):
        call = graph.graph.call_module(place, (node.args[0],))
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)
    graph.graph.erase_node(node)


def _conv(node: fx.Node, holder: nn.Module) -> nn.Module:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given: dict[str, Any] = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    weight: Any = holder.weight
    groups = given.get("groups", 1)
    conv = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=tuple(given.get("stride", (1, 1))),
        padding=tuple(given.get("padding", (0, 0))),
        dilation=tuple(given.get("dilation", (1, 1))),
        groups=groups,
        bias=given.get("bias") is not None,
    )
    return _with_weights(conv, holder)


def _linear(node: fx.Node, holder: nn.Module) -> nn.Module:
    weight: Any = holder.weight
    bias = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    return _with_weights(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), holder)


def _with_weights(layer: nn.Module, holder: nn.Module) -> nn.Module:
    layer.weight = holder.weight
    if layer.bias is not None:
        layer.bias = holder.bias
    return layer.eval()


_LIFTED: dict[Any, Callable[[fx.Node, nn.Module], nn.Module]] = {
    torch.ops.aten.conv2d.default: _conv,
    torch.ops.aten.linear.default: _linear,
}


def _owners(node: fx.Node) -> tuple[str, ...]:
    """Names of the modules that were being called; a second call of one has `@1`."""
    stack = node.meta.get("nn_module_stack") or {}
    names = []
    for key, (name, _) in stack.items():
        # fx has the call's number in the key, torch.export in the name
        number = key.rpartition("@")[2] if "@" in key and "@" not in name else ""
        names.append(f"{name}@{number}" if number else name)
    return tuple(name for name in names if name)


def _measured(graph: fx.GraphModule, images: Tensor, reference: str) -> dict[fx.Node, NodeOutput]:
    meter = _Meter(graph)
    with users_code(reference), torch.no_grad():
        meter.run(images)
    return meter.seen


class _Meter(fx.Interpreter):
    """Runs a graph node by node and records the outputs."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=True)
        self.seen: dict[fx.Node, NodeOutput] = {}

    def run_node(self, n: fx.Node) -> Any:
        counter = FlopCounterMode(display=False)
        with counter:
            value = super().run_node(n)
        self.seen[n] = NodeOutput(
            shape=_sample_shape(value),
            what=_what(value),
            macs=counter.get_total_flops() // 2 // SAMPLES,
            held=self._held(n, value),
            fixed=n.op == "get_attr"
            or (n.op != "placeholder" and all(self.seen[i].fixed for i in n.all_input_nodes)),
        )
        return value

    def _held(self, node: fx.Node, value: Any) -> int:
        if node.op != "call_module" or not isinstance(value, Tensor):
            return 0
        if not isinstance(self.fetch_attr(str(node.target)), LAYERS):
            return 0
        inputs = sum(self.env[given].numel() for given in node.all_input_nodes)
        return int(inputs + value.numel()) // SAMPLES


def _sample_shape(value: Any) -> tuple[int, ...] | None:
    batched = isinstance(value, Tensor) and value.ndim > 1 and len(value) == SAMPLES
    return tuple(value.shape[1:]) if batched and value.is_floating_point() else None
