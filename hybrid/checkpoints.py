"""A network's weights to a safetensors file and back, quantized ones packed at their bit width."""

import json
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
from hybrid.quant import QuantConv2d, to_codes, weight_levels

__all__ = ["FORMAT", "load_network", "save_network"]

FORMAT = 1
_CODES, _SCALE = "weight.codes", "weight.scale"


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
    data = save_tensors(_packed(network), metadata=about)
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
    if expect_sha256 is not None and sha256_of(path) != expect_sha256:
        raise WeightsError(
            f"{path} is not the file its card describes (SHA-256 differs); fetch or train it again."
        )
    about = _metadata(data, path)
    try:
        spec = Spec.from_dict(json.loads(about["spec"]))
        network = build(spec)
        _unpack_into(network, load_tensors(data))
        network.temperatures = tuple(float(t) for t in json.loads(about["temperatures"]))
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path} does not hold this network's weights: {error}.") from error
    except HybridError as error:
        raise WeightsError(f"{path} describes no network: {error}") from error
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


@torch.no_grad()
def _packed(network: Network) -> dict[str, Tensor]:
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in network.state_dict().items()}
    for name, layer in quantized_layers(network).items():
        codes, scale = _encode(layer)
        bits = layer.weight_bits
        packed = np.frombuffer(pack(codes.cpu().numpy(), bits=bits), dtype=np.uint8)
        del tensors[f"{name}.weight"]
        tensors.pop(f"{name}.weight_log_step", None)
        tensors[f"{name}.{_CODES}"] = torch.from_numpy(packed.copy())
        tensors[f"{name}.{_SCALE}"] = scale.cpu().flatten().contiguous().clone()
        layer.weight.copy_(_decode(codes, scale, bits=bits))
        layer.frozen = True
    return tensors


def _encode(layer: QuantConv2d) -> tuple[Tensor, Tensor]:
    """Codes from 0 (uint8, the weight's shape) and one scale per output channel."""
    weight = layer.weight
    if layer.weight_bits == 1:
        scale = weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        return (weight >= 0).to(torch.uint8), scale
    step = layer.weight_step
    return to_codes(weight, step, weight_levels(layer.weight_bits)), step


def _decode(codes: Tensor, scale: Tensor, *, bits: int) -> Tensor:
    if bits == 1:
        return torch.where(codes > 0, scale, -scale)
    levels = weight_levels(bits)
    return (codes.float() + levels.low + levels.offset) * scale


@torch.no_grad()
def _unpack_into(network: Network, tensors: dict[str, Tensor]) -> None:
    for name, layer in quantized_layers(network).items():
        bits, shape = layer.weight_bits, tuple(layer.weight.shape)
        data = tensors.pop(f"{name}.{_CODES}").numpy()
        if data.dtype != np.uint8 or data.size != packed_bytes(shape, bits=bits):
            raise ValueError(f"{name} has {data.size} packed bytes for {shape} at {bits} bits")
        codes = torch.from_numpy(unpack(data, bits=bits, shape=shape))
        scale = tensors.pop(f"{name}.{_SCALE}").reshape(-1, 1, 1, 1)
        tensors[f"{name}.weight"] = _decode(codes, scale, bits=bits)
        if bits != 1:
            tensors[f"{name}.weight_log_step"] = scale.log()
        layer.frozen = True
    network.load_state_dict(tensors)
