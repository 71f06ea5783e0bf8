"""Decode untrusted image files to upright RGB pictures, or explain in one sentence why not.

Nothing is written to disk and no file name is trusted: the first bytes tell a file's type.
Whatever the bytes are, only `ImageError` is raised.
"""

import base64
import io
import math
import re
import threading
import warnings
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image, ImageOps, UnidentifiedImageError, features
from PIL.JpegImagePlugin import JpegImageFile

from hybrid.data import pixels, tiff
from hybrid.errors import ImageError

__all__ = [
    "FORMATS",
    "FORMAT_WORDS",
    "HEAD_BYTES",
    "MAX_FILE_BYTES",
    "SUFFIXES",
    "SUFFIXES_OF",
    "Picture",
    "Rejected",
    "data_url",
    "is_image",
    "read_image",
    "shown_name",
]

# The one list of formats, of every door: each with its suffixes.
SUFFIXES_OF = {
    "PNG": ("png", "apng"),
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "PPM": ("ppm", "pgm", "pbm", "pnm", "pfm"),
} | ({"AVIF": ("avif", "avifs")} if features.check("avif") else {})
_SHOWN = {"WEBP": "WebP"}  # spelled in capitals otherwise
FORMATS = tuple(SUFFIXES_OF)
SUFFIXES = tuple(suffix for suffixes in SUFFIXES_OF.values() for suffix in suffixes)
_NAMES = [_SHOWN.get(name, name) for name in FORMATS]
FORMAT_WORDS = f"{', '.join(_NAMES[:-1])} or {_NAMES[-1]}"

MAX_FILE_BYTES = 64_000_000  # of one image, on its own or in a zip
MAX_PIXELS = 40_000_000  # 160 MB once decoded
MAX_JPEG_PIXELS = 250_000_000  # reduced while decoding, a row of blocks at a time
_MAX_PROGRESSIVE_PIXELS = 64_000_000  # all of them are in memory while decoding
_MAX_SCANS = 64  # of a progressive JPEG: each decodes the whole picture again
_MAX_SCANNED_PIXELS = 800_000_000  # pixels times scans; usual files have 10 scans at most
MIN_SIDE = 8  # the smallest network input
KEPT_SIDE = 320  # of a picture, unless a larger network will see it; more is never shown
MAX_ASPECT = 8  # of a longer picture the middle is kept, this many times as long as wide
HEAD_BYTES = 32  # that tell a format
_NAME_LENGTH = 60
_DECODERS = threading.BoundedSemaphore(2)  # large pictures in memory at once, in all sessions

# A 20 kB PNG can unpack to a gigabyte, and by default Pillow only warns.
Image.MAX_IMAGE_PIXELS = MAX_JPEG_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

_HEADS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a|BM....\0\0\0\0|II[*+]\0|MM\0[*+]"
    rb"|P[1-6fF][ \t\r\n]+[#0-9]" + (rb"|....ftypavi[fs]" if "AVIF" in FORMATS else b""),
    re.DOTALL,
)
# Other files that users take for images, and what to do about each.
_OTHERS = (
    (rb"PK", "is a zip, not an image; unpack it and give its images"),
    (rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", "is an HEIC photograph; export it as JPEG"),
    (rb"(?s)\s*(?:<\?xml.*?)?<svg\b", "is an SVG drawing; export it as PNG"),
    (rb"(?is)\s*<(?:!doctype\s+html|html)", "is a web page, not an image; download it again"),
    (rb"%PDF-", "is a PDF, not an image; export its page as PNG"),
)


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


def is_image(name: str, head: bytes = b"") -> bool:
    """Whether a file is taken as an image: by its suffix, else by its first bytes."""
    return PurePosixPath(name).suffix[1:].lower() in SUFFIXES or bool(_HEADS.match(head))


def read_image(name: str, data: bytes, *, size: int = 0) -> Image.Image:
    """The first frame of an image file: RGB, upright, opaque, with no more pixels than needed.

    It is shrunk to `KEPT_SIDE` a side, but its shorter side never below `size`: a network of that
    input size sees a square of it, which would be blurred if it were enlarged again. Of a picture
    over `MAX_ASPECT` times as long as wide, the middle is kept.

    Wide pixels (16 bits, 32 bits, float) are scaled, not clipped; transparent parts become white;
    the suffix of `name` is ignored.

    Raises:
        ImageError: `data` is anything else; the sentence names the file.
    """
    shown = shown_name(name)
    _check_bytes(shown, data)
    try:
        with _DECODERS:
            return _decoded(shown, data, size)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = MAX_JPEG_PIXELS if data.startswith(b"\xff\xd8") else MAX_PIXELS
        raise ImageError(_too_many_pixels(shown, most)) from None
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


def _decoded(shown: str, data: bytes, size: int) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(shown, image, data)
            if pixels.is_misread(image):
                raise UnidentifiedImageError
            if isinstance(image, JpegImageFile):  # decode no more pixels than will be kept
                image.draft(None, (2 * max(KEPT_SIDE, size),) * 2)
            image.load()
            return _kept(image, size)
    except UnidentifiedImageError:
        if not tiff.is_tiff(data):
            raise ImageError(_unknown(shown, data)) from None
    try:
        values = tiff.read(data, most_pixels=MAX_PIXELS)
    except tiff.TiffError as error:
        raise ImageError(f"{shown} {error}; save it as PNG.") from None
    _check_size(shown, values.shape[1], values.shape[0], MAX_PIXELS)
    return _kept(Image.fromarray(values), size)


def _check_bytes(shown: str, data: bytes) -> None:
    if not data:
        raise ImageError(f"{shown} is empty; choose the file again.")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(
            f"{shown} is larger than {MAX_FILE_BYTES // 1_000_000} MB; save a smaller copy."
        )


def _check_pixels(shown: str, image: Image.Image, data: bytes) -> None:
    if not isinstance(image, JpegImageFile):
        _check_size(shown, *image.size, MAX_PIXELS)
        return
    progressive = "progressive" in image.info or "progression" in image.info
    most = _MAX_PROGRESSIVE_PIXELS if progressive else MAX_JPEG_PIXELS
    _check_size(shown, *image.size, most)
    most_scans = min(_MAX_SCANS, _MAX_SCANNED_PIXELS // (image.width * image.height))
    if data.count(b"\xff\xda") > most_scans:
        raise ImageError(
            f"{shown} has more than {most_scans} scans, the most that are decoded at its size; "
            "save it again without progressive display."
        )


def _check_size(shown: str, width: int, height: int, most: int) -> None:
    if width * height > most:
        raise ImageError(_too_many_pixels(shown, most))
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"{shown} has {width} × {height} pixels; "
            f"give an image of at least {MIN_SIDE} × {MIN_SIDE}."
        )


def _too_many_pixels(shown: str, most: int) -> str:
    return (
        f"{shown} has more than {most // 1_000_000} million pixels, the most that are read; "
        "save a smaller copy."
    )


def _unknown(shown: str, data: bytes) -> str:
    for pattern, what in _OTHERS:
        if re.match(pattern, data[:1000]):
            return f"{shown} {what}."
    return f"{shown} is not a PNG, JPEG or other image that is read; save it as PNG or JPEG."


def _kept(image: Image.Image, size: int) -> Image.Image:
    """The picture that is kept: no longer than MAX_ASPECT, 8 bits, upright, opaque, small."""
    long = _middle(image)
    least = max(KEPT_SIDE, size)
    picture = pixels.eight_bits(image, box=long, least_side=least)
    picture = _upright(picture, image)
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


def _middle(image: Image.Image) -> tuple[int, int, int, int]:
    """The part that is kept: everything, or the middle of a very long picture."""
    most = MAX_ASPECT * min(image.size)
    width, height = (min(side, most) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return left, top, left + width, top + height


def _upright(picture: Image.Image, original: Image.Image) -> Image.Image:
    """Turned as the original's camera was."""
    orientation = original.getexif().get(_ORIENTATION)
    if orientation is None:
        return picture
    picture.getexif()[_ORIENTATION] = orientation
    return ImageOps.exif_transpose(picture)


_ORIENTATION = 0x0112
