"""Pictures to what a network sees, and that to the numbers it computes with. No torch.

`preprocess` is for pictures of any size; `normalise` for pixels already at the network's size.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.errors import UnknownNameError

__all__ = ["NORMALISATION", "normalise", "preprocess"]

# Mean and standard deviation per channel of each data set's train split, pixels in [0, 1].
NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.3067,), (0.3772,)),
    "cifar10": ((0.4912, 0.4821, 0.4464), (0.2470, 0.2435, 0.2617)),
    "cifar100": ((0.5072, 0.4868, 0.4414), (0.2675, 0.2565, 0.2763)),
}


def preprocess(picture: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """The largest centred square of `picture`, resized: uint8 (size, size, channels).

    A picture that has the network's size already passes unchanged, to the last bit.

    Args:
        picture: any mode Pillow converts to RGB or grey.
        channels: 1 (grey) or 3 (RGB).
    """
    square = _centre_square(picture.convert("RGB" if channels == 3 else "L"))
    if square.width != size:
        # Lanczos widens its window when it shrinks, so a large photograph does not alias.
        square = square.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square, dtype=np.uint8).reshape(size, size, channels).copy()


def normalise(images: NDArray[np.uint8], dataset: str) -> NDArray[np.float32]:
    """Pixels uint8 (n, h, w, c) to float32 (n, c, h, w) with the data set's mean 0, deviation 1.

    Raises:
        UnknownNameError: the data set has no mean and deviation here.
    """
    if dataset not in NORMALISATION:
        raise UnknownNameError("data set", dataset, NORMALISATION)
    mean, deviation = (np.array(row, dtype=np.float32) for row in NORMALISATION[dataset])
    scaled = images.astype(np.float32) / np.float32(255)
    channels_last = (scaled - mean) / deviation
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


def _centre_square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
