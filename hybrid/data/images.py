"""Files of strangers to upright RGB pictures, or one sentence why not. Knows no network.

Nothing is written to disk and no file name is trusted: what a file is, its first bytes say.
Whatever the bytes are, only `ImageError` comes out.
"""

import base64
import io
import math
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from hybrid.errors import ImageError

__all__ = [
    "FORMATS",
    "MAX_FILES",
    "MAX_FILE_BYTES",
    "SUFFIXES",
    "Picture",
    "Rejected",
    "data_url",
    "is_clutter",
    "member_bytes",
    "points_outside",
    "read_image",
    "read_upload",
    "shown_name",
]

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = ("png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff")

MAX_FILE_BYTES = 16_000_000  # of one image, on its own or in a zip
MAX_UNPACKED_BYTES = 200_000_000  # of all images of a zip together
MAX_FILES = 200  # read of one zip
MAX_PIXELS = 40_000_000  # 120 MB once decoded
MIN_SIDE = 8  # the smallest network input
KEPT_SIDE = 320  # of a picture that no larger network is to see; more is never shown
_NAME_LENGTH = 60

# A 20 kB PNG can unpack to a gigabyte, and Pillow by itself only warns.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image that was read, as `read_image` gives it."""

    name: str
    image: Image.Image


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A file that was not read, and the sentence that says why and what to do."""

    name: str
    sentence: str


def read_image(name: str, data: bytes, *, size: int = 0) -> Image.Image:
    """The first frame of an image file: RGB, upright, opaque, of no more pixels than are needed.

    It is shrunk to `KEPT_SIDE` a side, but never so far that its shorter side, of which a network
    of `size` sees a square, falls below that: enlarged again it would be blurred.

    16-bit grey is scaled, not cut; transparent parts become white; the suffix of `name` plays
    no part.

    Raises:
        ImageError: whatever else `data` is; the sentence names the file.
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


def read_upload(name: str, data: bytes, *, size: int = 0) -> list[Picture | Rejected]:
    """What a user gave, one image or a zip of images, in order; one bad file costs no other.

    Args:
        size: of the largest network that is to see it, as for `read_image`.
    """
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return list(_read_zip(name, data, size))
    return [_read(name, data, size)]


def member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of one file of a zip, unpacked in memory; its stated size is not believed.

    Raises:
        ImageError: a name that points outside, a password, damage; the sentence names the file.
            Of a file that is too large so many bytes come back that `read_image` refuses them.
    """
    shown = shown_name(member.filename)
    if points_outside(member.filename):
        raise ImageError(f"{shown} points outside its zip; pack it under a plain name.")
    if member.flag_bits & 1:
        raise ImageError(f"{shown} is encrypted; pack it without a password.")
    try:
        with archive.open(member) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except Exception as error:  # each compression method has errors of its own
        raise ImageError(f"{shown} is damaged inside its zip; pack it again.") from error


def is_clutter(name: str) -> bool:
    """Whether systems add a file of this name to a folder or zip without being asked."""
    path = PurePosixPath(name)
    return (
        path.parts[:1] == ("__MACOSX",)
        or path.name.startswith(".")
        or path.name in {"Thumbs.db", "desktop.ini"}
    )


def points_outside(name: str) -> bool:
    """Whether a name inside a zip leads out of the folder it would be unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:", name))


def shown_name(name: str) -> str:
    """A file's name as it can be printed: no control characters, not endless."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in name) or "The file"
    if len(printable) <= _NAME_LENGTH:
        return printable
    return printable[: _NAME_LENGTH // 2] + "…" + printable[-_NAME_LENGTH // 2 + 1 :]


def data_url(image: Image.Image) -> str:
    """The picture as a PNG inside an address, as table cells in a browser want it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _read(name: str, data: bytes, size: int) -> Picture | Rejected:
    try:
        return Picture(name=shown_name(name), image=read_image(name, data, size=size))
    except ImageError as error:
        return Rejected(name=shown_name(name), sentence=str(error))


def _read_zip(name: str, data: bytes, size: int) -> Iterator[Picture | Rejected]:
    shown = shown_name(name)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception:  # a damaged directory raises more than BadZipFile
        yield Rejected(name=shown, sentence=f"{shown} is a damaged zip; pack it again.")
        return
    with archive:
        members = [member for member in archive.infolist() if _is_wanted(member)]
        if not members:
            yield Rejected(name=shown, sentence=f"{shown} holds no files; pack images into it.")
        left_bytes = MAX_UNPACKED_BYTES
        for member in members[:MAX_FILES]:
            result, used_bytes = _read_member(archive, member, left_bytes, size)
            left_bytes -= used_bytes
            yield result
    if len(members) > MAX_FILES:
        sentence = (
            f"{shown} holds {len(members):,} files and only the first {MAX_FILES} were read; "
            "pack the others into a zip of their own."
        )
        yield Rejected(name=shown, sentence=sentence)


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, left_bytes: int, size: int
) -> tuple[Picture | Rejected, int]:
    """One file of a zip and how many bytes it unpacked to."""
    shown = shown_name(member.filename)
    if left_bytes <= 0:
        sentence = (
            f"{shown} was not read: its zip unpacks to more than "
            f"{MAX_UNPACKED_BYTES // 1_000_000} MB; split the zip."
        )
        return Rejected(name=shown, sentence=sentence), 0
    try:
        data = member_bytes(archive, member)
    except ImageError as error:
        return Rejected(name=shown, sentence=str(error)), 0
    return _read(member.filename, data, size), len(data)


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    """What points outside is wanted too: it is named, and not read."""
    outside = points_outside(member.filename)
    return outside or not (member.is_dir() or is_clutter(member.filename))


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
        f"{shown} has more than the {MAX_PIXELS // 1_000_000} million pixels that are read here; "
        "save a smaller copy."
    )


def _unknown(shown: str, data: bytes) -> str:
    if data.startswith(b"PK"):
        return f"{shown} is a zip where an image is wanted; unpack it and give its images."
    return f"{shown} is no PNG, JPEG, WebP, GIF, BMP or TIFF image; save it as one of these."


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
    """Wide grey modes (16-bit, 32-bit, float) scaled to 8 bits; Pillow alone would cut them off.

    White is 65,535 in 16 bits. 32-bit and float files name no white: theirs is the first of
    1 (float only), 255 and 65,535 that no pixel exceeds, else the brightest pixel.
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
