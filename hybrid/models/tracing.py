"""A model named by reference to a graph that was measured; the user's code runs here and only here.

    model = load_model("torchvision.models:resnet18", classes=10)
    outline = trace(model, shape=(3, 224, 224), reference="torchvision.models:resnet18")

torch.fx traces it; what fx cannot follow (a branch on a shape, say) torch.export may. Either way
convolutions and linear layers stand in the graph as modules, and every node knows the module that
called it.
"""

import difflib
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import ModelError, WeightsError
from hybrid.torchvision_fix import declare_operators

__all__ = ["LAYERS", "NodeOutput", "Outline", "fit_weights", "is_reference", "load_model", "trace"]

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_WHOLE = (*LAYERS, nn.BatchNorm2d)  # what is not traced into, subclasses included
SAMPLES = 2  # run to measure: one would hide a tensor whose first axis is not the batch
_SHOWN_KEYS = 5

# What a stranger's code may raise is anything, an exit of the program included.
_ANYTHING = (Exception, SystemExit)


@dataclass(frozen=True, kw_only=True)
class NodeOutput:
    """What a node gave for one sample.

    Args:
        shape: without the batch axis; None where it is no float tensor with the batch first.
        what: in words, where `shape` is None.
        macs: multiply-accumulates.
        held: numbers that a layer holds, its inputs and its outputs; 0 for all that is no layer.
        fixed: it does not depend on the image, so either side of a cut can make it.
    """

    shape: tuple[int, ...] | None
    what: str
    macs: int
    held: int
    fixed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """A model as a graph in the order in which it runs, each node measured on one sample.

    Args:
        nodes: the graph's, from the image to the answer.
        owners: of each node, the modules that were being called, outermost first.
        shape: of the image, (channels, height, width).
        classes: numbers that the model answers with.
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


def is_reference(architecture: str) -> bool:
    """Whether an architecture's name is one of a user's own, "package.module:function"."""
    return ":" in architecture


def load_model(reference: str, *, classes: int | None = None) -> nn.Module:
    """Call "package.module:function" for a model, in evaluation mode.

    Modules of the working directory are found too. Where the function takes `num_classes`, it is
    given `classes`.

    Raises:
        ModelError: no such module or function, code that raises, or no torch.nn.Module.
    """
    function = _function(reference)
    wanted = {} if classes is None or not _takes_classes(function) else {"num_classes": classes}
    with _users_code(f"{reference}()"), torch.device("cpu"):
        model = function(**wanted)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{reference} gives a {type(model).__name__}, no torch.nn.Module; name a function that "
            "returns the model."
        )
    return model.eval()


@torch.no_grad()
def fit_weights(model: nn.Module, path: Path) -> None:
    """Give a model the weights of a safetensors file; no other format is read.

    Raises:
        WeightsError: no such file, no safetensors, or keys that do not fit; it names them.
    """
    try:
        theirs = load_tensors(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"There are no weights at {path}; name a safetensors file.") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file; other formats are not read, so convert it with "
            "safetensors.torch.save_file(model.state_dict(), path)."
        ) from error
    ours = model.state_dict()
    # a count of training steps, which older files do not have and inference does not read
    missing = [k for k in ours if k not in theirs and not k.endswith("num_batches_tracked")]
    unknown = [k for k in theirs if k not in ours]
    other = [
        f"{k} is {_shape(theirs[k].shape)} there and {_shape(v.shape)} here"
        for k, v in ours.items()
        if k in theirs and theirs[k].shape != v.shape
    ]
    problems = [
        f"{what}: {_some(keys)}"
        for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", other))
        if keys
    ]
    if problems:
        raise WeightsError(
            f"The weights in {path} do not fit the model; {'; '.join(problems)}. Give the file "
            "that was saved from this very model."
        )
    model.load_state_dict(theirs, strict=False)


def trace(model: nn.Module, *, shape: tuple[int, int, int], reference: str) -> Outline:
    """The model as a measured graph.

    Args:
        shape: of an image, (channels, height, width).
        reference: what the model is called in errors.

    Raises:
        ModelError: a forward that raises, takes more than an image, answers with anything but
            (n, classes), or that neither torch.fx nor torch.export can follow.
    """
    model.eval()
    images = torch.zeros((SAMPLES, *shape))
    with _users_code(f"{reference} on images of {_shape(shape)}"), torch.no_grad():
        answer = model(images)
    if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != SAMPLES:
        raise ModelError(
            f"{reference} answers with {_what(answer)} for {SAMPLES} images; it must be one tensor "
            "of shape (images, classes)."
        )
    try:
        graph, by = _by_fx(model), "torch.fx"
    except _ANYTHING as error:
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


def _function(reference: str) -> Callable[..., Any]:
    module_name, _, name = reference.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise ModelError(
            f"{reference!r} names no model; write package.module:function, such as "
            "torchvision.models:resnet18."
        )
    declare_operators()
    with _working_directory_importable():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise ModelError(
                    f"Importing {module_name} needs {error.name}, which is not installed; "
                    "install it."
                ) from error
            raise ModelError(
                f"There is no module {error.name}; install it, or run this in the folder it lies "
                "in."
            ) from error
        except _ANYTHING as error:
            raise ModelError(
                f"Importing {module_name} fails with {_in_words(error)}; mend it."
            ) from error
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "name one that returns the model."
        raise ModelError(f"{module_name} has no function {name}; {hint}")
    return function


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        yield
    finally:
        if added and here in sys.path:
            sys.path.remove(here)


def _takes_classes(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    if "num_classes" in parameters:
        return True
    # torchvision's builders hand their keywords on to the class, which knows num_classes
    hands_on = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return hands_on and getattr(function, "__module__", "").startswith(("torchvision.", "timm."))


@contextmanager
def _users_code(doing: str) -> Iterator[None]:
    """Whatever is raised within becomes one sentence."""
    try:
        yield
    except _ANYTHING as error:
        raise ModelError(f"{doing} raises {_in_words(error)}; mend it.") from error


def _in_words(error: BaseException) -> str:
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in shape) or "a number"


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return ", ".join(keys[:_SHOWN_KEYS]) + more


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _by_fx(model: nn.Module) -> fx.GraphModule:
    """The model traced with every argument but the image at its default."""
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
    """fx replaces the call of every module while it traces, so two traces take turns.

    What other threads call meanwhile, a page's network for one, runs as ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Layers and norms of a library's or user's own class stay modules, as torch's do."""
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
    """Take away the arguments that stay at their default, and the checks that they do."""
    for placeholder in list(graph.find_nodes(op="placeholder"))[1:]:
        doomed = [placeholder]
        for node in doomed:
            doomed += [user for user in node.users if user not in doomed]
        for node in sorted(doomed, reverse=True):
            graph.erase_node(node)


def _by_export(
    model: nn.Module, images: Tensor, reference: str, why: BaseException
) -> fx.GraphModule:
    """What torch.export makes of it, for any batch, its convolutions and linear layers modules."""
    batch = torch.export.Dim("batch", min=1)
    try:
        exported = torch.export.export(model, (images,), dynamic_shapes=({0: batch},))
        graph: Any = exported.module(check_guards=False)
    except _ANYTHING as error:
        raise ModelError(
            f"{reference} cannot be followed by torch.fx ({_in_words(why)}) nor by torch.export "
            f"({_in_words(error)}); write its forward without branches on the data."
        ) from error
    for node in list(graph.graph.nodes):
        if node.target in _LIFTED and node.args[1].op == "get_attr":
            _lift(graph, node)
    graph.graph.eliminate_dead_code()
    for node in graph.graph.find_nodes(op="get_attr"):
        min(node.users).prepend(node)  # beside what needs it, so that it is on that side of a cut
    plain = fx.Graph()
    plain.output(plain.graph_copy(graph.graph, {}))
    result = fx.GraphModule(graph, plain)
    for node in result.graph.find_nodes(op="output"):
        if isinstance(node.args[0], list | tuple) and len(node.args[0]) == 1:
            node.args = (node.args[0][0],)
    result.recompile()
    return result


def _lift(graph: fx.GraphModule, node: fx.Node) -> None:
    """Put a module in the place of a function that was given a convolution's weights."""
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
    """Names of the modules that were being called, a second call of one with `@1`."""
    stack = node.meta.get("nn_module_stack") or {}
    names = []
    for key, (name, _) in stack.items():
        # fx has the call's number in the key, torch.export in the name
        number = key.rpartition("@")[2] if "@" in key and "@" not in name else ""
        names.append(f"{name}@{number}" if number else name)
    return tuple(name for name in names if name)


def _measured(graph: fx.GraphModule, images: Tensor, reference: str) -> dict[fx.Node, NodeOutput]:
    meter = _Meter(graph)
    with _users_code(reference), torch.no_grad():
        meter.run(images)
    return meter.seen


class _Meter(fx.Interpreter):
    """Runs a graph node by node and notes what each gives."""

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
