"""A network's weights to a safetensors file and back, quantized ones packed at their bit width."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from hybrid.errors import HybridError, WeightsError
from hybrid.files import replacing, sha256_of
from hybrid.networks import Network, Spec, build
from hybrid.networks.network import quantized_layers
from hybrid.packing import pack, packed_bytes, unpack
from hybrid.quant import QuantConv2d

__all__ = ["FORMAT", "load_network", "save_network"]

FORMAT = 1
_CODES, _SCALE = "weight.codes", "weight.scale"
# what reading, building and filling raise where a file's words or numbers are not what we wrote
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


def save_network(network: Network, path: Path) -> str:
    """Write the weights; returns the file's SHA-256.

    The network is frozen on the way: its quantized weights become the values that are written, so
    that a trace recorded afterwards is one of this very file.
    """
    about = {
        "format": str(FORMAT),
        "spec": json.dumps(network.spec.to_dict()),
        "temperatures": json.dumps(network.temperatures),
    }
    data = _in_order(save_tensors(_packed(network), metadata=about))
    with replacing(path) as draft:
        draft.write_bytes(data)
    return sha256_of(path)


def load_network(path: Path, *, expect_sha256: str | None = None) -> Network:
    """Read a network that `save_network` wrote, ready for inference.

    Args:
        expect_sha256: what the card says of the file.

    Raises:
        WeightsError: no such file, a damaged or foreign one, or no safetensors at all.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"There are no weights at {path}; train the network first.") from error
    if expect_sha256 is not None and hashlib.sha256(data).hexdigest() != expect_sha256:
        raise WeightsError(
            f"{path} is not the file its card describes (SHA-256 differs); fetch or train it again."
        )
    about = _metadata(data, path)
    try:
        spec = Spec.from_dict(json.loads(about["spec"]))
        with torch.device("meta"):  # what a damaged header asks for is never allocated
            network = build(spec)
        _unpack_into(network, load_tensors(data))
        network.temperatures = _checked_temperatures(
            json.loads(about["temperatures"]), exits=len(spec.exits) + 1
        )
    except HybridError as error:
        raise WeightsError(f"{path} describes no network: {error}") from error
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise WeightsError(
            f"{path} does not hold this network's weights ({reason}); fetch or train it again."
        ) from error
    return network.eval()


def _metadata(data: bytes, path: Path) -> dict[str, Any]:
    """The header's metadata; a pickle or anything else that is no safetensors ends here."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        about = header["__metadata__"]
        version = about["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{path} is no whole safetensors file of this project; other formats are not read."
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
    """Give a network on the meta device the tensors of a file; nothing is allocated beside them.

    Raises:
        ValueError: tensors missing, too many, or of another shape or type.
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
        raise ValueError(f"{key} is {zero}, no code of {layer.activation_bits} bits")


def _checked_temperatures(values: object, *, exits: int) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != exits:
        raise ValueError(f"{exits} exits need as many temperatures")
    checked = tuple(float(value) for value in values)
    if not all(0 < value < math.inf for value in checked):
        raise ValueError(f"temperatures {checked} must be above 0")
    return checked
