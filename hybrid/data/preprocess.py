"""Pictures to what a network sees, and that to the numbers it computes with. No torch.

`preprocess` is for pictures of any size; `normalise` for pixels already at the network's size.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.errors import UnknownNameError

__all__ = ["NORMALISATION", "mean_and_deviation", "normalise", "preprocess"]

# Mean and standard deviation per channel of each data set's train split, pixels in [0, 1].
NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.3067,), (0.3772,)),
    "cifar10": ((0.4912, 0.4821, 0.4464), (0.2470, 0.2435, 0.2617)),
    "cifar100": ((0.5072, 0.4868, 0.4414), (0.2675, 0.2565, 0.2763)),
}
# What image folders are normalised with: ImageNet's, which most trained models expect.
_FOLDERS = {
    1: ((0.449,), (0.226,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
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
    numbers = mean_and_deviation(dataset, channels=images.shape[-1])
    mean, deviation = (np.array(row, dtype=np.float32) for row in numbers)
    scaled = images.astype(np.float32) / np.float32(255)
    channels_last = (scaled - mean) / deviation
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


def mean_and_deviation(
    dataset: str, *, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of each channel, pixels in [0, 1]; of an image folder, named by its whole path, ImageNet's.

    Raises:
        UnknownNameError: the data set has no mean and deviation here.
    """
    if dataset in NORMALISATION:
        return NORMALISATION[dataset]
    if not Path(dataset).is_absolute():
        raise UnknownNameError("data set", dataset, NORMALISATION)
    return _FOLDERS[channels]


def _centre_square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
