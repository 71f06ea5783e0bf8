"""Networks as lists of stages with a cut, exits and bit widths."""

from hybrid.networks.adapted import build
from hybrid.networks.architectures import ARCHITECTURES
from hybrid.networks.network import EdgeOutput, Inference, Network
from hybrid.networks.spec import Reference, Spec

__all__ = ["ARCHITECTURES", "EdgeOutput", "Inference", "Network", "Reference", "Spec", "build"]
