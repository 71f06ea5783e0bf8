"""Pictures of any mode to 8 bits per channel, reduced on the way if they are large.

A picture is converted some rows at a time, so that memory holds the decoded picture once.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["Scale", "array_scale", "eight_bits", "is_misread", "scale_of", "scaled"]

_LARGE_PIXELS = 4_000_000  # more are reduced before anything else
_STRIP_PIXELS = 1_000_000  # converted at a time
_GAP = 2  # a large picture keeps at least this many pixels for each that is shown

# Brightest values of cameras and scanners: of a picture, the first that no pixel exceeds is white.
_WHOLE = (255.0, 4_095.0, 65_535.0)
_SIGNED = (255.0, 4_095.0, 32_767.0)
_WIDE = (255.0, 65_535.0)  # 32 bits
_FLOAT = (1.0, 255.0, 65_535.0)
_USUAL: dict[tuple[str, int], tuple[float, ...]] = {  # by kind of number and bytes
    ("u", 1): (255.0,),
    ("i", 1): (127.0,),
    ("u", 2): _WHOLE,
    ("i", 2): _SIGNED,
    ("u", 4): _WIDE,
    ("i", 4): _WIDE,
}

_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339  # tags of a TIFF
WHITE_IS_ZERO = 0
SIGNED = 2
_IN_PLANES = 2


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The values that become 0 and 255; black is the greater one if white is zero."""

    black: float
    white: float


def eight_bits(
    image: Image.Image, *, box: tuple[int, int, int, int], least_side: int
) -> Image.Image:
    """A part of a picture as RGB or RGBA; a large one is reduced, its sides not below the least."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = scale_of(image)
    reduced = 1
    if width * height > _LARGE_PIXELS:
        reduced = max(1, min(width, height) // (_GAP * least_side))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    if reduced == 1:
        part = image if box == (0, 0, *image.size) else image.crop(box)
        return _converted(part, scale, mode)
    # Whole blocks only: a part of one at the edge would stretch the picture.
    left, top = (side % reduced // 2 for side in (width, height))
    width, height = width - width % reduced, height - height % reduced
    box = (box[0] + left, box[1] + top, box[0] + left + width, box[1] + top + height)
    rows = reduced * max(1, _STRIP_PIXELS // (reduced * width))
    whole = Image.new(mode, (width // reduced, height // reduced))
    for start in range(0, height, rows):
        part = image.crop((box[0], box[1] + start, box[2], box[1] + min(start + rows, height)))
        whole.paste(_converted(part, scale, mode).reduce(reduced), (0, start // reduced))
    return whole


def is_misread(image: Image.Image) -> bool:
    """Whether Pillow opens a file but mixes up its pixels: 16-bit colours in planes."""
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(_PLANAR) != _IN_PLANES:
        return False
    return 16 in _numbers(image.tag_v2.get(_BITS))


def scale_of(image: Image.Image) -> Scale | None:
    """How the wide pixels of a picture become 8 bits; None if they are 8 bits already.

    A format rarely tells which value is white: it is the first of the usual ones (8, 12 and 16
    bits; 1 for float) that no pixel exceeds, else the brightest pixel. Signed pixels with
    negative values go from minus white to white; negative floats are black.
    """
    if not image.mode.startswith(("I", "F")):
        return None
    low, high = _extrema(image)
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    signed = SIGNED in _numbers(tags.get(_SAMPLE_FORMAT))
    sixteen = image.mode.startswith("I;16") or 16 in _numbers(tags.get(_BITS))
    inverted = tags.get(_PHOTOMETRIC) == WHITE_IS_ZERO
    if image.mode == "F":
        return _scale(_FLOAT, 0, high, inverted=inverted)
    if sixteen:
        return _scale(_SIGNED if signed else _WHOLE, low, high, inverted=inverted)
    return _scale(_WIDE, low, high, inverted=inverted)


def array_scale(values: NDArray[np.generic], *, inverted: bool) -> Scale:
    """The same for an array of samples."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if values.dtype.kind == "f":
        return _scale(_FLOAT, 0, high, inverted=inverted)
    usual = _USUAL[values.dtype.kind, values.dtype.itemsize]
    return _scale(usual, low, high, inverted=inverted)


def scaled(values: NDArray[np.generic], scale: Scale) -> NDArray[np.uint8]:
    """Wide values to 0 … 255, those outside cut off."""
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float32), posinf=3e38, neginf=-3e38)
    share = (numbers - np.float32(scale.black)) / np.float32(scale.white - scale.black)
    bytes_: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return bytes_


def _scale(usual: tuple[float, ...], low: float, high: float, *, inverted: bool) -> Scale:
    brightest = max(high, -low)
    white = next((value for value in usual if brightest <= value), max(brightest, 1.0))
    black = -white if low < 0 else 0.0
    return Scale(black=white, white=black) if inverted else Scale(black=black, white=white)


def _converted(part: Image.Image, scale: Scale | None, mode: str) -> Image.Image:
    if scale is not None:
        part = Image.fromarray(scaled(np.asarray(part), scale))
    return part.convert(mode)


def _extrema(image: Image.Image) -> tuple[float, float]:
    """The least and the greatest finite value, some rows at a time."""
    rows = max(1, _STRIP_PIXELS // image.width)
    low, high = np.inf, -np.inf
    for top in range(0, image.height, rows):
        values = np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _numbers(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)
