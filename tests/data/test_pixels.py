"""Pixels of scanners, cameras and microscopes, against the plain rule: value / white · 255."""

import io
import struct
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hybrid.data import images
from hybrid.data.images import read_image
from hybrid.errors import ImageError
from tests.own_images import encoded

RAMP = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (32, 1))
FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(
    values: NDArray[np.generic],
    *,
    photometric: int = 1,
    order: str = "<",
    deflate: bool = False,
    planar: bool = False,
    predictor: bool = False,
) -> bytes:
    """A TIFF of one strip, by the letter of the specification."""
    values = values.astype(values.dtype.newbyteorder(order))
    height, width = values.shape[:2]
    samples = 1 if values.ndim == 2 else values.shape[2]
    bits, kind = 8 * values.dtype.itemsize, FORMATS[values.dtype.kind]
    stored = values
    if predictor:
        stored = np.diff(values, axis=1, prepend=values.dtype.type(0)).astype(values.dtype)
    if planar:
        stored = stored.transpose(2, 0, 1)
    data = stored.tobytes()
    data = zlib.compress(data) if deflate else data
    tags = [
        (256, "H", [width]), (257, "H", [height]), (258, "H", [bits] * samples),
        (259, "H", [8 if deflate else 1]), (262, "H", [photometric]), (273, "I", [0]),
        (277, "H", [samples]), (278, "H", [height]), (279, "I", [len(data)]),
        (284, "H", [2 if planar else 1]), (317, "H", [2 if predictor else 1]),
        (339, "H", [kind] * samples),
    ]  # fmt: skip
    after = 8 + 2 + 12 * len(tags) + 4
    extra, entries = b"", b""
    for number, form, content in tags:
        packed = struct.pack(f"{order}{len(content)}{form}", *content)
        if number == 273:
            packed = b"HERE"
        elif len(packed) > 4:
            packed, extra = struct.pack(order + "I", after + len(extra)), extra + packed
        entries += struct.pack(order + "HHI", number, 3 if form == "H" else 4, len(content))
        entries += packed.ljust(4, b"\0")
    entries = entries.replace(b"HERE", struct.pack(order + "I", after + len(extra)))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(tags)) + entries + bytes(4) + extra + data


WIDE = {
    "8 bits": (RAMP, 1),
    "16 bits": (RAMP.astype(np.uint16) * 257, 1),
    "12 bits in 16": (np.rint(RAMP.astype(float) * 4095 / 255).astype(np.uint16), 1),
    "signed 16": (np.rint(RAMP.astype(float) * 32767 / 255).astype(np.int16), 1),
    "signed 16 about zero": (((RAMP / 255 * 2 - 1) * 32767).astype(np.int16), 1),
    "32 bits": (RAMP.astype(np.uint32) * 257, 1),
    "float to 1": ((RAMP / 255).astype(np.float32), 1),
    "float to 255": (RAMP.astype(np.float32), 1),
    "white is zero, 8": (255 - RAMP, 0),
    "white is zero, 16": (65_535 - RAMP.astype(np.uint16) * 257, 0),
    "white is zero, float": ((1 - RAMP / 255).astype(np.float32), 0),
}


@pytest.mark.parametrize("case", WIDE)
@pytest.mark.parametrize("order", "<>")
def test_a_ramp_of_any_kind_of_pixel_is_the_same_ramp(case: str, order: str) -> None:
    values, photometric = WIDE[case]

    read = np.asarray(read_image("ramp.tif", tiff(values, photometric=photometric, order=order)))

    assert np.abs(read.astype(int) - RAMP[..., None]).max() <= 1


COLOURS = np.stack([RAMP, RAMP[:, ::-1], RAMP.T], axis=-1)


@pytest.mark.parametrize(
    "values, photometric",
    [
        (COLOURS.astype(np.uint16) * 257, 2),
        (COLOURS.astype(np.uint16) * 257, 1),
        ((COLOURS / 255).astype(np.float32), 2),
        ((COLOURS / 255).astype(np.float64), 2),
        (np.dstack([COLOURS, RAMP]).astype(np.float32) / 255, 2),
    ],
    ids=["16 bits", "16 bits called grey", "float", "double", "four channels of float"],
)
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("planar", [False, True])
def test_wide_colours_are_read_in_every_layout(
    values: NDArray[np.generic], photometric: int, deflate: bool, planar: bool
) -> None:
    data = tiff(values, photometric=photometric, deflate=deflate, planar=planar)

    read = np.asarray(read_image("colours.tif", data))

    assert np.abs(read.astype(int) - COLOURS).max() <= 1


def test_differences_between_neighbours_are_summed() -> None:
    data = tiff(COLOURS.astype(np.uint16) * 257, photometric=1, deflate=True, predictor=True)

    read = np.asarray(read_image("colours.tif", data))

    assert np.abs(read.astype(int) - COLOURS).max() <= 1


def test_more_channels_than_colours_are_refused_with_their_number() -> None:
    with pytest.raises(ImageError, match="has 5 channels; keep red, green and blue; save it as"):
        read_image("bands.tif", tiff(np.zeros((32, 32, 5), np.uint16)))


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(1, 40))
def test_a_damaged_wide_tiff_is_an_image_or_a_sentence(junk: bytes, at: int, cut: int) -> None:
    data = bytearray(tiff((COLOURS / 255).astype(np.float32), photometric=2, deflate=True))
    data[at : at + len(junk)] = junk

    for some in (bytes(data), bytes(data[:-cut])):
        with suppress(ImageError):
            assert read_image("file", some).mode == "RGB"


def jpeg(width: int, height: int, **options: object) -> bytes:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), (240, 0, 0))
    picture.paste((0, 0, 240), (width // 2, 0, width, height))
    return encoded(picture, "JPEG", **options)


@pytest.mark.parametrize("width, height", [(8_192, 6_144), (12_000, 9_000)])
def test_a_camera_s_large_jpeg_is_reduced_while_it_is_decoded(width: int, height: int) -> None:
    data = jpeg(width, height)

    read = read_image("camera.jpg", data, size=224)

    assert read.size == (320, 240)
    left, right = read.getpixel((40, 120)), read.getpixel((280, 120))
    assert np.abs(np.subtract(left, (240, 0, 0))).max() < 8
    assert np.abs(np.subtract(right, (0, 0, 240))).max() < 8


def test_the_largest_jpeg_and_its_scans_are_bounded() -> None:
    with pytest.raises(ImageError, match="more than 250 million pixels, the most that are read"):
        read_image("vast.jpg", _of_size(jpeg(64, 64), 20_000, 20_000))
    with pytest.raises(ImageError, match="more than 64 million pixels, the most that are read"):
        read_image("slow.jpg", _of_size(jpeg(64, 64, progressive=True), 10_000, 9_000))
    scans = jpeg(64, 64, progressive=True)
    at = scans.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 64 scans, the most that are decoded at"):
        read_image("scans.jpg", scans[:at] + scans[at:-2] * 70 + scans[-2:])


def _of_size(data: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its header."""
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


@pytest.mark.parametrize("shape", [(8, 400_000), (400_000, 8)])
def test_of_a_very_long_picture_the_middle_is_kept_and_memory_is_bounded(
    shape: tuple[int, int],
) -> None:
    values = np.zeros(shape, np.uint8)
    middle = tuple(slice((side - 8) // 2, (side + 8) // 2) for side in shape)
    values[middle] = 255

    read = read_image("long.png", encoded(Image.fromarray(values), "PNG"), size=8)

    assert max(read.size) <= images.MAX_ASPECT * 8
    centre = np.asarray(read)[read.height // 2, read.width // 2]
    assert centre.tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_large_picture_is_reduced_to_what_pillow_makes_of_it(mode: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    large = Image.fromarray(noise).resize((2_800, 2_100), Image.Resampling.BICUBIC).convert(mode)

    read = read_image("large", encoded(large, "TIFF"))

    wanted = large.convert("RGB")
    wanted.thumbnail((320, 320), Image.Resampling.LANCZOS)
    difference = np.abs(np.asarray(read).astype(int) - np.asarray(wanted))
    assert read.size == wanted.size
    assert difference.mean() < 1.5


def test_memory_holds_a_large_picture_once() -> None:
    """Outside Pillow's own pixels, which tracemalloc does not see: a strip at a time."""
    data = encoded(Image.fromarray(np.zeros((4_000, 4_000), np.uint16)), "PNG")
    tracemalloc.start()

    read_image("deep.png", data)

    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2 * 4_000 * 4_000  # less than the picture itself


def test_any_bytes_after_a_tiff_s_head_give_a_sentence() -> None:
    with pytest.raises(ImageError, match=r"^x\.tif is damaged or cut short; save it as PNG\.$"):
        read_image("x.tif", b"II*\0" + io.BytesIO(bytes(50)).getvalue())
