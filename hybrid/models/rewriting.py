"""Rewrite single operations of a traced graph: none writes into its input or needs a layout."""

import inspect
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

__all__ = [
    "is_bare_squeeze",
    "parts_first",
    "squeeze_axes",
    "without_views",
    "without_writes",
]

_ATEN = torch.ops.aten
_SAME_OBJECT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_OPERATORS = {
    getattr(operator, f"i{name}"): getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")
}


def without_writes(graph: fx.GraphModule) -> None:
    """Replace operations in place by the others; later readers of the input get the result."""
    nodes = list(graph.graph.nodes)
    order = {node: position for position, node in enumerate(nodes)}
    for node in nodes:
        if not node.args or not isinstance(node.args[0], fx.Node) or not _writes(graph, node):
            continue
        for same in _same_object(graph, node.args[0]):
            later = [user for user in same.users if order[user] > order[node]]
            for user in later:
                user.replace_input_with(same, node)
        _write_elsewhere(node)


def _writes(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node changes its first argument and gives it back."""
    if node.op == "call_module":
        return bool(getattr(graph.get_submodule(str(node.target)), "inplace", False))
    if node.op == "call_method":
        return _other_name(str(node.target)) is not None
    if node.op != "call_function":
        return False
    return node.target in _OPERATORS or _other(node.target) is not None or _asks_inplace(node)


def _write_elsewhere(node: fx.Node) -> None:
    """Let a node that writes into its input give a new tensor; modules are changed in copies."""
    if node.op == "call_method":
        node.target = str(_other_name(str(node.target)))
    elif node.op == "call_function" and node.target in _OPERATORS:
        node.target = _OPERATORS[node.target]
    elif node.op == "call_function" and (other := _other(node.target)) is not None:
        node.target = other
    elif node.op == "call_function":
        bound = _bound(node)
        assert bound is not None  # _asks_inplace read it
        bound.arguments["inplace"] = False
        node.args, node.kwargs = bound.args, bound.kwargs


def _other_name(method: str) -> str | None:
    """The method of a tensor that does the same and writes elsewhere.

    >>> _other_name("relu_"), _other_name("relu"), _other_name("__add__")
    ('relu', None, None)
    """
    plain = method[:-1]
    known = method.endswith("_") and not method.endswith("__") and hasattr(Tensor, plain)
    return plain if known else None


def _other(function: Any) -> Any:
    """The function that does the same as one whose name ends in `_`, and writes elsewhere."""
    if isinstance(function, type(_ATEN.relu.default)):
        _, written, overload = str(function).split(".")  # aten.relu_.default
        family = getattr(_ATEN, written[:-1], None) if written.endswith("_") else None
        return getattr(family, overload, None)
    name = _other_name(getattr(function, "__name__", ""))
    return None if name is None else getattr(functional, name, getattr(torch, name, None))


def _asks_inplace(node: fx.Node) -> bool:
    bound = _bound(node)
    return bound is not None and bool(bound.arguments.get("inplace", False))


def _bound(node: fx.Node) -> inspect.BoundArguments | None:
    """The arguments of a call by name; None if Python does not know its signature."""
    assert callable(node.target)
    try:
        return inspect.signature(node.target).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):
        return None


def _same_object(graph: fx.GraphModule, node: fx.Node) -> Iterable[fx.Node]:
    """A node, and those before it whose very tensor it hands on."""
    yield node
    while node.op == "call_module" and isinstance(node.args[0], fx.Node):
        module = graph.get_submodule(str(node.target))
        if not isinstance(module, _SAME_OBJECT):
            return
        node = node.args[0]
        yield node


def without_views(graph: fx.GraphModule) -> None:
    """Let every `view` be a `reshape`: a view asks for a memory layout that images may not have."""
    for node in graph.graph.nodes:
        if node.op == "call_method" and node.target == "view":
            if not any(isinstance(given, torch.dtype) for given in node.args):
                node.target = "reshape"
        elif node.op == "call_function" and node.target is _ATEN.view.default:
            node.target = _ATEN.reshape.default


def parts_first(graph: fx.GraphModule) -> None:
    """Take a module's output apart right after it, as if inside; only tensors can be sent."""
    for node in list(graph.graph.nodes):
        parts = [user for user in node.users if user.target is operator.getitem]
        if node.op == "call_module" and len(parts) == len(node.users):
            for part in parts:
                node.append(part)
                part.meta = dict(node.meta)


def is_bare_squeeze(node: fx.Node) -> bool:
    """Whether a node removes every axis of length 1, of a single image the first one too."""
    if len(node.args) + len(node.kwargs) != 1 or not node.all_input_nodes:
        return False
    named = node.op == "call_method" and node.target == "squeeze"
    return named or node.target in (torch.squeeze, _ATEN.squeeze.default)


def squeeze_axes(node: fx.Node, shape: Sequence[int]) -> None:
    """Let a squeeze remove the axes that it removes of several images.

    Args:
        shape: of its input, for several images.
    """
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1)
    if node.target is _ATEN.squeeze.default:
        node.target = _ATEN.squeeze.dims
    node.args, node.kwargs = (node.all_input_nodes[0], axes), {}
