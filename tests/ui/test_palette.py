"""Colours that colour-blind eyes tell apart, on both themes, and where the theme has them."""

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest

from hybrid.ui import palette

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 2009, severity 1.0; linear RGB to linear RGB.
EYES = {
    "all cones": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Ottosson, "A perceptual color space for image processing", 2020.
TO_LMS = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
TO_LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]
TOLD_APART = 0.065  # distance in OKLab; two neighbours of a 12-step hue circle are about 0.07


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def linear(colour: str | np.ndarray) -> np.ndarray:
    c = rgb(colour) if isinstance(colour, str) else colour
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    return np.array(TO_LAB) @ np.cbrt(np.array(TO_LMS) @ light)


def luminance(colour: str | np.ndarray) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def theme(root: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((root / ".streamlit/config.toml").read_text())["theme"]
    return found[name]


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("eyes", EYES)
def test_exits_cloud_and_twin_are_told_apart_by_every_eye(root: Path, name: str, eyes: str) -> None:
    colours = theme(root, name)["chartCategoricalColors"][:6]

    seen = [np.clip(np.array(EYES[eyes]) @ linear(c), 0, 1) for c in colours]

    nearest = min(np.linalg.norm(lab(a) - lab(b)) for a, b in itertools.combinations(seen, 2))
    assert nearest > TOLD_APART


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_mark_stands_out_from_the_page_by_three_to_one(root: Path, name: str) -> None:
    colours = theme(root, name)
    page = luminance(colours["backgroundColor"])

    assert len(colours["chartCategoricalColors"]) >= 7
    for colour in colours["chartCategoricalColors"][:7]:
        high, low = sorted((luminance(colour), page), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 2.95


@pytest.mark.parametrize("name", ["light", "dark"])
def test_the_dot_at_a_slider_is_nearest_to_the_colour_of_its_exit(root: Path, name: str) -> None:
    colours = theme(root, name)
    exits = [lab(linear(colour)) for colour in colours["chartCategoricalColors"][:4]]

    for number in range(4):
        dot = lab(linear(colours[f"{palette.exit_markdown(number)}TextColor"]))
        distances = [float(np.linalg.norm(dot - exit_)) for exit_ in exits]
        assert distances.index(min(distances)) == number


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("tint", [0.0, 0.1])
def test_coloured_words_are_read_on_the_page_and_in_a_box_of_their_colour(
    root: Path, name: str, tint: float
) -> None:
    colours = theme(root, name)

    for number in range(4):
        of_exit = palette.exit_markdown(number)
        box = tint * rgb(colours[f"{of_exit}Color"]) + (1 - tint) * rgb(colours["backgroundColor"])
        words = colours[f"{of_exit}TextColor"]
        high, low = sorted((luminance(words), luminance(box)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_there_is_a_colour_for_every_slot_and_no_more(root: Path) -> None:
    for name in ("light", "dark"):
        assert len(theme(root, name)["chartCategoricalColors"]) == len(palette.SLOTS)


def test_a_slot_is_the_name_streamlit_replaces() -> None:
    assert palette.exit_colour(0) == "#000001"
    assert palette.CLOUD == "#000005"
    assert palette.WRONG == "#000010"


def test_all_figures_of_the_font_are_equally_wide(root: Path) -> None:
    fonts = pytest.importorskip("fontTools.ttLib", reason="fontTools reads the font's widths")
    pytest.importorskip("brotli", reason="brotli unpacks a woff2")

    font = fonts.TTFont(next((root / "static/fonts").glob("*.woff2")))

    assert len({font["hmtx"][font.getBestCmap()[ord(d)]][0] for d in "0123456789"}) == 1
