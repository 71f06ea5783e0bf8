"""Corrupted images: each kind against another implementation, and stronger is further away."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from hybrid.data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from hybrid.errors import UnknownNameError

RNG = np.random.default_rng
every_kind = pytest.mark.parametrize("name", CORRUPTIONS)


def pictures(channels: int = 3) -> np.ndarray:
    """Four smooth pictures with some texture, black and white among their pixels."""
    noise = RNG(0).normal(size=(4, 32, 32, channels))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3, 0)) * 900 + 128
    images = np.clip(smooth + 10 * noise, 0, 255).astype(np.uint8)
    images[0, :4, :4] = 0
    images[0, 4:8, :4] = 255
    return images


@every_kind
def test_stronger_is_further_from_the_image(name: str):
    images = pictures()

    distances = [
        np.abs(corrupt(images, name, strength, RNG(1)).astype(float) - images).mean()
        for strength in (0, *STRENGTHS)
    ]

    assert distances[0] == 0
    assert (np.diff(distances) > 0).all()


@every_kind
@pytest.mark.parametrize("channels", [1, 3])
def test_a_corrupted_image_has_the_same_form(name: str, channels: int):
    images = pictures(channels)
    before = images.copy()

    worse = corrupt(images, name, 3, RNG(0))

    assert (worse.shape, worse.dtype) == (images.shape, np.uint8)
    assert (images == before).all()


def test_the_blur_is_scipys():
    worse = corrupt(pictures(), "blur", 5, RNG(0))

    theirs = ndimage.gaussian_filter(pictures() / 255, (0, 1, 1, 0), mode="nearest", truncate=4)
    assert np.abs(worse - theirs * 255).max() <= 0.5 + 1e-6


def test_the_brightness_is_that_of_hsv():
    worse = corrupt(pictures(), "brightness", 4, RNG(0))

    theirs = [
        colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.2))
        for hue, saturation, value in (
            colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in pictures()[0].reshape(-1, 3)
        )
    ]
    assert np.abs(worse[0].reshape(-1, 3) - 255 * np.array(theirs)).max() <= 0.5 + 1e-6


def test_the_contrast_shrinks_the_distance_from_the_mean_of_each_channel():
    worse = corrupt(pictures(), "contrast", 2, RNG(0)).astype(float)

    means = pictures().mean(axis=(1, 2), keepdims=True)
    assert np.abs(worse - (means + (pictures() - means) / 2)).max() <= 0.5 + 1e-6


def test_the_noise_has_the_deviation_of_its_strength():
    grey = np.full((20, 32, 32, 3), 128, np.uint8)

    worse = corrupt(grey, "noise", 2, RNG(0)).astype(float)

    assert worse.std() / 255 == pytest.approx(0.06, rel=0.02)
    assert worse.mean() == pytest.approx(128, abs=0.5)
    assert (corrupt(grey, "noise", 2, RNG(0)) == worse).all()


def test_jpeg_is_pillows():
    file = io.BytesIO()
    Image.fromarray(pictures()[2]).save(file, "JPEG", quality=40)

    assert (corrupt(pictures(), "jpeg", 5, RNG(0))[2] == np.asarray(Image.open(file))).all()


def test_an_unknown_corruption_lists_those_there_are():
    with pytest.raises(UnknownNameError, match="No corruption is called 'snow'; there are: blur"):
        corrupt(pictures(), "snow", 1, RNG(0))
