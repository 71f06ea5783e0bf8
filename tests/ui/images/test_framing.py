"""Pictures that are not square: what the network gets is framed, the rest is darker."""

import numpy as np
import pytest
from PIL import Image

from hybrid.ui.images import framing


@pytest.mark.parametrize("fit, dark", [("crop", 2 / 3), ("stretch", 0), ("letterbox", 0)])
def test_the_part_outside_is_darker(fit: str, dark: float) -> None:
    shown = np.asarray(framing.outlined(Image.new("RGB", (240, 80), "white"), fit))

    grey = (shown == int(255 * 0.45)).all(axis=-1).mean()
    assert shown.shape == (80, 240, 3)
    assert grey == pytest.approx(dark, abs=0.01)


def test_the_sentence_says_what_the_network_gets() -> None:
    assert framing.words("letterbox") == "The network gets all of it, with black bars."
