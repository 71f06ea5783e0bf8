"""Decode untrusted image files to upright RGB pictures, or explain in one sentence why not.

Nothing is written to disk and no file name is trusted: the first bytes tell a file's type.
Whatever the bytes are, only `ImageError` is raised.
"""

import base64
import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from hybrid.errors import ImageError

__all__ = [
    "FORMATS",
    "MAX_FILE_BYTES",
    "SUFFIXES",
    "Picture",
    "Rejected",
    "data_url",
    "read_image",
    "shown_name",
]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff")

MAX_FILE_BYTES = 16_000_000  # of one image, on its own or in a zip
MAX_PIXELS = 40_000_000  # 120 MB once decoded
MIN_SIDE = 8  # the smallest network input
KEPT_SIDE = 320  # of a picture, unless a larger network will see it; more is never shown
_NAME_LENGTH = 60

# A 20 kB PNG can unpack to a gigabyte, and by default Pillow only warns.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image that was read, as `read_image` gives it."""

    name: str
    image: Image.Image


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A file that was not read, and a sentence with the reason and what to do."""

    name: str
    sentence: str


def read_image(name: str, data: bytes, *, size: int = 0) -> Image.Image:
    """The first frame of an image file: RGB, upright, opaque, with no more pixels than needed.

    It is shrunk to `KEPT_SIDE` a side, but its shorter side never below `size`: a network of that
    input size sees a square of it, which would be blurred if it were enlarged again.

    16-bit grey is scaled, not clipped; transparent parts become white; the suffix of `name` is
    ignored.

    Raises:
        ImageError: `data` is anything else; the sentence names the file.
    """
    shown = shown_name(name)
    _check_bytes(shown, data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(shown, image)
            if isinstance(image, JpegImageFile):  # decode no more pixels than will be kept
                image.draft(None, (2 * max(KEPT_SIDE, size),) * 2)
            return _kept(image, size)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(_unknown(shown, data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_many_pixels(shown)) from None
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged bytes
        raise ImageError(f"{shown} is damaged or cut short; copy or save it again.") from error


def shown_name(name: str) -> str:
    """A file's name, safe to print: without control characters, and shortened."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in name) or "The file"
    if len(printable) <= _NAME_LENGTH:
        return printable
    return printable[: _NAME_LENGTH // 2] + "…" + printable[-_NAME_LENGTH // 2 + 1 :]


def data_url(image: Image.Image) -> str:
    """The picture as a PNG in a data URL, for table cells in a browser."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _check_bytes(shown: str, data: bytes) -> None:
    if not data:
        raise ImageError(f"{shown} is empty; choose the file again.")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(
            f"{shown} is larger than {MAX_FILE_BYTES // 1_000_000} MB; save a smaller copy."
        )


def _check_pixels(shown: str, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(_too_many_pixels(shown))
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{shown} has {width} × {height} pixels; "
            f"give an image of at least {MIN_SIDE} × {MIN_SIDE}."
        )


def _too_many_pixels(shown: str) -> str:
    return (
        f"{shown} has more than {MAX_PIXELS // 1_000_000} million pixels, the most that are read; "
        "save a smaller copy."
    )


def _unknown(shown: str, data: bytes) -> str:
    if data.startswith(b"PK"):
        return f"{shown} is a zip, not an image; unpack it and give its images."
    return f"{shown} is not a PNG, JPEG, WebP, GIF, BMP or TIFF image; save it as one of these."


def _kept(image: Image.Image, size: int) -> Image.Image:
    upright = ImageOps.exif_transpose(_eight_bits(image))
    picture = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    shorter, longer = sorted(picture.size)
    if size * longer > KEPT_SIDE * shorter:  # the thumbnail would be too small for the network
        scale = min(1, size / shorter)
        wide, high = (math.ceil(scale * side) for side in picture.size)
        picture = picture.resize((wide, high), Image.Resampling.LANCZOS)
    else:
        picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Wide grey modes (16-bit, 32-bit, float) scaled to 8 bits; Pillow alone would clip them.

    White is 65,535 in 16 bits. 32-bit and float files do not define white: it is taken to be the
    first of 1 (float only), 255 and 65,535 that no pixel exceeds, else the brightest pixel.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    brightest = float(values.max())
    if image.mode.startswith("I;16"):
        white = 65_535.0
    else:
        scales = (1.0, 255.0, 65_535.0) if image.mode == "F" else (255.0, 65_535.0)
        white = next((scale for scale in scales if brightest <= scale), brightest)
    grey = Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))
    grey.getexif().update(image.getexif())
    return grey
