"""The TIFF files that Pillow does not open: several wide channels, as microscopes write them.

Reads strips without compression or with Deflate. Bytes in, uint8 (height, width, 3) out.
Source: TIFF Revision 6.0, Adobe 1992; tags by number as in its appendix A.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.data import pixels

__all__ = ["TiffError", "is_tiff", "read"]

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_OFFSETS, _SAMPLES, _SIZES, _PLANAR, _PREDICTOR, _FORMAT = 273, 277, 279, 284, 317, 339
_NAMED = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES, _SIZES}
_NAMED |= {_PLANAR, _PREDICTOR, _FORMAT}
_TYPES = {1: "B", 3: "H", 4: "I"}  # of a tag's values
_KINDS = {1: "u", 2: "i", 3: "f"}  # of samples
_DEFLATE = (8, 32_946)
_MAX_TAGS = 500
_MAX_STRIPS = 100_000
_CHANNELS = 3
_COLOURS = (1, 3, 4)  # grey, RGB, RGB with one more


class TiffError(Exception):
    """Why a file is not read, as the rest of a sentence that begins with its name."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    width: int
    height: int
    samples: int
    dtype: np.dtype[np.generic]

    @property
    def size_bytes(self) -> int:
        return self.width * self.height * self.samples * self.dtype.itemsize


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin as a TIFF."""
    return data.startswith((b"II*\0", b"MM\0*"))


def read(data: bytes, *, most_pixels: int) -> NDArray[np.uint8]:
    """The first picture of a file as RGB (height, width, 3).

    Raises:
        TiffError: another layout or compression, too many pixels, or damage.
    """
    try:
        order = "<" if data[:2] == b"II" else ">"
        tags = _tags(data, order)
        layout = _layout(tags, order)
        if layout.width * layout.height > most_pixels:
            raise TiffError(f"has more than {most_pixels // 1_000_000} million pixels")
        values = _values(data, tags, layout)
    except (struct.error, zlib.error, ValueError, KeyError, IndexError) as error:
        raise TiffError("is damaged or cut short") from error
    inverted = tags.get(_PHOTOMETRIC, (1,))[0] == pixels.WHITE_IS_ZERO
    chosen = values[..., :_CHANNELS] if layout.samples >= _CHANNELS else values[..., :1]
    scale = pixels.array_scale(chosen, inverted=inverted)
    rgb = np.empty((layout.height, layout.width, _CHANNELS), np.uint8)
    for channel in range(_CHANNELS):
        rgb[..., channel] = pixels.scaled(chosen[..., channel % chosen.shape[-1]], scale)
    return rgb


def _tags(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    if count > _MAX_TAGS:
        raise ValueError("too many tags")
    tags = {}
    for number in range(count):
        at = start + 2 + 12 * number
        tag, kind, values = struct.unpack_from(order + "HHI", data, at)
        if tag not in _NAMED or kind not in _TYPES:
            continue
        if values > _MAX_STRIPS:
            raise ValueError("too many values")
        form = f"{order}{values}{_TYPES[kind]}"
        where = at + 8
        if struct.calcsize(form) > 4:  # they do not fit into the tag itself
            (where,) = struct.unpack_from(order + "I", data, where)
        tags[tag] = struct.unpack_from(form, data, where)
    return tags


def _layout(tags: dict[int, tuple[int, ...]], order: str) -> _Layout:
    samples = tags.get(_SAMPLES, (1,))[0]
    bits, kinds = set(tags.get(_BITS, (1,))), set(tags.get(_FORMAT, (1,)))
    if _OFFSETS not in tags:
        raise TiffError("is stored in tiles of several wide channels, which are not read")
    if tags.get(_COMPRESSION, (1,))[0] not in (1, *_DEFLATE):
        raise TiffError("is compressed in a way that is not read for several wide channels")
    if samples not in _COLOURS:
        raise TiffError(f"has {samples} channels; keep red, green and blue")
    sizes = {"u": {8, 16, 32}, "i": {8, 16, 32}, "f": {16, 32, 64}}
    kind = _KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if len(bits) != 1 or kind is None or not bits <= sizes[kind]:
        raise TiffError("has pixels of a kind that is not read")
    return _Layout(
        width=tags[_WIDTH][0],
        height=tags[_HEIGHT][0],
        samples=samples,
        dtype=np.dtype(f"{order}{kind}{bits.pop() // 8}"),
    )


def _values(data: bytes, tags: dict[int, tuple[int, ...]], layout: _Layout) -> NDArray[np.generic]:
    """The samples (height, width, samples)."""
    deflated = tags.get(_COMPRESSION, (1,))[0] in _DEFLATE
    left_bytes, strips = layout.size_bytes, []
    for offset, size_bytes in zip(tags[_OFFSETS], tags[_SIZES], strict=True):
        strip = data[offset : offset + size_bytes]
        if deflated:
            strip = zlib.decompressobj().decompress(strip, left_bytes)
        strips.append(strip[:left_bytes])
        left_bytes -= len(strips[-1])
        if not left_bytes:
            break
    flat = np.frombuffer(b"".join(strips), layout.dtype)
    planar = tags.get(_PLANAR, (1,))[0] == 2 and layout.samples > 1
    if planar:
        planes = flat.reshape(layout.samples, layout.height, layout.width)
        values = planes.transpose(1, 2, 0)
    else:
        values = flat.reshape(layout.height, layout.width, layout.samples)
    if tags.get(_PREDICTOR, (1,))[0] == 1:
        return values
    if tags[_PREDICTOR][0] != 2 or layout.dtype.kind == "f":
        raise TiffError("is predicted in a way that is not read")
    return np.cumsum(values, axis=1, dtype=layout.dtype.newbyteorder("="))
