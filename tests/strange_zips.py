"""Zips byte for byte, as tools write them that `zipfile` does not imitate."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

__all__ = ["info_zip", "raw_zip"]


class _Raw(zipfile.ZipInfo):
    """A member whose name is stored as it is, without the flag of UTF-8."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  # zipfile calls it so
        return self.raw, self.flag_bits & ~0x800


def raw_zip(files: Mapping[bytes, bytes], *, extra: Mapping[bytes, bytes] | None = None) -> bytes:
    """Names exactly as given, never flagged as UTF-8; extra: name → its extra field."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, data) in enumerate(files.items()):
            info = _Raw(f"x{number}")
            info.raw, info.extra = name, (extra or {}).get(name, b"")
            archive.writestr(info, data)
    return buffer.getvalue()


def info_zip(files: Mapping[str, bytes], *, code_page: str) -> bytes:
    """As Info-ZIP writes: names in an old code page, and in UTF-8 in an extra field."""
    raw = {name.encode(code_page, "replace"): (name, data) for name, data in files.items()}
    extra = {}
    for key, (name, _) in raw.items():
        content = b"\x01" + struct.pack("<I", zlib.crc32(key)) + name.encode()
        extra[key] = struct.pack("<HH", 0x7075, len(content)) + content
    return raw_zip({key: data for key, (_, data) in raw.items()}, extra=extra)
