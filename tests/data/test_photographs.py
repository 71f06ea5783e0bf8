"""The shipped photographs: small, readable, and every one with a licence that lets it ship."""

from importlib import resources

import pytest
from PIL import Image

from hybrid.data.photographs import Photograph, photographs

FOLDER = resources.files("hybrid.data") / "samples"
FREE = {"CC0 1.0", "Public domain"}

every_photograph = pytest.mark.parametrize(
    "photograph", photographs(), ids=lambda photograph: photograph.title
)


@every_photograph
def test_a_photograph_is_free_and_says_whose_it_is(photograph: Photograph) -> None:
    assert photograph.licence in FREE
    assert photograph.author in photograph.credit
    assert photograph.source in photograph.credit


@every_photograph
def test_a_photograph_is_a_small_jpeg_that_can_be_read(photograph: Photograph) -> None:
    with (FOLDER / photograph.file).open("rb") as file, Image.open(file) as stored:
        assert stored.format == "JPEG"
        assert max(stored.size) <= 512

    assert photograph.read().mode == "RGB"


def test_no_picture_ships_without_an_entry() -> None:
    shipped = {item.name for item in FOLDER.iterdir()} - {"LICENSES.toml"}

    assert shipped == {photograph.file for photograph in photographs()}
