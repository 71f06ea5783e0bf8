"""Files of strangers: every format is read as it is meant, every bad one gives one sentence."""

import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hybrid.data import images
from hybrid.data.images import read_image, shown_name
from hybrid.data.preprocess import preprocess
from hybrid.errors import ImageError
from tests.own_images import encoded, photograph, zipped

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def colour_at(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel


def is_like(colour: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(colour, expected, strict=True)) < 60


every_format = pytest.mark.parametrize("kind", images.FORMATS)


@every_format
def test_every_format_is_read_upright_and_in_colour(kind: str) -> None:
    picture = read_image("photo", encoded(photograph(), kind))

    assert picture.mode == "RGB"
    assert picture.size == (48, 40)
    assert is_like(colour_at(picture, 10, 20), (247, 7, 7))
    assert is_like(colour_at(picture, 40, 20), (7, 7, 247))


@every_format
def test_a_wrong_suffix_does_not_matter(kind: str) -> None:
    assert read_image("notes.txt", encoded(photograph(), kind)).size == (48, 40)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_of_a_moving_picture_the_first_frame_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])

    assert is_like(colour_at(read_image("moving", data), 16, 16), RED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_becomes_white(kind: str) -> None:
    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))  # black, but not to be seen
    picture.paste((255, 0, 0, 255), (0, 0, 16, 32))

    read = read_image("alpha", encoded(picture, kind))

    assert is_like(colour_at(read, 4, 16), RED)
    assert is_like(colour_at(read, 28, 16), WHITE)


def test_a_palette_with_a_transparent_colour_is_read() -> None:
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([0, 0, 0, *RED])
    picture.paste(0, (16, 0, 32, 32))

    read = read_image("palette", encoded(picture, "GIF", transparency=0))

    assert is_like(colour_at(read, 4, 16), RED)
    assert is_like(colour_at(read, 28, 16), WHITE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_colour_mode_of_a_tiff_is_read(mode: str) -> None:
    picture = photograph().convert("RGB" if mode == "LAB" else mode)
    if mode == "LAB":
        from PIL import ImageCms

        to_lab = ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        )
        converted = ImageCms.applyTransform(picture, to_lab)
        assert converted is not None
        picture = converted

    assert read_image("mode", encoded(picture, "TIFF")).mode == "RGB"


def test_cmyk_as_printers_send_it_keeps_its_colours() -> None:
    read = read_image("print.jpg", encoded(photograph().convert("CMYK"), "JPEG"))

    assert is_like(colour_at(read, 10, 20), (247, 7, 7))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_cut_off(kind: str) -> None:
    values = np.full((16, 16), 32_768, dtype=np.uint16)
    values[0, 0] = 65_535

    read = read_image("scan", encoded(Image.fromarray(values), kind))

    assert colour_at(read, 8, 8) == (128, 128, 128)  # 32,768 / 65,535 · 255 = 127.5
    assert colour_at(read, 0, 0) == WHITE


@pytest.mark.parametrize("top, white", [(1.0, 1.0), (200.0, 255.0), (1000.0, 65_535.0)])
def test_floating_point_greys_find_their_white(top: float, white: float) -> None:
    values = np.full((16, 16), top / 2, dtype=np.float32)
    values[0, 0], values[0, 1], values[0, 2] = top, np.nan, -5

    read = read_image("float", encoded(Image.fromarray(values), "TIFF"))

    assert colour_at(read, 8, 8)[0] == round(top / 2 / white * 255)
    assert colour_at(read, 1, 0) == colour_at(read, 2, 0) == (0, 0, 0)


@pytest.mark.parametrize("orientation, red_corner", [(1, (2, 2)), (3, (45, 37)), (6, (37, 2))])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_that_its_camera_turned_is_turned_back(
    kind: str, orientation: int, red_corner: tuple[int, int]
) -> None:
    picture = Image.new("RGB", (48, 40), BLUE)
    picture.paste(RED, (0, 0, 16, 16))  # top left in the file
    exif = Image.Exif()
    exif[274] = orientation

    read = read_image("turned", encoded(picture, kind, exif=exif))

    assert is_like(colour_at(read, *red_corner), RED)


def test_a_large_photograph_is_kept_small() -> None:
    read = read_image("large.jpg", encoded(photograph(3000, 1500), "JPEG"))

    assert read.size == (320, 160)
    assert is_like(colour_at(read, 10, 80), (247, 7, 7))


@pytest.mark.parametrize(
    "shape, size", [((540, 960), 224), ((700, 400), 384), ((400, 400), 384), ((300, 2000), 299)]
)
def test_a_large_network_sees_every_pixel_it_can_use(shape: tuple[int, int], size: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    direct = preprocess(Image.fromarray(noise), size, 3).astype(int)

    read = read_image("noise.png", encoded(Image.fromarray(noise), "PNG"), size=size)

    assert min(read.size) >= size
    seen = preprocess(read, size, 3).astype(int)
    # of 320 pixels a side it would be 0.03 to 0.65
    contrast = np.abs(np.diff(seen, axis=1)).mean() / np.abs(np.diff(direct, axis=1)).mean()
    assert contrast == pytest.approx(1, abs=0.05)


def png_header(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "is empty; choose the file again"),
    "text": (
        lambda: b"hello, I am no image",
        "is not a PNG, JPEG or other image that is read",
    ),
    "another format": (lambda: encoded(photograph(), "ICO"), "save it as PNG or JPEG"),
    "a zip": (lambda: zipped({"a": b"b"}), "is a zip, not an image; unpack it"),
    "1 × 1": (lambda: encoded(Image.new("RGB", (1, 1)), "PNG"), "1 × 1 pixels; give an image of"),
    "a line": (lambda: encoded(Image.new("L", (9000, 2)), "PNG"), "9000 × 2 pixels; give an"),
    "20,000 × 20,000": (lambda: png_header(20_000, 20_000), "40 million pixels, .* smaller copy"),
    "a bomb": (lambda: png_header(8_000, 8_000, bytes(50_000_000)), "more than 40 million"),
    "cut short": (lambda: encoded(photograph(), "JPEG")[:500], "is damaged or cut short"),
    "only a header": (lambda: png_header(64, 64), "is damaged or cut short; copy or save it"),
    "too many bytes": (lambda: bytes(64_000_001), "is larger than 64 MB; save a smaller copy"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gives_one_sentence_with_its_name(case: str) -> None:
    make, sentence = BAD[case]

    with pytest.raises(ImageError, match=sentence) as caught:
        read_image("holiday.png", make())

    assert str(caught.value).startswith("holiday.png ")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_also_where_warnings_are_not_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")

        with pytest.raises(ImageError, match="more than 40 million pixels"):
            read_image("bomb.png", png_header(7_000, 7_000))  # Pillow itself only warns here


VALID = [encoded(photograph(), kind) for kind in images.FORMATS] + [
    encoded(photograph().convert("P"), "PNG"),
    encoded(photograph().convert("RGBA"), "PNG"),
    encoded(photograph().convert("CMYK"), "JPEG"),
    encoded(photograph(), "TIFF", compression="tiff_lzw"),
    encoded(Image.fromarray(np.full((16, 16), 40_000, dtype=np.uint16)), "PNG"),
]


def only_an_image_or_a_sentence(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as on a user's machine: not every warning is an error
        try:
            said = f"read as {read_image('file', data).mode}"
        except ImageError as error:
            said = str(error)
    assert said == "read as RGB" or said.startswith("file ")


@given(st.sampled_from(VALID), st.floats(0, 1))
@settings(max_examples=150)
def test_cut_anywhere_a_file_gives_an_image_or_a_sentence(data: bytes, fraction: float) -> None:
    only_an_image_or_a_sentence(data[: int(fraction * len(data))])


@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=20),
    st.booleans(),
)
@settings(max_examples=400)
def test_with_any_bytes_changed_a_file_gives_an_image_or_a_sentence(
    data: bytes, changes: list[tuple[float, int]], near_the_start: bool
) -> None:
    changed = bytearray(data)
    reach = min(200, len(data)) if near_the_start else len(data)  # headers hold the traps
    for where, value in changes:
        changed[int(where * reach)] = value

    only_an_image_or_a_sentence(bytes(changed))


@given(st.binary(max_size=300), st.sampled_from([b"", *(data[:12] for data in VALID)]))
def test_any_bytes_after_any_signature_give_an_image_or_a_sentence(
    data: bytes, signature: bytes
) -> None:
    only_an_image_or_a_sentence(signature + data)


def test_a_name_is_shown_without_control_characters_and_not_endless() -> None:
    shown = shown_name("a\x1b[31m\n" + "x" * 300 + ".png")

    assert shown.startswith("a�[31m�xxx")
    assert shown.endswith("xxx.png")
    assert len(shown) <= 60
