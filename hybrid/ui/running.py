"""Networks that run for a page: loaded once for all sessions, bounded, one forward pass at a time.

    with running.gate():
        answer = running.network(name, variant).infer(…)     # never twice at once
    image_run = running.image_run(pixels, name, variant, thresholds, measure)

Torch is imported when the first network is loaded, not before.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from hybrid import zoo
from hybrid.inference import single
from hybrid.inference.single import ImageRun
from hybrid.ui.cache import cached, card_file
from hybrid.ui.jobs import Turns, spare_a_core

if TYPE_CHECKING:
    from hybrid.deploy.network import FormNetwork
    from hybrid.models import Network

__all__ = ["gate", "image_run", "network"]


@st.cache_resource(max_entries=1, show_spinner=False)
def gate() -> Turns:
    """Held during a forward pass: torch uses all cores by itself, so two at once only wait."""
    return Turns()


def _weights(name: str, variant: str) -> tuple[Path, ...]:
    return (*card_file(name), zoo.weights_path(name, variant))


@cached(entries=6, files=_weights)
def network(name: str, variant: str) -> "Network | FormNetwork":
    """The variant's network, run once already so that its first answer is as fast as the next.

    Raises:
        UnknownNameError, WeightsError, FormError: as `load_variant`.
    """
    import torch

    from hybrid.deploy.network import load_variant

    spare_a_core()
    chosen = zoo.card(name).recorded[variant]
    loaded = load_variant(name, chosen, engine="torch")  # nothing to compile first
    spec = loaded.spec
    with gate():
        blank = torch.zeros(1, spec.channels, spec.size, spec.size)
        loaded.infer(blank, (1.0,) * chosen.early_exits)
    return loaded


@cached(entries=4096, files=lambda _, name, variant, *__: _weights(name, variant))
def image_run(
    pixels: NDArray[np.uint8],
    name: str,
    variant: str,
    thresholds: tuple[float, ...],
    measure: str,
) -> ImageRun:
    """The run of one image; if repeated, it is read from the cache.

    Args:
        pixels: (h, w, channels), as the network gets them.
    """
    card, loaded = zoo.card(name), network(name, variant)
    with gate():
        return single.run(
            loaded,
            pixels,
            card=card,
            variant=card.recorded[variant],
            thresholds=thresholds,
            measure=measure,
        )
