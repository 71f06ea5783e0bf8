"""What a network sees of a picture, and the numbers it computes with."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hybrid import data
from hybrid.data.preprocess import NORMALISATION, normalise, preprocess
from hybrid.errors import UnknownNameError


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([8, 32]), st.sampled_from([1, 3]))
def test_any_picture_becomes_what_the_network_takes(
    width: int, height: int, size: int, channels: int
) -> None:
    pixels = preprocess(noise(width, height), size, channels)

    assert pixels.shape == (size, size, channels)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("mode, channels", [("RGB", 3), ("L", 1)])
def test_a_picture_of_the_right_size_passes_to_the_last_bit(mode: str, channels: int) -> None:
    picture = noise(32, 32, mode)

    pixels = preprocess(picture, 32, channels)

    np.testing.assert_array_equal(pixels, np.asarray(picture).reshape(32, 32, channels))


def test_the_middle_of_a_wide_picture_is_seen() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste((0, 0, 255), (100, 0, 200, 100))  # the centred square is blue

    pixels = preprocess(wide, 32, 3)

    assert (pixels == (0, 0, 255)).all()


def test_shrinking_averages_and_does_not_pick_single_pixels() -> None:
    stripes = np.zeros((256, 256), dtype=np.uint8)
    stripes[:, ::2] = 255  # every second column: picking would give all black or all white

    pixels = preprocess(Image.fromarray(stripes), 32, 1)

    inner = pixels[2:-2, 2:-2].astype(int)
    assert abs(inner - 127.5).max() < 3


def test_a_grey_network_sees_a_grey_photograph_as_it_is() -> None:
    grey = noise(32, 32, "L")

    pixels = preprocess(grey.convert("RGB"), 32, 1)

    np.testing.assert_array_equal(pixels[..., 0], np.asarray(grey))


def test_the_result_can_be_written_to_as_torch_demands() -> None:
    pixels = preprocess(noise(32, 32), 32, 3)

    assert pixels.flags.writeable
    assert pixels.flags.c_contiguous


def test_normalising_is_mean_and_deviation_by_hand() -> None:
    images = np.array([[[[255, 0, 51]]]], dtype=np.uint8)  # (1, 1, 1, 3)

    numbers = normalise(images, "cifar10")

    assert numbers.shape == (1, 3, 1, 1)
    assert numbers.dtype == np.float32
    assert numbers[0, :, 0, 0] == pytest.approx(
        [(1 - 0.4912) / 0.2470, (0 - 0.4821) / 0.2435, (0.2 - 0.4464) / 0.2617], rel=1e-6
    )


def test_an_unknown_data_set_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean digits"):
        normalise(np.zeros((1, 8, 8, 1), dtype=np.uint8), "digit")


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        pytest.param("cifar10", marks=pytest.mark.images("cifar10")),
        pytest.param("cifar100", marks=pytest.mark.images("cifar100")),
    ],
)
def test_the_table_holds_mean_and_deviation_of_the_train_split(name: str) -> None:
    channels_last = data.load(name, "train").images
    histograms = [
        np.bincount(channels_last[..., c].ravel(), minlength=256)
        for c in range(channels_last.shape[-1])
    ]  # 256 numbers a channel are exact, and cheaper than 138 million floats

    assert len(NORMALISATION[name][0]) == len(histograms) > 0
    for mean, deviation, counts in zip(*NORMALISATION[name], histograms, strict=True):
        values = np.arange(256) / 255
        expected_mean = np.average(values, weights=counts)
        expected_variance = np.average((values - expected_mean) ** 2, weights=counts)
        assert mean == pytest.approx(expected_mean, abs=6e-5)
        assert deviation == pytest.approx(np.sqrt(expected_variance), abs=6e-5)
