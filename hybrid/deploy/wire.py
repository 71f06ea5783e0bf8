"""What goes over the wire, for both of its ends: Open Inference Protocol v2 with binary tensors.

A body is a header in JSON and then the bytes of the tensors. A SHA-256 of the whole body goes along
in both directions, so that a flipped bit is an error. numpy and the standard library are enough.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.files import parse_json

__all__ = [
    "BYTES",
    "DEADLINE",
    "DIGEST",
    "FLOATS",
    "LENGTH",
    "LOGITS",
    "PACKED",
    "Asked",
    "answer",
    "check_digest",
    "digest",
    "infer_path",
    "read_logits",
    "read_request",
    "request_header",
]

LENGTH = "Inference-Header-Content-Length"
DIGEST = "Content-Digest"  # RFC 9530
DEADLINE = "X-Deadline-Ms"  # what is left of it when the request is sent
PACKED, LOGITS = "packed", "logits"  # the tensors
BYTES, FLOATS = "UINT8", "FP32"  # their types

_MICROSECONDS = 1000  # per millisecond
_LONGEST_US = 10**15  # thirty years; a larger number might be none that can be divided
_OCTET = 255
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A request as a server reads it.

    Args:
        packed: (n, payload bytes) uint8.
        name: of the request, to be echoed; empty if it has none.
        binary: whether the logits are wanted as bytes rather than as JSON.
        left_ms: until the deadline; None if the request has none.
    """

    packed: NDArray[np.uint8]
    name: str
    binary: bool
    left_ms: float | None


def infer_path(model: str, version: str) -> str:
    """Where a model of these weights answers."""
    return f"/v2/models/{model}/versions/{version}/infer"


def digest(body: bytes) -> str:
    """The value of `Content-Digest`.

    >>> digest(b"")
    'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:'
    """
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def check_digest(given: str, body: bytes) -> None:
    """Compare a body with its `Content-Digest`; other algorithms beside SHA-256 are not looked at.

    Raises:
        ValueError: it differs, or there is none.
    """
    if digest(body) not in given.replace(" ", "").split(","):
        raise ValueError("the body is not that of its Content-Digest")


def request_header(name: str, payload_bytes: int, left_ms: int) -> bytes:
    """The header of a request for one image; its bytes follow."""
    given = {
        "name": PACKED,
        "shape": [1, payload_bytes],
        "datatype": BYTES,
        "parameters": {"binary_data_size": payload_bytes},
    }
    wanted = {"name": LOGITS, "parameters": {"binary_data": True}}
    timeout = {"timeout": left_ms * _MICROSECONDS}  # as Triton's extension has it
    return _json({"id": name, "parameters": timeout, "inputs": [given], "outputs": [wanted]})


def read_request(body: bytes, header_bytes: int | None, payload_bytes: int) -> Asked:
    """What a request asks for.

    Args:
        header_bytes: of the JSON; None if all of it is JSON.
        payload_bytes: of an image, by the manifest.

    Raises:
        ValueError: not such a request; the words say why.
    """
    if header_bytes is not None and not 0 <= header_bytes <= len(body):
        raise ValueError(f"{LENGTH} is {header_bytes}, and the body has {len(body)} bytes")
    about = _object(parse_json(_text(body[:header_bytes])), "the header")
    data = b"" if header_bytes is None else body[header_bytes:]
    (given,) = _objects(about.get("inputs"), "inputs")
    if given.get("name") != PACKED or given.get("datatype") != BYTES:
        raise ValueError(f"the input is {PACKED!r} of type {BYTES}")
    rows = _rows(given.get("shape"), payload_bytes)
    parameters = _object(given.get("parameters", {}), "parameters")
    octets = _octets(given, parameters, data, header_bytes is not None)
    if octets.size != rows * payload_bytes:
        raise ValueError(f"{rows} x {payload_bytes} bytes are announced, and {octets.size} came")
    name = about.get("id", "")
    if not isinstance(name, str):
        raise ValueError("the id is a text")  # noqa: TRY004  # all are refusals
    return Asked(
        packed=octets.reshape(rows, payload_bytes),
        name=name,
        binary=_wants_binary(about),
        left_ms=_left_ms(_object(about.get("parameters", {}), "parameters")),
    )


def answer(
    logits: Floats, *, name: str, model: str, version: str, binary: bool
) -> tuple[bytes, int | None]:
    """The body of an answer, and how much of it is the header; None if all of it is JSON.

    Args:
        logits: (n, classes).
    """
    output: dict[str, Any] = {"name": LOGITS, "datatype": FLOATS, "shape": list(logits.shape)}
    data = b""
    if binary:
        data = np.ascontiguousarray(logits, "<f4").tobytes()
        output["parameters"] = {"binary_data_size": len(data)}
    else:
        output["data"] = logits.ravel().tolist()
    about: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": [output]}
    if name:
        about["id"] = name
    header = _json(about)
    return header + data, len(header) if binary else None


def read_logits(body: bytes, header_bytes: int, *, name: str, version: str) -> Floats:
    """The logits of an answer, of any shape.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: not an answer to this request by these
            weights.
    """
    about: Mapping[str, Any] = parse_json(body[:header_bytes])
    data = body[header_bytes:]
    if about["id"] != name or about["model_version"] != version:
        raise ValueError("of another request or other weights")
    (output,) = about["outputs"]
    shape = [int(one) for one in output["shape"]]
    if (output["name"], output["datatype"]) != (LOGITS, FLOATS) or min(shape) < 0:
        raise ValueError("of another kind")
    if not output["parameters"]["binary_data_size"] == len(data) == 4 * math.prod(shape):
        raise ValueError("of another length")
    return np.frombuffer(data, "<f4").reshape(shape)


def _json(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, separators=(",", ":")).encode()


def _text(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError:
        raise ValueError("the header is not UTF-8") from None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object of JSON")  # noqa: TRY004  # all are refusals
    return value


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) != 1:
        raise ValueError(f"{name} must be a list of exactly one tensor")
    return [_object(one, name) for one in value]


def _rows(shape: Any, payload_bytes: int) -> int:
    """How many images a shape says."""
    whole = isinstance(shape, list) and all(type(one) is int for one in shape)
    if not whole or shape[1:] != [payload_bytes] or shape[0] < 1:
        raise ValueError(
            f"the shape is [n, {payload_bytes}] with n at least 1, not {str(shape)[:40]}"
        )
    return int(shape[0])


def _octets(
    given: Mapping[str, Any], parameters: Mapping[str, Any], data: bytes, has_data: bool
) -> NDArray[np.uint8]:
    """The bytes of the input, which follow the header or are numbers in it."""
    if "binary_data_size" in parameters:
        if not has_data or parameters["binary_data_size"] != len(data):
            raise ValueError(
                f"binary_data_size is {str(parameters['binary_data_size'])[:40]}, and {len(data)} "
                "bytes follow the header"
            )
        return np.frombuffer(data, np.uint8)
    if data:
        raise ValueError("bytes follow the header, and no binary_data_size announces them")
    values = _flat(given.get("data"))
    if not all(type(one) is int and 0 <= one <= _OCTET for one in values):
        raise ValueError(f"the data are whole numbers from 0 to {_OCTET}")
    return np.array(values, np.uint8)


def _flat(values: Any) -> list[Any]:
    """A list, or a list of lists, of numbers."""
    if not isinstance(values, list):
        raise ValueError("the input has no data")  # noqa: TRY004  # all are refusals
    if values and all(isinstance(one, list) for one in values):
        return [inner for one in values for inner in one]
    return values


def _wants_binary(about: Mapping[str, Any]) -> bool:
    """As the first of these says: the output, the request, the protocol."""
    general = _object(about.get("parameters", {}), "parameters")
    wanted = about.get("outputs")
    if wanted is None:
        return general.get("binary_data_output") is True
    (output,) = _objects(wanted, "outputs")
    if output.get("name") != LOGITS:
        raise ValueError(f"the output is {LOGITS!r}")
    own = _object(output.get("parameters", {}), "parameters")
    return own.get("binary_data", general.get("binary_data_output")) is True


def _left_ms(parameters: Mapping[str, Any]) -> float | None:
    timeout = parameters.get("timeout")
    if timeout is None:
        return None
    if type(timeout) is not int or timeout < 0:
        raise ValueError("the timeout is a whole number of microseconds")
    return min(timeout, _LONGEST_US) / _MICROSECONDS if timeout else None  # 0 is none, as in Triton
