"""Write and read deployment forms: one safetensors file, weights packed at their bits. No torch.

Weights of 1 to 8 bits are those that were trained. Where their file is in the sibling folder named
like the trained variant, as in `pretrained/`, they are left out here and read from there.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from hybrid.deploy.form import Codes, Conv, Form, Head, Output, check, weight_rule
from hybrid.errors import FormError
from hybrid.files import MAX_WEIGHTS_BYTES, read_bytes, replacing, sha256_of
from hybrid.quant.packing import pack, unpack

__all__ = ["FORMAT", "load_form", "save_form"]

FORMAT = 1
_PACKED = 8  # bits of the widest weights that are packed
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # so that a file cannot name one elsewhere
_DAMAGE = (AttributeError, KeyError, SafetensorError, TypeError, ValueError, OverflowError)

Arrays = dict[str, NDArray[Any]]


def save_form(form: Form, path: Path) -> str:
    """Write a form, whole or not at all; returns the file's SHA-256. Equal forms, equal bytes."""
    arrays: Arrays = {}
    about = {one.name: getattr(form, one.name) for one in fields(form) if one.name != "steps"}
    known = {one.tobytes(): name for name, one in sorted(_trained(form, path).items())}
    steps = [
        _described(step, f"{number:03d}", arrays, known) for number, step in enumerate(form.steps)
    ]
    text = json.dumps(about | {"format": FORMAT, "steps": steps}, sort_keys=True)
    with replacing(path) as draft:
        draft.write_bytes(_in_order(save_tensors(arrays, metadata={"hybrid-form": text})))
    return sha256_of(path)


def load_form(path: Path, *, expect_sha256: str | None = None) -> Form:
    """Read a form that `save_form` wrote.

    Raises:
        FormError: no such file, another than the card's, a damaged one or one of another format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormError(f"There is no form at {path}; make it with `hybrid freeze`.") from error
    if expect_sha256 is not None and sha256_of(path) != expect_sha256:
        raise FormError(
            f"{path} is not the form its card describes (SHA-256 differs); freeze it again."
        )
    try:
        length = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["hybrid-form"])
        version = about.pop("format")
        if version != FORMAT:
            raise FormError(f"{path} has form format {version}, not {FORMAT}; freeze it again.")
        arrays = load_tensors(data)
        _add_left_out(arrays, about, path)
        form = _form(about, arrays)
        check(form)
    except _DAMAGE as error:
        raise FormError(f"{path} does not hold an intact form; freeze it again.") from error
    return form


def _trained(form: Form, path: Path) -> Arrays:
    """The packed codes in the trained weights that a form was made of; none if not beside it."""
    try:
        return _codes(_beside(path, form.variant), form.source_sha256)
    except FormError:
        return {}


def _codes(path: Path, sha256: str) -> Arrays:
    try:
        data = read_bytes(path, most_bytes=MAX_WEIGHTS_BYTES)
    except (OSError, ValueError) as error:
        raise FormError(f"The form needs the trained weights {path}, which are missing.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FormError(
            f"The form was made of other weights than {path} (SHA-256 differs); freeze it again."
        )
    return {name: one for name, one in load_tensors(data).items() if one.dtype == np.uint8}


def _beside(path: Path, folder: str) -> Path:
    """The file of the same name in a sibling folder."""
    if not _FOLDER.fullmatch(folder):
        raise FormError(f"{path} names no trained variant; freeze it again.")
    return path.absolute().parent.parent / folder / path.name


def _add_left_out(arrays: Arrays, about: dict[str, Any], path: Path) -> None:
    """Read the weights that the form's file leaves out."""
    names = {number: row.pop("trained", None) for number, row in enumerate(about["steps"])}
    if not any(names.values()):
        return
    codes = _codes(_beside(path, about["variant"]), about["source_sha256"])
    arrays |= {f"{number:03d}.weights": codes[name] for number, name in names.items() if name}


def _form(about: dict[str, Any], arrays: Arrays) -> Form:
    steps = tuple(
        _step(row, f"{number:03d}", arrays) for number, row in enumerate(about.pop("steps"))
    )
    shapes = {name: (c, h, w) for name, (c, h, w) in about.pop("shapes").items()}
    temperatures = tuple(about.pop("temperatures"))
    return Form(**about, steps=steps, shapes=shapes, temperatures=temperatures)


def _described(
    step: Conv | Head, prefix: str, arrays: Arrays, known: Mapping[bytes, str]
) -> dict[str, Any]:
    """The plain values of a step; its arrays go to `arrays`, but for trained weights, by name."""
    row: dict[str, Any] = {"kind": type(step).__name__}
    for one in fields(step):
        value = getattr(step, one.name)
        if one.name == "weights":
            row["shape"] = list(value.shape)
            packed = _packed(step, value)
            if packed.dtype == np.uint8 and packed.tobytes() in known:
                row["trained"] = known[packed.tobytes()]
            else:
                arrays[f"{prefix}.weights"] = packed
        elif one.name == "outputs":
            row["outputs"] = [_output(o, f"{prefix}.{n}", arrays) for n, o in enumerate(value)]
        elif isinstance(value, np.ndarray):
            arrays[f"{prefix}.{one.name}"] = np.ascontiguousarray(value)
        else:
            row[one.name] = value
    return row


def _output(output: Output, prefix: str, arrays: Arrays) -> dict[str, Any]:
    if output.codes is None:
        return {"register": output.register}
    values = asdict(output.codes)
    arrays[f"{prefix}.thresholds"] = values.pop("thresholds")
    return {"register": output.register, "codes": values}


def _step(row: dict[str, Any], prefix: str, arrays: Arrays) -> Conv | Head:
    kind, shape = row.pop("kind"), tuple(row.pop("shape"))
    own: dict[str, Any] = {
        name.removeprefix(f"{prefix}."): one
        for name, one in arrays.items()
        if name.startswith(f"{prefix}.")
    }
    own["weights"] = _unpacked(own["weights"], row.get("bits"), shape)
    if kind == "Head":
        return Head(**row, **own)
    outputs = tuple(
        _read_output(o, own.pop(f"{n}.thresholds", None)) for n, o in enumerate(row.pop("outputs"))
    )
    return Conv(**row, **own, outputs=outputs)


def _read_output(row: dict[str, Any], thresholds: NDArray[Any] | None) -> Output:
    made = None if thresholds is None else Codes(**row["codes"], thresholds=thresholds)
    return Output(register=row["register"], codes=made)


def _packed(step: Conv | Head, weights: NDArray[np.int32]) -> NDArray[Any]:
    """Weights of few bits as a stream of codes; others as the narrowest whole numbers."""
    if isinstance(step, Conv) and step.bits <= _PACKED:
        spread, lowest = weight_rule(step.bits)
        return np.frombuffer(pack((weights - lowest) // spread, bits=step.bits), np.uint8)
    narrow = np.abs(weights).max(initial=0) < 2**15
    return weights.astype(np.int16) if narrow else weights


def _unpacked(stored: NDArray[Any], bits: int | None, shape: tuple[int, ...]) -> NDArray[np.int32]:
    if bits is None or bits > _PACKED:
        return stored.astype(np.int32).reshape(shape)
    spread, lowest = weight_rule(bits)
    return unpack(stored, bits=bits, shape=shape).astype(np.int32) * spread + lowest


def _in_order(data: bytes) -> bytes:
    """The same file with a sorted header, so that equal forms have equal bytes."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
