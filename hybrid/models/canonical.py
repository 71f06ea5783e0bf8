"""Rewrite a traced graph into one form, whatever style the model was written in.

Afterwards every 2-d convolution and linear layer is a plain module that holds the weights it
really uses: those of functional calls, of subclasses and of weights that are computed (weight
norm, spectral norm, parametrizations, pruning). Nothing changes its input in place, `view` is
`reshape`, so that images in any memory layout can be fed, and `squeeze` names its axes, so that a
single image keeps its own.
"""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from hybrid.models.rewriting import (
    is_bare_squeeze,
    parts_first,
    squeeze_axes,
    without_views,
    without_writes,
)

__all__ = ["LAYERS", "base_of", "canonical", "is_plain", "owners_of"]

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_LINEAR = ("input", "weight", "bias")
_NORM = ("input", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps")
_ATEN = torch.ops.aten
_FUNCTIONS: Mapping[Any, tuple[str, ...]] = {
    functional.conv2d: _CONV,
    functional.linear: _LINEAR,
    _ATEN.conv2d.default: _CONV,
    _ATEN.conv2d.padding: _CONV,
    _ATEN.linear.default: _LINEAR,
    _ATEN.batch_norm.default: _NORM,
}


def canonical(graph: fx.GraphModule, images: Tensor) -> fx.GraphModule:
    """The graph in the form described above; the modules it shares with the model are unchanged.

    Args:
        images: what the model is measured with, (n, channels, height, width).
    """
    without_writes(graph)
    without_views(graph)
    parts_first(graph)
    layers = _Layers(graph)
    with torch.no_grad():
        layers.run(images)
    targets = _replaced(graph, layers.found)
    made = fx.GraphModule(targets, graph.graph)
    made.recompile()
    return made


def is_plain(module: nn.Module) -> bool:
    """Whether a layer computes what its class in torch does, with parameters of its own."""
    hooks = [vars(module)[name] for name in ("_forward_pre_hooks", "_forward_hooks")]
    own = dict(module.named_parameters(recurse=False))
    return base_of(module) is not None and "weight" in own and not any(hooks)


def owners_of(node: fx.Node) -> tuple[str, ...]:
    """Names of the modules that were being called, outermost first; a second call has `@1`."""
    names = []
    for key, (name, _) in (node.meta.get("nn_module_stack") or {}).items():
        # fx has the call's number in the key, torch.export in the name
        number = key.rpartition("@")[2] if "@" in key and "@" not in name else ""
        names.append(f"{name}@{number}" if number else name)
    return tuple(name for name in names if name)


def base_of(module: nn.Module) -> type[nn.Module] | None:
    """The layer of torch whose `forward` a module has; None if it has another."""
    for base in (*LAYERS, *_TRANSPOSED):
        if isinstance(module, base) and type(module).forward is base.forward:
            return base
    return None


class _Layers(fx.Interpreter):
    """Runs a graph and makes the plain layer of every node that needs one."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.found: dict[fx.Node, nn.Module] = {}
        self._fixed: set[fx.Node] = set()
        self._plain: dict[nn.Module, nn.Module] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        inputs = n.all_input_nodes
        if is_bare_squeeze(n):
            squeeze_axes(n, self.env[inputs[0]].shape)
        if n.op not in ("placeholder", "output") and self._fixed.issuperset(inputs):
            self._fixed.add(n)
        elif n.op == "call_module":
            self._take_module(n)
        elif n.op == "call_function" and n.target in _FUNCTIONS:
            self._take_function(n)
        return value

    def _take_module(self, node: fx.Node) -> None:
        module = self.fetch_attr(str(node.target))
        if not isinstance(module, (*LAYERS, *_TRANSPOSED)) or base_of(module) is None:
            return
        if module not in self._plain:
            plain = is_plain(module) and (not isinstance(module, nn.Conv2d) or _pads_evenly(module))
            self._plain[module] = module if plain else _copied(module)
        if self._plain[module] is not module:
            self.found[node] = self._plain[module]

    def _take_function(self, node: fx.Node) -> None:
        names = _FUNCTIONS[node.target]
        nodes = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
        others = [one for key, one in nodes.items() if key != "input" and isinstance(one, fx.Node)]
        if not isinstance(nodes.get("input"), fx.Node) or not self._fixed.issuperset(others):
            return
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        make = {_CONV: _conv, _LINEAR: _linear, _NORM: _norm}[names]
        if (made := make(given)) is not None:
            self.found[node] = made.eval()


def _copied(module: nn.Module) -> nn.Module:
    """A layer of torch's class with the weights that a module uses at present, without hooks."""
    base = base_of(module)
    assert base is not None
    made = base.__new__(base)
    nn.Module.__init__(made)
    for key, value in vars(module).items():
        if key not in vars(made) and key not in ("weight", "bias"):
            made.__dict__[key] = value
    _hold(made, weight=module.weight, bias=module.bias)
    return made.train(module.training)


def _hold(layer: nn.Module, **tensors: Any) -> None:
    for name, value in tensors.items():
        kept = None if value is None else nn.Parameter(value.detach().clone())
        layer.register_parameter(name, kept)


def _conv(given: Mapping[str, Any]) -> nn.Module | None:
    weight, groups = given["weight"], given.get("groups", 1)
    padding = given.get("padding", 0)
    with torch.device("meta"):
        made = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            tuple(weight.shape[2:]),
            stride=_pair(given.get("stride", 1)),
            padding=padding if isinstance(padding, str) else _pair(padding),
            dilation=_pair(given.get("dilation", 1)),
            groups=groups,
        )
    _hold(made, weight=weight, bias=given.get("bias"))
    return made if given["input"].ndim == 4 else None


def _linear(given: Mapping[str, Any]) -> nn.Module:
    weight = given["weight"]
    with torch.device("meta"):
        made = nn.Linear(weight.shape[1], weight.shape[0])
    _hold(made, weight=weight, bias=given.get("bias"))
    return made


def _norm(given: Mapping[str, Any]) -> nn.Module | None:
    statistics = [given.get(name) for name in _NORM[1:5]]
    if given["input"].ndim != 4 or given["training"] or any(one is None for one in statistics):
        return None
    made = nn.BatchNorm2d(len(given["weight"]), eps=given["eps"], momentum=given["momentum"])
    made.load_state_dict(
        {name: given[name] for name in _NORM[1:5]}, strict=False
    )  # its count of batches is not used
    return made


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, *rest = value  # torch takes one number in a list for both
    return first, rest[0] if rest else first


def _pads_evenly(conv: nn.Conv2d) -> bool:
    """Whether it pads with as many zeros on either side, which a quantizer can include."""
    before, after = _pads(conv)[0::2], _pads(conv)[1::2]
    return conv.padding_mode == "zeros" and before == after


def _pads(conv: nn.Conv2d) -> list[int]:
    """Left, right, top, bottom."""
    return list(vars(conv)["_reversed_padding_repeated_twice"])


def _replaced(graph: fx.GraphModule, found: Mapping[fx.Node, nn.Module]) -> dict[str, Any]:
    """Let the graph call the layers found; what it refers to, by name."""
    targets: dict[str, Any] = {}
    unnamed: dict[fx.Node, tuple[str, object]] = {}  # of functional calls: place, arguments
    layers: dict[fx.Node, nn.Module] = {}
    for node, layer in found.items():
        call = _call(graph, node, layer)
        layers[call] = layer
        if node.op != "call_module":
            unnamed[call] = _place(node), (node.target, *node.args[1:], *node.kwargs.items())
        graph.graph.erase_node(node)
    _drop_unused(graph)
    for node in graph.graph.nodes:
        if node.op in ("call_module", "get_attr") and node not in unnamed:
            name = str(node.target)
            targets[name] = layers.get(node) or operator.attrgetter(name)(graph)
    given: dict[str, object] = {}
    for node, (place, arguments) in unnamed.items():
        node.target = _free_name(node, place, targets, given, arguments)
        given[node.target] = arguments
    return targets | {str(node.target): layers[node] for node in unnamed}


def _call(graph: fx.GraphModule, node: fx.Node, layer: nn.Module) -> fx.Node:
    """Call a layer in the place of a node, after padding that it cannot do itself."""
    given = node.args[0] if node.args else node.kwargs["input"]
    with graph.graph.inserting_before(node):
        if isinstance(layer, nn.Conv2d) and not _pads_evenly(layer):
            mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
            given = graph.graph.call_function(functional.pad, (given, _pads(layer), mode))
            given.meta = dict(node.meta)
            layer.__dict__.update(_UNPADDED)
        name = str(node.target) if node.op == "call_module" else node.name
        call = graph.graph.create_node("call_module", name, (given,), {})
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)
    return call


_UNPADDED = {
    "padding": (0, 0),
    "padding_mode": "zeros",
    "_reversed_padding_repeated_twice": [0, 0, 0, 0],
}


def _drop_unused(graph: fx.GraphModule) -> None:
    """Remove weights, and what was computed from them, that nothing reads any more."""
    fixed: set[fx.Node] = set()
    for node in graph.graph.nodes:
        if node.op not in ("placeholder", "output") and fixed.issuperset(node.all_input_nodes):
            fixed.add(node)
    for node in reversed(list(graph.graph.nodes)):
        if node in fixed and not node.users and node.op != "call_module":
            graph.graph.erase_node(node)


def _place(node: fx.Node) -> str:
    """Where the weights of a functional call are, or the module that makes it."""
    weight = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
    if isinstance(weight, fx.Node) and weight.op == "get_attr":
        place, _, leaf = str(weight.target).rpartition(".")
        if place and leaf == "weight":
            return place
    owners = owners_of(node)
    return owners[-1].partition("@")[0] if owners else ""


def _free_name(
    node: fx.Node, place: str, kept: Iterable[str], given: Mapping[str, object], arguments: object
) -> str:
    """A name at a place, if nothing else is there, or in it.

    Args:
        kept: names of everything else that the graph refers to.
        given: names of the layers of functional calls, with the arguments of each; another call
            with the same arguments is the same layer.
    """
    name, number = place or node.name, 0
    while given.get(name, arguments) != arguments or any(_clash(name, one) for one in kept):
        number += 1
        name = f"{place}.{node.name}_{number}".removeprefix(".")
    return name


def _clash(one: str, other: str) -> bool:
    """Whether a layer cannot be at one name if something is at the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
