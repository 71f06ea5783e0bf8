"""Follow a model's forward: module in, torch.fx graph of what it computes out.

torch.fx is tried first. It records `len(x)` and `int(x.shape[0] / 4)` too, which it cannot by
itself. If it cannot follow the model, torch.export is tried, for any number of images.
"""

import builtins
import inspect
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, fx, nn

from hybrid.errors import ModelError
from hybrid.models.canonical import LAYERS, base_of
from hybrid.models.user_models import ANYTHING, in_words

__all__ = ["followed"]

_WHOLE = (nn.BatchNorm2d,)  # not traced into, subclasses included


def followed(
    model: nn.Module,
    images: Tensor,
    finish: Callable[[fx.GraphModule], fx.GraphModule],
    *,
    reference: str,
) -> tuple[fx.GraphModule, str]:
    """The model's graph, and what made it.

    Layers of a library's class are entered if possible.

    Args:
        images: what the model is shown, (n, channels, height, width).
        finish: brings a graph into its last form; raises ModelError if it is not the model's, and
            then it is followed in another way.

    Raises:
        ModelError: it cannot be followed in any way.
    """
    try:
        return finish(_by_fx(model)), "torch.fx"
    except ANYTHING as error:
        why = error
    try:
        return finish(_by_export(model, images, reference, why)), "torch.export"
    except ModelError:
        try:
            return finish(_by_fx(model, whole=(*_WHOLE, *LAYERS))), "torch.fx"
        except ANYTHING:
            pass
        if isinstance(why, ModelError):
            raise why from None
        raise


def _by_fx(model: nn.Module, *, whole: tuple[type[nn.Module], ...] = _WHOLE) -> fx.GraphModule:
    """Trace the model by torch.fx, with every argument except the image at its default."""
    first, *others = inspect.signature(model.forward).parameters.values()
    if first.kind is first.VAR_POSITIONAL:
        raise ModelError("its forward takes any number of arguments")
    fixed = {
        p.name: p.default
        for p in others
        if p.default is not p.empty and p.kind is not p.VAR_KEYWORD
    }
    with _TRACING, _sizes_recorded(model):
        traced = _Tracer(whole).trace(model, concrete_args=fixed or None)
    _drop_arguments(traced)
    plain = fx.Graph()
    plain.output(plain.graph_copy(traced, {}))
    return fx.GraphModule(model, plain)


_TRACING = threading.Lock()


class _Tracer(fx.Tracer):
    """Traces one thread only: fx replaces every module's call, so two traces take turns.

    Calls in other threads, such as a page's network, run as usual.
    """

    def __init__(self, whole: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Keep torch's layers, whatever computes their weights, and a library's norms."""
        if isinstance(m, self._whole) or base_of(m) is not None:
            return True
        return super().is_leaf_module(m, module_qualified_name)

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


@contextmanager
def _sizes_recorded(model: nn.Module) -> Iterator[None]:
    """Let `len` and `int` in the code of a model's modules take what torch.fx gives them.

    The names are set in the modules of its classes and of the functions these import.
    """
    added: list[tuple[dict[str, Any], str]] = []
    for names in _globals_of(model):
        for name, stand_in in (("len", _len), ("int", _Int)):
            if name not in names:
                names[name] = stand_in
                added.append((names, name))
    try:
        yield
    finally:
        for names, name in added:
            del names[name]


def _globals_of(model: nn.Module) -> Iterable[dict[str, Any]]:
    """The global names of the code that a model may run, without torch's own."""
    modules = {base.__module__ for one in model.modules() for base in type(one).__mro__}
    found = [vars(sys.modules[name]) for name in modules if name in sys.modules]
    for names in list(found):
        found += [value.__globals__ for value in names.values() if inspect.isfunction(value)]
    ours = {id(names): names for names in found if _is_users(str(names.get("__name__")))}
    return ours.values()


def _is_users(module: str) -> bool:
    return module.partition(".")[0] not in {"torch", "builtins", *sys.stdlib_module_names}


def _len(value: Any) -> Any:
    return _record(builtins.len, value) if isinstance(value, fx.Proxy) else len(value)


class _WholeNumbers(type):
    """Of a class that stands for `int`, in `isinstance` too."""

    def __call__(cls, *args: Any, **named: Any) -> Any:
        if args and isinstance(args[0], fx.Proxy):
            return _record(builtins.int, args[0])
        return int(*args, **named)

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, int)


class _Int(metaclass=_WholeNumbers):
    """Stands for `int`."""


def _record(function: Any, value: fx.Proxy) -> fx.Proxy:
    return value.tracer.create_proxy("call_function", function, (value,), {})


def _drop_arguments(graph: fx.Graph) -> None:
    """Remove the arguments that are not given, and the checks for that."""
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
        with _quiet():
            exported = torch.export.export(model, (images,), dynamic_shapes=_shapes(model, batch))
        graph: Any = exported.module(check_guards=False)
    except ANYTHING as error:
        raise ModelError(
            f"{reference} cannot be followed by torch.fx ({in_words(why)}) nor by torch.export "
            f"({in_words(error)}); write its forward without branches on the data."
        ) from error
    graph.graph.eliminate_dead_code()
    for node in graph.graph.find_nodes(op="get_attr"):
        min(node.users).prepend(node)  # next to its first user, so that a cut keeps them together
    plain = fx.Graph()
    plain.output(plain.graph_copy(graph.graph, {}))
    return fx.GraphModule(graph, plain)


def _shapes(model: nn.Module, batch: Any) -> Any:
    """Which axes may have any length: the first of the images."""
    first = next(iter(inspect.signature(model.forward).parameters.values()))
    return (({0: batch},),) if first.kind is first.VAR_POSITIONAL else ({0: batch},)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch.export logs and prints; what it raises says enough."""
    logger = logging.getLogger("torch")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()) as nowhere, redirect_stderr(nowhere):
            yield
    finally:
        logger.setLevel(before)
