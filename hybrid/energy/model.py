"""Energy, latency and uplink traffic of a network, from its census of layers and a profile.

This module does not know how a network is run or how many samples take each exit.

A sample that leaves at exit e pays for the stages and all exit heads up to e; one that takes the
final exit pays for every layer. Scopes:

    compute           MACs on both sides of the cut; the radio is left out
    compute + memory  plus memory: each layer reads weights and inputs and writes outputs once
    device            edge compute + memory + radio; the cloud uses no battery energy

The cloud is priced like the device, unless it is given a profile of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybrid.energy.profiles import (
    DEFAULT_LINK,
    DEFAULT_PROFILE,
    Link,
    Profile,
    link_names,
    load_link,
    load_profile,
    own_folder,
    profile_names,
)
from hybrid.errors import UnknownNameError

__all__ = [
    "DEFAULT_LINK",
    "DEFAULT_PROFILE",
    "SCOPES",
    "ExitCosts",
    "Layer",
    "Link",
    "Profile",
    "by_part",
    "check_scope",
    "costs",
    "edge_weight_bytes",
    "layer_energy_pj",
    "link_names",
    "load_link",
    "load_profile",
    "own_folder",
    "profile_names",
    "twin_energy_pj",
]

SCOPES = ("compute", "compute + memory", "device")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One convolution or linear layer, as counted by the census for a single sample.

    stage is −1 for the final classifier; exit is the exit index of a head, else None. weights,
    inputs and outputs count numbers, not bytes; packed_bytes is the size of the weights at their
    bit width.
    """

    name: str
    stage: int
    segment: str  # edge, head or cloud
    exit: int | None
    kind: str  # conv or linear
    macs: int
    fan_in: int
    weight_bits: int
    activation_bits: int
    weights: int
    inputs: int
    outputs: int
    output_shape: tuple[int, ...]
    packed_bytes: int

    @property
    def bits(self) -> int:
        """Bit width at which a MAC of this layer is charged: that of its wider operand."""
        return max(self.weight_bits, self.activation_bits)


@dataclass(frozen=True, kw_only=True)
class ExitCosts:
    """Costs of one sample by the exit it takes; one number per exit, the final exit last."""

    energy_pj: tuple[float, ...]
    latency_ms: tuple[float, ...]
    uplink_bytes: tuple[float, ...]


def check_scope(scope: str) -> str:
    """Return the scope if it is valid, else raise UnknownNameError."""
    if scope not in SCOPES:
        raise UnknownNameError("scope", scope, SCOPES)
    return scope


def layer_energy_pj(
    layer: Layer, profile: Profile, scope: str, cloud: Profile | None = None
) -> float:
    """Energy to run one layer on one sample; in the scope `device`, a cloud layer is free.

    Args:
        profile: of the device.
        cloud: of the cloud; the device's by default.
    """
    if layer.segment == "cloud":
        if check_scope(scope) == "device":
            return 0.0
        profile = cloud or profile
    compute = layer.macs * profile.mac_pj(layer.weight_bits, layer.activation_bits, layer.fan_in)
    if check_scope(scope) == "compute":
        return compute
    # Outputs are written at the width this layer computes with. The next layer's quantizer may
    # narrow them; its extra read is not priced.
    activations = (layer.inputs + layer.outputs) * profile.access_pj(layer.activation_bits)
    return compute + layer.weights * profile.access_pj(layer.weight_bits) + activations


def edge_weight_bytes(layers: Sequence[Layer]) -> int:
    """Bytes of packed weights on the device: edge layers and heads, each layer counted once."""
    return sum({one.name: one.packed_bytes for one in layers if one.segment != "cloud"}.values())


def costs(
    layers: Sequence[Layer],
    *,
    exits: int,
    uplink_bytes: float,
    profile: Profile,
    link: Link,
    scope: str,
    radio: bool,
    cloud: Profile | None = None,
) -> ExitCosts:
    """Costs of one sample at each exit.

    Args:
        layers: the census of the whole network.
        exits: number of early exits.
        uplink_bytes: payload and header of one sample sent to the cloud.
        profile, cloud: of the device and of the cloud; the cloud has the device's by default.
        radio: False if nothing is sent, as in a static network: all its layers are edge layers.
    """
    payload = float(uplink_bytes) if radio else 0.0
    energy_pj, latency_ms = [], []
    for taken in range(exits + 1):
        run = [layer for layer in layers if _runs(layer, layers, taken=taken, exits=exits)]
        sent = payload if taken == exits else 0.0
        layers_pj = sum(layer_energy_pj(layer, profile, scope, cloud) for layer in run)
        energy_pj.append(layers_pj + _radio_pj(sent, link, scope))
        travel_ms = link.round_trip_ms + link.transfer_ms(sent) if radio and taken == exits else 0.0
        layers_ms = sum(_layer_ms(layer, profile, cloud) for layer in run)
        latency_ms.append(layers_ms + travel_ms)
    return ExitCosts(
        energy_pj=tuple(energy_pj),
        latency_ms=tuple(latency_ms),
        uplink_bytes=(*(0.0,) * exits, payload),
    )


def by_part(
    layers: Sequence[Layer],
    *,
    exits: int,
    exit_fractions: Sequence[float],
    uplink_bytes: float,
    profile: Profile,
    link: Link,
    scope: str,
    radio: bool,
    cloud: Profile | None = None,
) -> dict[str, float]:
    """Mean energy per sample of each part, in pJ; the values sum to the mean of `costs`.

    The parts, in the order in which a sample passes them: stem, stage 1, …, classifier (of a
    static network), heads, radio, cloud. A part that costs nothing in this scope is listed as 0.

    Args:
        exit_fractions: share of the samples that take each exit, the final exit last.
        profile, cloud: as in `costs`.
    """
    parts: dict[str, float] = {}
    for layer in layers:
        share = sum(
            fraction
            for taken, fraction in enumerate(exit_fractions)
            if _runs(layer, layers, taken=taken, exits=exits)
        )
        part = _part(layer)
        parts[part] = parts.get(part, 0.0) + share * layer_energy_pj(layer, profile, scope, cloud)
    sent = uplink_bytes * exit_fractions[-1] if radio else 0.0
    ends = {"heads": 0.0, "radio": 0.0, "cloud": 0.0}
    last = {part: parts.pop(part, 0.0) for part in ends}
    return parts | last | {"radio": _radio_pj(sent, link, scope)}


def twin_energy_pj(
    layers: Sequence[Layer], *, profile: Profile, link: Link, scope: str, image_bytes: float
) -> float:
    """Energy per sample of the baseline.

    In the two compute scopes, the baseline is the full-precision twin: every layer at 32 bits and
    no early exit. In `device`, it is sending the raw image without computing at the edge.
    """
    if check_scope(scope) == "device":
        return link.energy_pj(image_bytes)
    full = (replace(layer, weight_bits=32, activation_bits=32) for layer in layers)
    return sum(layer_energy_pj(layer, profile, scope) for layer in full if layer.exit is None)


def _runs(layer: Layer, layers: Sequence[Layer], *, taken: int, exits: int) -> bool:
    """True if a sample that takes this exit runs this layer."""
    if taken == exits:
        return True
    if layer.exit is not None:
        return layer.exit <= taken
    last_stage = max(head.stage for head in layers if head.exit == taken)
    return 0 <= layer.stage <= last_stage


def _radio_pj(uplink_bytes: float, link: Link, scope: str) -> float:
    return link.energy_pj(uplink_bytes) if scope == "device" else 0.0


def _layer_ms(layer: Layer, profile: Profile, cloud: Profile | None) -> float:
    if layer.segment == "cloud":
        return layer.macs / (cloud or profile).cloud_macs_per_second * 1000
    return layer.macs / profile.edge_macs_per_second(layer.bits) * 1000


def _part(layer: Layer) -> str:
    if layer.segment != "edge":
        return {"head": "heads", "cloud": "cloud"}[layer.segment]
    return {-1: "classifier", 0: "stem"}.get(layer.stage, f"stage {layer.stage}")
