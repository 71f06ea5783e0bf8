"""Networks as lists of stages with a cut, exits and bit widths."""

from hybrid.models.adapted import build
from hybrid.models.architectures import ARCHITECTURES
from hybrid.models.network import EdgeOutput, Inference, Network
from hybrid.models.spec import Reference, Spec

__all__ = ["ARCHITECTURES", "EdgeOutput", "Inference", "Network", "Reference", "Spec", "build"]
