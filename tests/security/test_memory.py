"""The memory that pictures take: while they are decoded, and after they are gone."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]

SIDE = 6_324  # 40 million pixels, the most that are read

START = """
import ctypes, io, pathlib, re, sys
from PIL import Image
from hybrid.data.images import read_image
from hybrid.data.sources.uploads import read_upload
from hybrid.ui.server.limits import give_back

def status(what):
    text = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(what + r":\\s+(\\d+)", text)[1]) // 1000

small = io.BytesIO()
Image.new("RGB", (64, 64)).save(small, "PNG")
read_image("small.png", small.getvalue())
data = pathlib.Path(sys.argv[1]).read_bytes()
give_back()
"""
PEAK = """
pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
before = status("VmHWM")
read_image("picture", data)
print(status("VmHWM") - before)
"""
AFTER = """
for _ in range(3):
    kept = read_upload("a.zip", data)
    assert len(kept) == 3, kept
    del kept
    give_back()
    print(status("VmRSS"))
"""


def printed(script: str, file: Path) -> list[int]:
    run = subprocess.run(
        [sys.executable, "-c", START + script, file], capture_output=True, text=True, check=True
    )
    return [int(number) for number in re.findall(r"^\d+$", run.stdout, re.MULTILINE)]


def picture(mode: str) -> Image.Image:
    """A picture that compresses well and is no single colour."""
    tile = np.arange(64 * 64 * 4, dtype=np.uint32).reshape(64, 64, 4)
    pixels = np.tile(tile, (SIDE // 64 + 1, SIDE // 64 + 1, 1))[:SIDE, :SIDE]
    if mode == "F":
        return Image.fromarray(pixels[..., 0].astype(np.float32))
    return Image.fromarray(pixels[..., : len(mode)].astype(np.uint8), mode)


@pytest.mark.parametrize(
    "kind, mode, most_mb, options",
    [
        ("PNG", "RGBA", 220, {"compress_level": 1}),
        ("TIFF", "F", 240, {"compression": "tiff_lzw"}),
        ("WEBP", "RGB", 700, {"quality": 5, "method": 0}),
        ("JPEG", "RGB", 180, {"quality": 30, "progressive": True}),
    ],
)
def test_a_picture_of_40_million_pixels_takes_bounded_memory(
    tmp_path: Path, kind: str, mode: str, most_mb: int, options: dict[str, object]
) -> None:
    file = tmp_path / "picture"
    picture(mode).save(file, kind, **options)

    (peak_mb,) = printed(PEAK, file)

    assert 30 < peak_mb < most_mb  # as docs/security.md has it


def test_memory_of_uploads_that_are_gone_is_returned(tmp_path: Path) -> None:
    import zipfile

    picture("RGB").save(inside := io.BytesIO(), "PNG", compress_level=1)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", inside.getvalue())

    first_mb, *_, last_mb = printed(AFTER, tmp_path / "a.zip")

    assert last_mb - first_mb < 50
