"""The layers of a network, counted by running one sample through it, not read from tables.

Any subclass of a convolution or linear layer is counted. Its bit widths are its attributes
`weight_bits` and `activation_bits`, or 32. In a user's model, attention, transposed convolutions
and products of matrices are counted too, as they were measured when it was traced. Norms,
activations, pooling and biases have no multiply-accumulates and are left out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybrid.energy import Layer
from hybrid.models import Network
from hybrid.models.pieces import OtherWork, Piece
from hybrid.quant.layers import QuantLinear

__all__ = ["census"]

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

Counted = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where in the network a layer is."""

    name: str
    stage: int
    segment: str
    exit: int | None = None


def census(network: Network) -> list[Layer]:
    """The layers of a network in the order in which one sample passes them.

    In a static network every layer belongs to the edge segment: it runs wholly on the device. The
    network's training mode is restored, even if the run fails.
    """
    places = dict(_places(network))
    layers: list[Layer] = []
    handles = [
        module.register_forward_hook(
            _other_counter(module, place, layers)
            if isinstance(module, Piece)
            else _counter(place, layers)
        )
        for module, place in places.items()
    ]
    try:
        with _evaluating(network), torch.inference_mode():
            network(_one_sample(network))
    finally:
        for handle in handles:
            handle.remove()
    return layers


def _places(network: Network) -> Iterator[tuple[nn.Module, _Place]]:
    for index, stage in enumerate(network.stages):
        segment = "edge" if network.spec.static or index <= network.cut else "cloud"
        for name, module in _counted(stage, f"stages.{index}"):
            yield module, _Place(name=name, stage=index, segment=segment)
    for number, index in enumerate(network.exit_stages):
        for name, module in _counted(network.heads[str(index)], f"heads.{index}"):
            yield module, _Place(name=name, stage=index, segment="head", exit=number)
    segment = "edge" if network.spec.static else "cloud"
    for name, module in _counted(network.classifier, "classifier"):
        yield module, _Place(name=name, stage=-1, segment=segment)


def _counted(part: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Layers by name, and the pieces of a user's model, which know what else they compute."""
    inner: set[nn.Module] = set()  # layers inside of others, such as attention, count with these
    for name, module in part.named_modules(prefix=prefix):
        if isinstance(module, Piece):
            inner = set(module.modules()) - {module, *module.layers().values()}
            yield name, module
        elif isinstance(module, COUNTED) and module not in inner:
            yield name, module


def _counter(
    place: _Place, layers: list[Layer]
) -> Callable[[Counted, tuple[Tensor, ...], Tensor], None]:
    def count(module: Counted, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layers.append(_layer(place, module, inputs[0], output))

    return count


def _other_counter(piece: Piece, place: _Place, layers: list[Layer]) -> Callable[..., None]:
    def count(*_: object) -> None:
        layers.extend(_other_layer(place, work) for work in piece.other_work)

    return count


def _other_layer(place: _Place, work: OtherWork) -> Layer:
    return Layer(
        name=f"{place.name}.{work.name}",
        stage=place.stage,
        segment=place.segment,
        exit=place.exit,
        kind=work.kind,
        macs=work.macs,
        fan_in=work.fan_in,
        weight_bits=32,
        activation_bits=32,
        weights=work.weights,
        inputs=work.inputs,
        outputs=work.outputs,
        output_shape=(work.outputs,),
        packed_bytes=4 * work.weights,
    )


def _layer(place: _Place, module: Counted, given: Tensor, output: Tensor) -> Layer:
    weight = module.weight  # (out, in / groups, …kernel)
    fan_in = weight[0].numel()
    weight_bits = int(getattr(module, "weight_bits", 32))
    return Layer(
        name=place.name,
        stage=place.stage,
        segment=place.segment,
        exit=place.exit,
        kind="linear" if isinstance(module, nn.Linear | QuantLinear) else "conv",
        macs=output.numel() * fan_in,
        fan_in=fan_in,
        weight_bits=weight_bits,
        activation_bits=int(getattr(module, "activation_bits", 32)),
        weights=weight.numel(),
        inputs=given.numel(),
        outputs=output.numel(),
        output_shape=tuple(output.shape[1:]),
        packed_bytes=-(-weight.numel() * weight_bits // 8),
    )


def _one_sample(network: Network) -> Tensor:
    spec = network.spec
    like = next(network.parameters())
    shape = (1, spec.channels, spec.size, spec.size)
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block, so that batch norm does not learn from the sample."""
    was_training = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, training in was_training.items():
            module.training = training
