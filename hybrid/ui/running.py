"""Networks that run for a page: loaded once for all sessions, bounded, one forward pass at a time.

    with running.gate():
        answer = running.network(name, variant).infer(…)     # never twice at once
    image_run = running.image_run(pixels, name, variant, thresholds, measure)

Torch is imported when the first network is loaded, not before.
"""

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.inference import single
from hybrid.inference.single import ImageRun
from hybrid.ui.jobs import Turns, spare_a_core

if TYPE_CHECKING:
    from hybrid.models import Network

__all__ = ["gate", "image_run", "network"]


@st.cache_resource(max_entries=1, show_spinner=False)
def gate() -> Turns:
    """What a forward pass holds: torch uses all cores by itself, and two at once only wait."""
    return Turns()


def network(name: str, variant: str) -> "Network":
    """The variant's network, run once already, so that its first answer is as fast as the next.

    Raises:
        UnknownNameError, WeightsError: as `zoo.load`.
    """
    return _network(name, variant, zoo.card(name).variants[variant].files[zoo.WEIGHTS])


def image_run(
    pixels: NDArray[np.uint8],
    name: str,
    variant: str,
    thresholds: tuple[float, ...],
    measure: str,
) -> ImageRun:
    """What happens to one image; the same question is answered from memory.

    Args:
        pixels: (h, w, channels), what the network sees.
    """
    sha256 = zoo.card(name).variants[variant].files[zoo.WEIGHTS]
    return _trial(pixels.tobytes(), pixels.shape, name, variant, sha256, thresholds, measure)


@st.cache_resource(max_entries=6, show_spinner=False)
def _network(name: str, variant: str, sha256: str) -> "Network":  # noqa: ARG001  # in the key
    import torch

    spare_a_core()
    chosen = zoo.card(name).variants[variant]
    loaded = zoo.load_variant(name, chosen)
    spec = loaded.spec
    with gate():
        blank = torch.zeros(1, spec.channels, spec.size, spec.size)
        loaded.infer(blank, (1.0,) * chosen.early_exits)
    return loaded


@st.cache_data(max_entries=4096, show_spinner=False)
def _trial(
    pixels: bytes,
    shape: tuple[int, ...],
    name: str,
    variant: str,
    sha256: str,
    thresholds: tuple[float, ...],
    measure: str,
) -> ImageRun:
    card = zoo.card(name)
    loaded = _network(name, variant, sha256)
    with gate():
        return single.run(
            loaded,
            np.frombuffer(pixels, dtype=np.uint8).reshape(shape),
            card=card,
            variant=card.variants[variant],
            thresholds=thresholds,
            measure=measure,
        )
