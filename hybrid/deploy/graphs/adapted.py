"""A user's model in ONNX: one graph per exit of the edge, one for the cloud. Floating point.

The graphs do what PyTorch does, in the runtime's own order of sums; so nothing here is exact.

    edge-1.onnx   pixels (n, h, w, channels) uint8 → logits, state
    edge-2.onnx   state → logits, state; the last gives `packed` (n, bytes) instead of a state
    cloud.onnx    packed (n, bytes) uint8 → logits
"""

import copy
import math
import warnings
from collections.abc import Sequence

import onnx
import torch
from torch import Tensor, nn

from hybrid.data.preprocess import mean_and_deviation
from hybrid.deploy.graphs.nodes import OPSET
from hybrid.errors import FormError
from hybrid.models import Network
from hybrid.models.network import quantized_layers
from hybrid.quant.layers import ActivationQuantizer
from hybrid.quant.levels import FULL_PRECISION

__all__ = ["EdgePart", "adapted_graphs", "edge_parts"]

PIXELS, STATE, LOGITS, PACKED = "pixels", "state", "logits", "packed"
_BYTE = 8


def adapted_graphs(network: Network, *, dataset: str) -> dict[str, bytes]:
    """The ONNX files of a network by name; equal networks give equal bytes.

    Raises:
        FormError: PyTorch cannot write a part of it as ONNX.
    """
    if not network.heads or network.uplink.bits == FULL_PRECISION:
        raise FormError(
            "Only a hybrid of 1 to 8 bits with early exits can be exported; adapt the model with "
            "exits, and name one of its bit widths."
        )
    network = _plain(network)
    parts = edge_parts(network, dataset=dataset)
    side = network.spec.size
    x = torch.zeros(1, side, side, network.spec.channels, dtype=torch.uint8)
    files = {}
    for number, part in enumerate(parts, 1):
        outputs = [LOGITS] * part.has_exit + [STATE if number < len(parts) else PACKED]
        name = PIXELS if number == 1 else STATE
        files[f"edge-{number}.onnx"] = _exported(part, x, [name], outputs)
        x = part(x)[-1]
    files["cloud.onnx"] = _exported(_Cloud(network), x, [PACKED], [LOGITS])
    return files


def edge_parts(network: Network, *, dataset: str) -> list["EdgePart"]:
    """The edge segment, divided after each exit; the last part packs what is sent."""
    ends = [*(stage + 1 for stage in network.exit_stages), network.cut + 1]
    starts = [0, *ends[:-1]]
    return [
        EdgePart(network, start, end, dataset=dataset, last=number == len(ends))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]


class EdgePart(nn.Module):
    """Stages of the edge up to an exit or the cut.

    Attributes:
        has_exit: whether it gives logits; else it only leads from the last exit to the cut.
    """

    def __init__(self, network: Network, start: int, end: int, *, dataset: str, last: bool) -> None:
        super().__init__()
        self._network, self._last = network, last
        self.stages = network.stages[start:end]
        self.head = None if last else network.heads[str(end - 1)]
        self.has_exit = not last
        self._normalises = start == 0
        mean, deviation = mean_and_deviation(dataset, channels=network.spec.channels)
        self.mean, self.deviation = (
            torch.tensor(one).reshape(1, -1, 1, 1) for one in (mean, deviation)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Pixels or a state; to logits and the next state, or to the bytes for the cloud."""
        if self._normalises:
            x = (x.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.deviation
        for stage in self.stages:
            x = stage(x)
        if self.head is not None:
            return self.head(x), x
        uplink = self._network.uplink
        sent = self._network._sent(x)  # noqa: SLF001  # no other module has a use for it
        codes = torch.round(sent / uplink.step)
        return (_packed(codes, uplink.bits),)


class _Cloud(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, packed: Tensor) -> Tensor:
        """Bytes to logits."""
        network = self.network
        codes = _unpacked(packed, network.uplink.bits, network.feature_shape)
        logits: Tensor = network.cloud(codes * network.uplink.step)
        return logits


class _Levels(nn.Module):
    """An `ActivationQuantizer` of 2 to 8 bits at inference, without what is learned."""

    calibrate = False

    def __init__(self, of: ActivationQuantizer) -> None:
        super().__init__()
        self.bits, self.step = of.bits, of.step.detach().clone()
        self.low, self.high = float(of.levels.low), float(of.levels.high)

    def forward(self, x: Tensor) -> Tensor:
        """The nearest levels."""
        return (x / self.step).round().clamp(self.low, self.high) * self.step


class _Signs(nn.Module):
    """One of 1 bit."""

    def __init__(self, of: ActivationQuantizer) -> None:
        super().__init__()
        self.shift = of.shift.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Signs around the shift."""
        return torch.where(x >= self.shift, 1.0, -1.0)


def _plain(network: Network) -> Network:
    """A copy whose layers do what they do at inference, in operators that ONNX has."""
    made = copy.deepcopy(network).eval()
    for layer in quantized_layers(made).values():
        layer.freeze()
    for module in list(made.modules()):
        for name, child in module.named_children():
            if isinstance(child, ActivationQuantizer) and child.bits != FULL_PRECISION:
                setattr(module, name, _Signs(child) if child.bits == 1 else _Levels(child))
    return made


def _packed(codes: Tensor, bits: int) -> Tensor:
    """Codes (n, *shape) to bytes, in the order of `hybrid.quant.packing`."""
    flags = _flags(codes.flatten(1), bits).flatten(1)  # the lowest bit of each code first
    spare = -flags.shape[1] % _BYTE
    octets = nn.functional.pad(flags, (0, spare)).reshape(codes.shape[0], -1, _BYTE)
    return torch.matmul(octets, _powers(_BYTE)).to(torch.uint8)


def _unpacked(packed: Tensor, bits: int, shape: Sequence[int]) -> Tensor:
    values = math.prod(shape)
    flags = _flags(packed.float(), _BYTE).flatten(1)[:, : values * bits]
    codes = torch.matmul(flags.reshape(packed.shape[0], values, bits), _powers(bits))
    return codes.reshape(packed.shape[0], *shape)


def _flags(whole: Tensor, bits: int) -> Tensor:
    """(n, m) whole numbers to (n, m, bits) zeros and ones, the lowest first."""
    halved = torch.floor(whole.unsqueeze(2) / _powers(bits))
    return halved - 2 * torch.floor(halved / 2)


def _powers(bits: int) -> Tensor:
    return 2.0 ** torch.arange(bits, dtype=torch.float32)


def _exported(part: nn.Module, x: Tensor, inputs: list[str], outputs: list[str]) -> bytes:
    """A module as ONNX, for any number of images."""
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own packages
            program = torch.onnx.export(
                part.eval(),
                (torch.cat([x, x]),),  # a batch of 1 would be taken for a constant
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=({0: torch.export.Dim("n")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except ImportError as error:
        raise FormError(
            f"Exporting your own model needs the package {error.name}; pip install hybrid[deploy] "
            "brings it."
        ) from error
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip()
        reason = cause.partition("\n")[0].rstrip(".")[:200]
        raise FormError(f"PyTorch cannot write this model as ONNX: {reason}.") from error
    assert program is not None
    model = program.model_proto
    _forget_origins(model.graph)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _forget_origins(graph: onnx.GraphProto) -> None:
    """Remove what names lines and folders of this machine."""
    for one in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        del one.metadata_props[:]
        one.doc_string = ""
    del graph.metadata_props[:]
