"""Networks as lists of stages with a cut, exits and bit widths."""

from hybrid.networks.architectures import ARCHITECTURES
from hybrid.networks.network import EdgeOutput, Inference, Network, build
from hybrid.networks.spec import Spec

__all__ = ["ARCHITECTURES", "EdgeOutput", "Inference", "Network", "Spec", "build"]
