"""Images as a worse camera would give them: uint8 in, uint8 out, at five strengths.

Source of the strengths: CIFAR-10-C, Hendrycks & Dietterich, "Benchmarking Neural Network Robustness
to Common Corruptions and Perturbations", ICLR 2019.
"""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.errors import UnknownNameError

__all__ = ["CORRUPTIONS", "STRENGTHS", "corrupt"]

Images = NDArray[np.uint8]
Floats = NDArray[np.float64]

STRENGTHS = (1, 2, 3, 4, 5)
_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation, of pixels from 0 to 1
_BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # standard deviation, in pixels
_BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)  # added to the value of HSV
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # factor of the distance from the mean
_JPEG = (80, 65, 58, 50, 40)  # quality


def corrupt(images: Images, name: str, strength: int, rng: np.random.Generator) -> Images:
    """The same images, corrupted.

    Args:
        images: (n, height, width, channels).
        name: in CORRUPTIONS.
        strength: 0 for none, to 5.
        rng: for the noise.

    Raises:
        UnknownNameError: another name.
    """
    if name not in CORRUPTIONS:
        raise UnknownNameError("corruption", name, CORRUPTIONS)
    return CORRUPTIONS[name](images, strength - 1, rng) if strength else images


def _noise(images: Images, level: int, rng: np.random.Generator) -> Images:
    return _pixels(images / 255 + rng.normal(scale=_NOISE[level], size=images.shape))


def _blur(images: Images, level: int, _: np.random.Generator) -> Images:
    """A Gaussian in both directions, cut off at four deviations; edges are repeated."""
    sigma = _BLUR[level]
    reach = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    blurred = images / 255
    for axis in (1, 2):
        around = [(reach, reach) if at == axis else (0, 0) for at in range(4)]
        padded = np.pad(blurred, around, mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis=axis)
        blurred = views @ weights
    return _pixels(blurred)


def _brightness(images: Images, level: int, _: np.random.Generator) -> Images:
    """More value at the same hue and saturation: all channels by the same factor."""
    pixels = images / 255
    value = pixels.max(axis=3, keepdims=True)
    brighter = np.minimum(value + _BRIGHTNESS[level], 1)
    scaled = pixels * np.divide(brighter, value, out=np.ones_like(value), where=value > 0)
    return _pixels(np.where(value > 0, scaled, brighter))


def _contrast(images: Images, level: int, _: np.random.Generator) -> Images:
    pixels = images / 255
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    return _pixels((pixels - mean) * _CONTRAST[level] + mean)


def _jpeg(images: Images, level: int, _: np.random.Generator) -> Images:
    return np.stack([_compressed(image, _JPEG[level]) for image in images])


def _compressed(image: Images, quality: int) -> Images:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.uint8).reshape(image.shape)


def _pixels(values: Floats) -> Images:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Images, int, np.random.Generator], Images]] = {
    "noise": _noise,
    "blur": _blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "jpeg": _jpeg,
}
