"""Give a model the weights in a file as people have it: safetensors, .pth, .pt, .bin or .ckpt.

    fit_weights(model, Path("mine.ckpt"))

Pickled files are read with `weights_only=True`: no code in them runs. The weights may be nested
(`state_dict`, `model`) and have a prefix (`module.`, `_orig_mod.`, `net.backbone.`).
"""

import argparse
import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hybrid.errors import WeightsError
from hybrid.files import MAX_WEIGHTS_BYTES, check_size
from hybrid.models.user_models import ANYTHING, in_words, shape_in_words

__all__ = ["fit_weights"]

_SHOWN_KEYS = 5
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|module)\.")  # of torch.compile and DataParallel
_UNREADABLE = (
    (
        b"version https://git-lfs",
        "is only a pointer of Git LFS; fetch the file with `git lfs pull`",
    ),
    (b"<", "is a web page, not the file behind it; download the file itself"),
    (b"\x89HDF", "is an HDF5 file, as Keras writes it; export PyTorch weights"),
    (b"\x1f\x8b", "is compressed; unpack it and name the file inside"),
    (b"{", "is JSON, perhaps the index of several files; name a file of weights"),
)
_CONVERT = """convert it in Python, if you trust it:
  s = torch.load({path!r}, map_location="cpu", weights_only=False)
  s = s.get("state_dict", s.get("model", s)) if isinstance(s, dict) else s.state_dict()
  torch.save(s if isinstance(s, dict) else s.state_dict(), "weights.pth")"""
# What hyper-parameters and scores are made of; making one of these runs no code of the file.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    PosixPath,
    np.ndarray,
    np.dtype,
    np.float64(0).__reduce__()[0],
    np.zeros(0).__reduce__()[0],
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")),
]
_COUNTERS = ("total_ops", "total_params")  # that thop leaves in a model


@torch.no_grad()
def fit_weights(model: nn.Module, path: Path) -> None:
    """Load a file of weights into a model.

    Raises:
        WeightsError: no such file, a format that is not read, or keys that do not fit; it names
            them.
    """
    ours = model.state_dict()
    theirs = _renamed(dict(_flat(_read(path), "")), ours)
    if not theirs:
        raise WeightsError(f"{path} holds no tensors by name; save the model's state_dict() in it.")
    problems = _shapes(ours, theirs)
    if not problems:
        done = model.load_state_dict(theirs, strict=False)
        missing = _really_missing(ours, theirs, done.missing_keys)
        unknown = [name for name in done.unexpected_keys if not name.endswith(_COUNTERS)]
        problems = {"missing": missing, "unknown": unknown}
    said = "; ".join(f"{what}: {_some(keys)}" for what, keys in problems.items() if keys)
    if said:
        raise WeightsError(
            f"The weights in {path} do not fit the model; {said}. Give the file that was saved "
            "from this model."
        )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        check_size(path, MAX_WEIGHTS_BYTES)
        with path.open("rb") as file:
            begin = file.read(64)
            whole = begin + file.read() if begin[8:9] == b"{" else b""
    except OSError as error:
        raise WeightsError(f"There are no weights at {path}; name a file of weights.") from error
    except ValueError as error:
        raise WeightsError(
            f"{path} is not read, because {error}; name a file of weights."
        ) from error
    if whole:
        try:
            return load_tensors(whole)
        except (SafetensorError, ValueError) as error:
            raise WeightsError(
                f"{path} is not an intact safetensors file; copy or download it again."
            ) from error
    for magic, reason in _UNREADABLE:
        if begin.lstrip().startswith(magic):
            raise WeightsError(f"{path} {reason}.")
    if begin.startswith(b"PK") and not _is_checkpoint(path):
        raise WeightsError(f"{path} is a zip of other files; unpack it and name the weights.")
    if not begin.startswith((b"PK", b"\x80")):
        raise WeightsError(_neither(path, ""))
    return _unpickled(path)


def _is_checkpoint(path: Path) -> bool:
    """Whether a zip is what `torch.save` writes, or a damaged one, about which torch says more."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith((".pkl", "/code/")) for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return True


def _neither(path: Path, why: str) -> str:
    return (
        f"{path} is neither an intact safetensors file nor an intact PyTorch checkpoint{why}; "
        "copy or download it again, or save the model's state_dict()."
    )


def _unpickled(path: Path) -> Mapping[str, Any]:
    convert = _CONVERT.format(path=str(path))
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        name = re.search(r"GLOBAL (\S+)", str(error))
        holds = f"holds {name[1]}" if name else "holds Python objects"
        raise WeightsError(
            f"{path} {holds}, not only tensors, and reading that could run any code; {convert}"
        ) from error
    except ANYTHING as error:
        if "TorchScript" in str(error):
            raise WeightsError(
                f"{path} is a TorchScript archive; save the state_dict() of the model it was made "
                "from, or of torch.jit.load(path)."
            ) from error
        raise WeightsError(_neither(path, f" ({in_words(error)})")) from error
    return {"": found}


def _flat(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts and lists, their names joined by dots."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        yield name, torch.from_numpy(value)
    elif isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in parts:
            if isinstance(key, str) or not isinstance(value, Mapping):
                yield from _flat(part, f"{name}.{key}" if name else str(key))


def _renamed(theirs: dict[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the model's names: without the prefix, or with the one, that fits most.

    What does not have the prefix, such as the weights of a loss, is left out.
    """
    plain = {_WRAPPERS.sub("", name): value for name, value in theirs.items()}
    found = [
        fitted for some in (theirs, plain) for fitted in (_cut_off(some, ours), _put_on(some, ours))
    ]
    return max([theirs, *found], key=lambda some: len(some.keys() & ours.keys()))


def _cut_off(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = _commonest(theirs, ours)
    return {
        name.removeprefix(prefix): value
        for name, value in theirs.items()
        if name.startswith(prefix)
    }


def _put_on(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = _commonest(ours, theirs)
    return {f"{prefix}{name}": value for name, value in theirs.items()}


def _commonest(longer: Mapping[str, Tensor], shorter: Mapping[str, Tensor]) -> str:
    """The beginning without which most of the longer names are among the shorter."""
    counts: Counter[str] = Counter()
    for name in longer:
        ends = [0, *(at + 1 for at, letter in enumerate(name) if letter == ".")]
        counts.update(name[:end] for end in ends if name[end:] in shorter)
    return max(counts, key=lambda prefix: (counts[prefix], -len(prefix)), default="")


def _shapes(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> dict[str, list[str]]:
    other = [
        f"{k} is {shape_in_words(theirs[k].shape)} there and {shape_in_words(v.shape)} here"
        for k, v in ours.items()
        if k in theirs and not is_lazy(v) and theirs[k].shape != v.shape
    ]
    if not other:
        return {}
    unknown = [k for k in theirs if k not in ours]
    return {
        "missing": _really_missing(ours, theirs, [k for k in ours if k not in theirs]),
        "unknown": unknown,
        "of another shape": other,
    }


def _really_missing(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], missing: list[str]
) -> list[str]:
    """Without the counts of training steps, which inference does not read, and tied weights."""
    given = {value.data_ptr() for name, value in ours.items() if name in theirs}
    return [
        name
        for name in missing
        if not name.endswith("num_batches_tracked") and ours[name].data_ptr() not in given
    ]


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return ", ".join(keys[:_SHOWN_KEYS]) + more
