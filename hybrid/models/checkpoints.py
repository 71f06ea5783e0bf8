"""Write and read a network's weights as safetensors; quantized weights are packed.

A file may leave out tensors that are equal, bit for bit, to those of another variant's file: its
*base*, in a sibling folder and identified by its SHA-256.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from hybrid.errors import HybridError, WeightsError
from hybrid.files import MAX_WEIGHTS_BYTES, read_bytes, replacing, sha256_of
from hybrid.models import Network, Spec, build, user_models
from hybrid.models.network import quantized_layers
from hybrid.quant.layers import QuantConv2d
from hybrid.quant.packing import pack, packed_bytes, unpack

__all__ = ["FORMAT", "base_of", "load_network", "save_network"]

FORMAT = 1
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # so that a file cannot name one elsewhere
_CODES, _SCALE = "weight.codes", "weight.scale"
# raised by reading, building and filling if a file does not hold what we wrote
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    KeyError,
    RecursionError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


def save_network(network: Network, path: Path, *, base: Path | None = None) -> str:
    """Write the weights; returns the file's SHA-256.

    This freezes the network: its quantized weights become the values that are written, so that a
    trace recorded afterwards belongs to exactly this file.

    Args:
        base: another variant's whole file. Tensors that are equal there, bit for bit, are left
            out if that saves at least half of the bytes; less is not worth a second file.

    Raises:
        WeightsError: the base is missing or damaged, has a base itself, or is not a file of the
            same name in a sibling folder.
    """
    about = {
        "format": str(FORMAT),
        "spec": json.dumps(network.spec.to_dict()),
        "temperatures": json.dumps(network.temperatures),
    }
    tensors = _packed(network)
    if base is not None:
        tensors, named = _without(tensors, base, path)
        about |= named
    data = _in_order(save_tensors(tensors, metadata=about))
    with replacing(path) as draft:
        draft.write_bytes(data)
    return sha256_of(path)


def load_network(
    path: Path, *, expect_sha256: str | None = None, module_folder: str = ""
) -> Network:
    """Read a network that `save_network` wrote, ready for inference.

    Args:
        expect_sha256: of the file, according to the card.
        module_folder: where the module of a user's model is, if Python does not find it.

    Raises:
        WeightsError: no such file, a damaged or foreign one, or not safetensors; or its base is
            missing, has another SHA-256 or a base itself.
    """
    data = _read(path)
    if expect_sha256 is not None and hashlib.sha256(data).hexdigest() != expect_sha256:
        raise WeightsError(
            f"{path} is not the file its card describes (SHA-256 differs); fetch or train it again."
        )
    about = _metadata(data, path)
    base = _base_tensors(about, path)
    try:
        spec = Spec.from_dict(json.loads(about["spec"]))
        # meta: never allocate what a damaged header asks for
        with torch.device("meta"), user_models.module_folder(module_folder):
            network = build(spec)
        tensors = load_tensors(data)
        if base is not None:
            tensors |= _left_out(network, tensors, base)
        _unpack_into(network, tensors)
        network.temperatures = _checked_temperatures(
            json.loads(about["temperatures"]), exits=len(spec.exits) + 1
        )
    except HybridError as error:
        raise WeightsError(f"{path} cannot be loaded: {error}") from error
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise WeightsError(
            f"{path} does not hold this network's weights ({reason}); fetch or train it again."
        ) from error
    return network.eval()


def base_of(path: Path) -> Path | None:
    """The file with the tensors that a weights file leaves out; None if it has them all.

    Raises:
        WeightsError: as `load_network`, of the file and of its base.
    """
    about = _metadata(_read(path), path)
    return None if _base_tensors(about, path) is None else _beside(path, about["base"])


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, most_bytes=MAX_WEIGHTS_BYTES)
    except OSError as error:
        raise WeightsError(f"There are no weights at {path}; train the network first.") from error
    except ValueError as error:
        raise WeightsError(
            f"{path} is not read, because {error}; fetch or train it again."
        ) from error


def _beside(path: Path, folder: str) -> Path:
    """The file of the same name in a sibling folder of that of `path`."""
    return path.absolute().parent.parent / folder / path.name


def _without(
    tensors: dict[str, Tensor], base: Path, path: Path
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that the base does not have, and the metadata that name the base."""
    folder = base.absolute().parent.name
    if not _FOLDER.fullmatch(folder) or base.absolute() != _beside(path, folder):
        raise WeightsError(
            f"{base} cannot be the base of {path}; name a file {path.name} in a sibling folder."
        )
    data = _read(base)
    theirs = _whole(data, base)
    own = {name: one for name, one in tensors.items() if not _same(one, theirs.get(name))}
    if 2 * _bytes(own) > _bytes(tensors):
        return tensors, {}
    return own, {"base": folder, "base_sha256": hashlib.sha256(data).hexdigest()}


def _base_tensors(about: Mapping[str, Any], path: Path) -> dict[str, Tensor] | None:
    """All tensors of the base named in a file's metadata; None if there is no base."""
    if "base" not in about:
        return None
    folder = about["base"]
    if not isinstance(folder, str) or not _FOLDER.fullmatch(folder):
        raise WeightsError(f"The base of {path} is not a sibling folder; fetch or train it again.")
    base = _beside(path, folder)
    try:
        data = read_bytes(base, most_bytes=MAX_WEIGHTS_BYTES)
    except OSError as error:
        raise WeightsError(
            f"{path} needs {base}, which is missing; fetch or train it again."
        ) from error
    except ValueError as error:
        raise WeightsError(
            f"{path} needs {base}, which is not read, because {error}; fetch or train it again."
        ) from error
    if hashlib.sha256(data).hexdigest() != about.get("base_sha256"):
        raise WeightsError(
            f"{base} is not the file that {path} needs (SHA-256 differs); fetch "
            f"{folder} again, or train {path.absolute().parent.name} again."
        )
    return _whole(data, base)


def _whole(data: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a file that can be a base."""
    if "base" in _metadata(data, path):
        raise WeightsError(
            f"{path} needs a base itself and cannot be one; name a whole file, or fetch or train "
            "it again."
        )
    try:
        return load_tensors(data)
    except _DAMAGE as error:
        raise WeightsError(f"{path} is damaged; fetch or train it again.") from error


def _left_out(
    network: Network, own: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors that a network's file lacks, taken from its base.

    The base's other tensors are ignored. It has such tensors if it is at 32 bits: full-precision
    weights instead of codes and scales.
    """
    lacking = _names(network) - own.keys()
    nowhere = sorted(lacking - base.keys())
    if nowhere:
        raise ValueError(f"{nowhere[0]} is neither in it nor in its base")
    return {name: base[name] for name in lacking}


def _names(network: Network) -> set[str]:
    """Names of the tensors that `_packed` gives."""
    names = set(network.state_dict())
    for name in quantized_layers(network):
        names -= {f"{name}.weight", f"{name}.weight_log_step"}
        names |= {f"{name}.{_CODES}", f"{name}.{_SCALE}"}
    return names


def _same(one: Tensor, other: Tensor | None) -> bool:
    """Whether two tensors are equal bit for bit: 0 and -0 are not, equal NaNs are."""
    if other is None or (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(one.flatten().view(torch.uint8), other.flatten().view(torch.uint8))


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(one.nbytes for one in tensors.values())


def _metadata(data: bytes, path: Path) -> dict[str, Any]:
    """The header's metadata; refuses a pickle or anything else that is not safetensors."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        about = header["__metadata__"]
        version = about["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is not an intact safetensors file of this project; other formats are not read."
        ) from error
    if version != str(FORMAT):
        raise WeightsError(f"{path} has weights format {version}, not {FORMAT}; train it again.")
    return dict(about)


def _in_order(data: bytes) -> bytes:
    """The same file with a sorted header, so that equal weights have equal SHA-256s."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # safetensors keeps tensors at multiples of 8
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


@torch.no_grad()
def _packed(network: Network) -> dict[str, Tensor]:
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    for name, layer in quantized_layers(network).items():
        layer.freeze()
        codes, scale = layer.weight_codes()
        packed = np.frombuffer(pack(codes.cpu().numpy(), bits=layer.weight_bits), dtype=np.uint8)
        del tensors[f"{name}.weight"]
        tensors.pop(f"{name}.weight_log_step", None)
        tensors[f"{name}.{_CODES}"] = torch.from_numpy(packed.copy())
        tensors[f"{name}.{_SCALE}"] = scale.cpu().flatten().contiguous().clone()
    return tensors


@torch.no_grad()
def _unpack_into(network: Network, tensors: dict[str, Tensor]) -> None:
    """Give a network on the meta device the tensors of a file; allocates nothing else.

    Raises:
        ValueError: missing or unknown tensors, or another shape or type.
    """
    for name, layer in quantized_layers(network).items():
        codes, scale = tensors.pop(f"{name}.{_CODES}"), tensors.pop(f"{name}.{_SCALE}")
        layer.frozen_scale = _checked_scale(name, scale, channels=layer.out_channels)
        weight = layer.decoded(_unpacked(name, layer, codes), layer.frozen_scale)
        tensors[f"{name}.weight"] = weight
        _check_zero_point(name, layer, tensors)
        if layer.weight_bits != 1:
            tensors[f"{name}.weight_log_step"] = layer.frozen_scale.log()
    expected = network.state_dict()
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or name not in expected:
            raise ValueError(f"{name} is {'missing' if name in expected else 'unknown'}")
        ours, theirs = expected[name], tensors[name]
        if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise ValueError(f"{name} is {theirs.dtype} of shape {tuple(theirs.shape)}")
    network.load_state_dict(tensors, assign=True)


def _unpacked(name: str, layer: QuantConv2d, packed: Tensor) -> Tensor:
    bits, shape = layer.weight_bits, tuple(layer.weight.shape)
    if packed.dtype != torch.uint8 or packed.numel() != packed_bytes(shape, bits=bits):
        raise ValueError(f"{name} has {packed.numel()} packed values for {shape} at {bits} bits")
    return torch.from_numpy(unpack(packed.numpy().ravel(), bits=bits, shape=shape))


def _checked_scale(name: str, scale: Tensor, *, channels: int) -> Tensor:
    whole = scale.dtype == torch.float32 and scale.shape == (channels,)
    if not (whole and bool((scale.isfinite() & (scale >= 0)).all())):
        raise ValueError(f"{name} has no scale of 0 or more for each of its {channels} channels")
    return scale.reshape(-1, 1, 1, 1)


def _check_zero_point(name: str, layer: QuantConv2d, tensors: dict[str, Tensor]) -> None:
    key = f"{name}.activation.zero_point"
    if layer.activation.zero_point is None or key not in tensors:
        return
    zero = float(tensors[key])
    if not (zero.is_integer() and 0 <= zero < 2**layer.activation_bits):
        raise ValueError(f"{key} is {zero}, not a code of {layer.activation_bits} bits")


def _checked_temperatures(values: object, *, exits: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != exits:
        raise ValueError(f"{exits} exits need as many temperatures")
    checked = tuple(float(value) for value in values)
    if not all(0 < value < math.inf for value in checked):
        raise ValueError(f"temperatures {checked} must be above 0")
    return checked
