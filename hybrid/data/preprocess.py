"""Network input from image files: `read_input` gives pixels, `normalise` floats. Needs no torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hybrid.data.images import read_image
from hybrid.errors import UnknownNameError

__all__ = [
    "CROP",
    "FITS",
    "NORMALISATION",
    "STRETCH",
    "check_fit",
    "mean_and_deviation",
    "normalise",
    "preprocess",
    "read_input",
    "seen_box",
]

# How a picture that is not square becomes one.
CROP, STRETCH, LETTERBOX = "crop", "stretch", "letterbox"
FITS = {
    CROP: "the largest square in its middle",
    STRETCH: "all of it, distorted to a square",
    LETTERBOX: "all of it, with black bars",
}

# Mean and standard deviation per channel of each data set's train split, pixels in [0, 1].
NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.3067,), (0.3772,)),
    "cifar10": ((0.4912, 0.4821, 0.4464), (0.2470, 0.2435, 0.2617)),
    "cifar100": ((0.5072, 0.4868, 0.4414), (0.2675, 0.2565, 0.2763)),
}
# Image folders are normalised with ImageNet's, which most trained models expect.
_FOLDERS = {
    1: ((0.449,), (0.226,)),
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def check_fit(fit: str) -> str:
    """The name of a fit, if there is one.

    Raises:
        UnknownNameError: no such fit.
    """
    if fit not in FITS:
        raise UnknownNameError("fit", fit, FITS)
    return fit


def read_input(
    name: str,
    content: bytes,
    *,
    size: int,
    channels: int,
    fit: str = CROP,
    inverted: bool = False,
) -> NDArray[np.uint8]:
    """An image file as a network sees it: uint8 (size, size, channels).

    Args:
        name: of the file, for the error's sentence.
        channels: 1 (grey) or 3 (RGB).
        fit, inverted: as for `preprocess`.

    Raises:
        ImageError: the content is not an image; the sentence names the file.
    """
    picture = read_image(name, content, size=size)
    return preprocess(picture, size, channels, fit=fit, inverted=inverted)


def preprocess(
    picture: Image.Image, size: int, channels: int, *, fit: str = CROP, inverted: bool = False
) -> NDArray[np.uint8]:
    """`picture` as a square of the network's size: uint8 (size, size, channels).

    A picture that already has the network's size passes unchanged, bit for bit.

    Args:
        picture: any mode Pillow converts to RGB or grey.
        channels: 1 (grey) or 3 (RGB).
        fit: a name in `FITS`. The bars of a letterbox are black.
        inverted: exchange light and dark.
    """
    whole = picture.convert("RGB" if channels == 3 else "L")
    if inverted:
        whole = ImageOps.invert(whole)
    part = whole.crop(seen_box(whole.size)) if fit == CROP else whole
    wide, high = (size, size)
    if fit == LETTERBOX:
        longest = max(whole.size)
        wide, high = (max(1, round(size * side / longest)) for side in whole.size)
    if part.size != (wide, high):
        # Lanczos widens its window when it shrinks, so a large photograph does not alias.
        part = part.resize((wide, high), Image.Resampling.LANCZOS)
    if (wide, high) != (size, size):
        bars = Image.new(part.mode, (size, size))
        bars.paste(part, ((size - wide) // 2, (size - high) // 2))
        part = bars
    return np.asarray(part, dtype=np.uint8).reshape(size, size, channels).copy()


def seen_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest centred square of a picture: left, top, right, bottom.

    >>> seen_box((300, 100))
    (100, 0, 200, 100)
    """
    width, height = size
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def normalise(images: NDArray[np.uint8], dataset: str) -> NDArray[np.float32]:
    """Pixels uint8 (n, h, w, c) to float32 (n, c, h, w), of mean 0 and standard deviation 1.

    Raises:
        UnknownNameError: no mean and deviation are known for the data set.
    """
    numbers = mean_and_deviation(dataset, channels=images.shape[-1])
    mean, deviation = (np.array(row, dtype=np.float32) for row in numbers)
    scaled = images.astype(np.float32) / np.float32(255)
    channels_last = (scaled - mean) / deviation
    return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))


def mean_and_deviation(
    dataset: str, *, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, for pixels in [0, 1]; ImageNet's for an image folder, named by its full path.

    Raises:
        UnknownNameError: no mean and deviation are known for the data set.
    """
    if dataset in NORMALISATION:
        return NORMALISATION[dataset]
    if not Path(dataset).is_absolute():
        raise UnknownNameError("data set", dataset, NORMALISATION)
    return _FOLDERS[channels]
