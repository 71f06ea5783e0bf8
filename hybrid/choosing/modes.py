"""Deployment modes: where a variant's layers run, and which of its exits answer.

A mode reduces a variant to a list of exits, so that every candidate is counted, priced and
certified in the same way. To add a mode, write a subclass and add it to `MODES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hybrid import energy, evaluation, zoo
from hybrid.choosing.search import Options
from hybrid.energy import ExitCosts, Layer
from hybrid.evaluation import Prices

if TYPE_CHECKING:
    from hybrid.choosing.candidates import Candidate

__all__ = ["MODES", "Mode", "edge_memory_bytes", "modes_of"]

Floats = npt.NDArray[np.float64]


class Mode(ABC):
    """A variant on the device, with all its exits."""

    name: str

    @abstractmethod
    def takes(self, variant: zoo.Variant) -> bool:
        """Whether a variant can be deployed in this mode."""

    def costs(self, of: "Candidate", prices: Prices) -> ExitCosts:
        """Costs of one sample at each exit of this mode."""
        return evaluation.costs(of.variant, prices)

    def memory_bytes(self, of: "Candidate") -> float:
        """Memory that the device needs."""
        return edge_memory_bytes(of.variant.layers)

    def exits(self, all_exits: int) -> int:
        """How many of a variant's exits answer, counted from the first."""
        return all_exits

    def offered(self, found: Options) -> Options:
        """The threshold combinations that are points of this mode."""
        return found

    def searched(self, thresholds: Sequence[float]) -> Sequence[float]:
        """The thresholds of a point that matter in this mode."""
        return thresholds

    def all_thresholds(self, searched: Floats) -> Floats:
        """(m, early of the variant): the inverse of `searched`, for many points."""
        return searched

    def all_fractions(self, fractions: tuple[float, ...]) -> tuple[float, ...]:
        """Exit fractions with one entry per exit of the variant."""
        return fractions


class EdgeOnly(Mode):
    """A hybrid without the cloud: its last early exit answers every sample that reaches it."""

    name = "edge"

    def takes(self, variant: zoo.Variant) -> bool:
        return not variant.is_static and variant.early_exits > 0

    def costs(self, of: "Candidate", prices: Prices) -> ExitCosts:
        paid = evaluation.costs(of.variant, prices)
        return ExitCosts(
            energy_pj=paid.energy_pj[:-1],
            latency_ms=paid.latency_ms[:-1],
            uplink_bytes=paid.uplink_bytes[:-1],
        )

    def exits(self, all_exits: int) -> int:
        return all_exits - 1

    def searched(self, thresholds: Sequence[float]) -> Sequence[float]:
        return thresholds[:-1]

    def all_thresholds(self, searched: Floats) -> Floats:
        return np.column_stack([searched, np.zeros(len(searched))])  # every sample leaves at 0

    def all_fractions(self, fractions: tuple[float, ...]) -> tuple[float, ...]:
        return (*fractions, 0.0)


class Hybrid(Mode):
    """A cut network: samples leave early or go to the cloud."""

    name = "hybrid"

    def takes(self, variant: zoo.Variant) -> bool:
        return not variant.is_static

    def offered(self, found: Options) -> Options:
        asks = found.exit_counts[:, -1] > 0  # the others are points of `EdgeOnly`
        return found.take(asks) if asks.any() else found


class Static(Mode):
    """A static network on the device."""

    name = "static"

    def takes(self, variant: zoo.Variant) -> bool:
        return variant.is_static


class Cloud(Mode):
    """Every raw image is sent, and the full-precision network in the cloud answers."""

    name = "cloud"

    def takes(self, variant: zoo.Variant) -> bool:
        return variant.name == zoo.TWIN

    def costs(self, of: "Candidate", prices: Prices) -> ExitCosts:
        return evaluation.cloud_costs(of.card, of.variant, prices)

    def memory_bytes(self, of: "Candidate") -> float:
        return of.card.image_bytes


# Among equally good points, that of the earlier mode wins: modes without the cloud come first.
MODES: dict[str, Mode] = {mode.name: mode for mode in (EdgeOnly(), Hybrid(), Static(), Cloud())}


def modes_of(variant: zoo.Variant) -> list[Mode]:
    """The modes that a variant can be deployed in."""
    return [mode for mode in MODES.values() if mode.takes(variant)]


def edge_memory_bytes(layers: Sequence[Layer]) -> float:
    """Bytes that the device needs: packed weights, and the most that one layer holds.

    A layer holds its inputs and outputs at the width of its activations. Not counted, because not
    in the census: the tensor that a shortcut keeps in memory, biases, and the program.
    """
    own = [layer for layer in layers if layer.segment != "cloud"]
    largest = max(((e.inputs + e.outputs) * e.activation_bits / 8 for e in own), default=0.0)
    return energy.edge_weight_bytes(layers) + largest
