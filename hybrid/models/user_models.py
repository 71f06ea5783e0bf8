"""Load a user's model by reference, and its weights; all user code runs through this module.

    model = load_model("torchvision.models:resnet18", classes=10)
    fit_weights(model, Path("mine.safetensors"))

User code may raise any exception, even SystemExit; `users_code` turns it into a ModelError.
"""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from hybrid.errors import ModelError, WeightsError
from hybrid.torchvision_fix import declare_operators

__all__ = [
    "ANYTHING",
    "fit_weights",
    "in_words",
    "is_reference",
    "load_model",
    "shape_in_words",
    "users_code",
]

ANYTHING = (Exception, SystemExit)
_SHOWN_KEYS = 5
_CONVERT = (
    "other formats are not read, so convert a PyTorch checkpoint first: s = torch.load(old, "
    "map_location='cpu'); s = s.get('state_dict', s); safetensors.torch.save_file({k.removeprefix("
    "'module.'): v.contiguous() for k, v in s.items()}, new)."
)


def is_reference(architecture: str) -> bool:
    """Whether an architecture is a user's model, "package.module:function"."""
    return ":" in architecture


def load_model(reference: str, *, classes: int | None = None) -> nn.Module:
    """Call "package.module:function" for a model, in evaluation mode.

    Modules in the working directory are found too. A function that takes `num_classes` is given
    `classes`.

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
    return model.eval()


@torch.no_grad()
def fit_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model; no other format is read.

    Raises:
        WeightsError: no such file, not safetensors, or keys that do not fit; it names them.
    """
    try:
        theirs = load_tensors(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"There are no weights at {path}; name a safetensors file.") from error
    except (SafetensorError, ValueError) as error:
        raise WeightsError(f"{path} is not an intact safetensors file; {_CONVERT}") from error
    problems = _misfits(model.state_dict(), theirs)
    if problems:
        raise WeightsError(
            f"The weights in {path} do not fit the model; {problems}. Give the file that was saved "
            "from this model."
        )
    model.load_state_dict(theirs, strict=False)


def _misfits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> str:
    """Keys that are missing, unknown or of another shape, in words; empty if all fit."""
    # older files lack this count of training steps, and inference does not read it
    missing = [k for k in ours if k not in theirs and not k.endswith("num_batches_tracked")]
    unknown = [k for k in theirs if k not in ours]
    other = [
        f"{k} is {shape_in_words(theirs[k].shape)} there and {shape_in_words(v.shape)} here"
        for k, v in ours.items()
        if k in theirs and theirs[k].shape != v.shape
    ]
    groups = {"missing": missing, "unknown": unknown, "of another shape": other}
    return "; ".join(f"{what}: {_some(keys)}" for what, keys in groups.items() if keys)


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
                "PYTHONPATH."
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


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return ", ".join(keys[:_SHOWN_KEYS]) + more


def shape_in_words(shape: tuple[int, ...]) -> str:
    """A shape with × between the sizes."""
    return "×".join(str(size) for size in shape) or "a number"
