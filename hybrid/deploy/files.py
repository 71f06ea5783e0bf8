"""Write and read deployment forms: one safetensors file, weights packed at their bits. No torch."""

import json
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
from hybrid.files import replacing, sha256_of
from hybrid.quant.packing import pack, unpack

__all__ = ["FORMAT", "load_form", "save_form"]

FORMAT = 1
_PACKED = 8  # bits of the widest weights that are packed
_DAMAGE = (AttributeError, KeyError, SafetensorError, TypeError, ValueError, OverflowError)

Arrays = dict[str, NDArray[Any]]


def save_form(form: Form, path: Path) -> str:
    """Write a form, whole or not at all; returns the file's SHA-256. Equal forms, equal bytes."""
    arrays: Arrays = {}
    about = {one.name: getattr(form, one.name) for one in fields(form) if one.name != "steps"}
    steps = [_described(step, f"{number:03d}", arrays) for number, step in enumerate(form.steps)]
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
        form = _form(about, load_tensors(data))
        check(form)
    except _DAMAGE as error:
        raise FormError(f"{path} does not hold an intact form; freeze it again.") from error
    return form


def _form(about: dict[str, Any], arrays: Arrays) -> Form:
    steps = tuple(
        _step(row, f"{number:03d}", arrays) for number, row in enumerate(about.pop("steps"))
    )
    shapes = {name: (c, h, w) for name, (c, h, w) in about.pop("shapes").items()}
    temperatures = tuple(about.pop("temperatures"))
    return Form(**about, steps=steps, shapes=shapes, temperatures=temperatures)


def _described(step: Conv | Head, prefix: str, arrays: Arrays) -> dict[str, Any]:
    """The plain values of a step; its arrays go to `arrays`."""
    row: dict[str, Any] = {"kind": type(step).__name__}
    for one in fields(step):
        value = getattr(step, one.name)
        if one.name == "weights":
            row["shape"] = list(value.shape)
            arrays[f"{prefix}.weights"] = _packed(step, value)
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
