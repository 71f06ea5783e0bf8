"""Load a user's model by reference; all user code runs through this module.

    model = load_model("torchvision.models:resnet18", classes=10)
    with module_folder("/home/me/models"): ...  # for modules that are not installed

User code may raise any exception, even SystemExit; `users_code` turns it into a ModelError.
"""

import difflib
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.parameter import is_lazy

from hybrid.errors import ModelError
from hybrid.torchvision_fix import declare_operators

__all__ = [
    "ANYTHING",
    "answer_of",
    "chosen",
    "folder_of",
    "in_words",
    "is_reference",
    "leaves",
    "load_model",
    "materialise",
    "module_folder",
    "shape_in_words",
    "users_code",
]

ANYTHING = (Exception, SystemExit)
_INSTALLED = {"site-packages", "dist-packages"}
_SEARCHING = threading.RLock()
_searched: list[str] = []
_WRAPPERS = (
    nn.DataParallel,
    nn.parallel.DistributedDataParallel,
    torch.optim.swa_utils.AveragedModel,
)


def is_reference(architecture: str) -> bool:
    """Whether an architecture is a user's model, "package.module:function"."""
    return ":" in architecture


def load_model(reference: str, *, classes: int | None = None) -> nn.Module:
    """Call "package.module:function" for a model, in evaluation mode and in 32-bit numbers.

    Modules in the working directory are found too, and those in the folder of `module_folder`. A
    function that takes `num_classes` is given `classes`. The wrappers of torch.compile and
    DataParallel are taken off.

    Raises:
        ModelError: no such module or function, code that raises, or not a torch.nn.Module.
    """
    function = _function(reference)
    wanted = {} if classes is None or not _takes_classes(function) else {"num_classes": classes}
    with users_code(f"{reference}()"), torch.device("cpu"):
        model = function(**wanted)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{reference} returns a {type(model).__name__}, not a torch.nn.Module; name a function "
            "that returns the model."
        )
    model = _unwrapped(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            f"{reference} returns a TorchScript module, which cannot be cut; name a function that "
            "returns the model that it was made from."
        )
    return model.eval().float()


def materialise(model: nn.Module, shape: tuple[int, int, int], *, reference: str) -> None:
    """Show a model with lazy layers a first image, which gives them their shapes.

    Args:
        shape: of the image, (channels, height, width).
    """
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        with users_code(f"{reference} on images of {shape_in_words(shape)}"), torch.no_grad():
            model.eval()(torch.zeros((2, *shape)))


def folder_of(reference: str) -> str:
    """The folder to start from, for an imported module that is not installed; else empty."""
    module_name = reference.partition(":")[0]
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file is None:
        return ""
    path = Path(file).resolve()
    inside = module_name.count(".") + (path.name == "__init__.py")
    folder = path.parents[min(inside, len(path.parents) - 1)]
    return "" if _INSTALLED.intersection(folder.parts) else str(folder)


@contextmanager
def module_folder(folder: str) -> Iterator[None]:
    """Find modules in a folder too, inside the block; what Python finds elsewhere comes first."""
    with _SEARCHING:
        added = bool(folder) and folder not in sys.path
        if added:
            sys.path.append(folder)
            _searched.append(folder)
        try:
            yield
        finally:
            if added:
                sys.path.remove(folder)
                _searched.remove(folder)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, and the modules in it, out of what torch.compile, DataParallel … made."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, _WRAPPERS):
            inner = model.module
        if not isinstance(inner, nn.Module):
            break
        model = inner
    for name, child in list(model.named_children()):
        if (plain := _unwrapped(child)) is not child:
            setattr(model, name, plain)
    return model


def answer_of(returned: Any, output: str, *, reference: str) -> Any:
    """The part of a model's output that is meant by `output`; by default the first tensor.

    Raises:
        ModelError: it has no part of that name.
    """
    named = dict(_named(returned, ""))
    if output and output not in named:
        near = difflib.get_close_matches(output, named, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(named) or 'none'}."
        raise ModelError(f"The output of {reference} has no part {output!r}; {hint}")
    found = leaves(returned)
    return found[chosen(returned, output)] if found else returned


def chosen(returned: Any, output: str) -> int:
    """Which of the `leaves` that is."""
    named = list(_named(returned, ""))
    wanted = (n for n, (name, v) in enumerate(named) if name == output or _first(output, v))
    return next(wanted, 0)


def _first(output: str, value: Any) -> bool:
    return not output and isinstance(value, Tensor)


def leaves(value: Any) -> list[Any]:
    """All values in nested tuples, lists, dicts and dataclasses, in order."""
    return [one for _, one in _named(value, "")]


def _named(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, part in _parts(value):
        yield from _named(part, f"{name}.{key}".removeprefix("."))
    if _parts(value) is _ALONE:
        yield name, value


_ALONE: list[tuple[str, Any]] = []


def _parts(value: Any) -> list[tuple[str, Any]]:
    """What a value consists of, by name; `_ALONE` if it has no parts."""
    if isinstance(value, fx.Node) and value.op == "call_function":
        if is_dataclass(value.target):
            return list(value.kwargs.items())  # how torch.fx writes a dataclass down
        if names := getattr(value.target, "_fields", ()):  # and a named tuple
            return [*zip(names, value.args, strict=False), *value.kwargs.items()]
    if isinstance(value, dict):
        return [(str(key), part) for key, part in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, list | tuple) and not hasattr(value, "numel"):
        names = getattr(value, "_fields", range(len(value)))
        return [(str(name), part) for name, part in zip(names, value, strict=True)]
    return _ALONE


def _function(reference: str) -> Callable[..., Any]:
    module_name, _, name = reference.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise ModelError(
            f"{reference!r} is not a model; write package.module:function, such as "
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
                f"There is no module {error.name}; install it, start hybrid in its folder, or set "
                f"PYTHONPATH.{''.join(f' It was in {folder}.' for folder in _searched)}"
            ) from error
        except ANYTHING as error:
            raise ModelError(f"Importing {module_name} fails with {in_words(error)}.") from error
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
    # torchvision's and timm's builders pass keywords on to the class, which takes num_classes
    passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return passes_on and getattr(function, "__module__", "").startswith(("torchvision.", "timm."))


@contextmanager
def users_code(doing: str) -> Iterator[None]:
    """Turn any exception that the block raises into a ModelError of one sentence."""
    try:
        yield
    except ANYTHING as error:
        raise ModelError(f"{doing} raises {in_words(error)}.") from error


def in_words(error: BaseException) -> str:
    """The class and first line of an error."""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def shape_in_words(shape: tuple[int, ...]) -> str:
    """A shape with × between the sizes."""
    return "×".join(str(size) for size in shape) or "a number"
