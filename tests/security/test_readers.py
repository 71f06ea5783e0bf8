"""Crafted files: every reader has a bound and says which, in one sentence."""

import bz2
import io
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from hybrid import energy, files, zoo
from hybrid.choosing import Limits
from hybrid.choosing.files import load_point
from hybrid.data import labels, sources
from hybrid.data.images import KEPT_SIDE, MAX_ASPECT, read_image
from hybrid.data.sources.uploads import read_upload
from hybrid.errors import HybridError, ImageError, LimitError, ProfileError, SourceError, TraceError
from hybrid.models.checkpoints import load_network
from hybrid.models.weight_files import fit_weights
from hybrid.monitor.plan import load_plan
from hybrid.traces import trace
from hybrid.training.recipe import load_recipe
from tests.own_images import encoded, zipped

PROFILE = (Path(energy.__file__).parent / "hardware" / "horowitz-45nm-fp32.toml").read_text()


@pytest.mark.parametrize("size", [(8, 2_000_000), (2_000_000, 8), (300, 40_000)])
def test_a_tall_picture_is_kept_in_few_pixels(size: tuple[int, int]) -> None:
    picture = read_image("tall.png", encoded(Image.new("L", size), "PNG"))

    assert max(picture.size) <= MAX_ASPECT * KEPT_SIDE
    assert picture.width * picture.height <= MAX_ASPECT * KEPT_SIDE**2


def test_thirty_tall_pictures_in_a_zip_stay_small() -> None:
    tall = encoded(Image.new("L", (8, 1_000_000)), "PNG")

    found = read_upload("a.zip", zipped({f"{n}.png": tall for n in range(30)}))

    held = sum(one.image.width * one.image.height for one in found if hasattr(one, "image"))
    assert len(found) == 30
    assert 3 * held < 10_000_000


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded() -> None:
    whole = encoded(Image.new("RGB", (4_000, 4_000)), "JPEG", progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    crafted = whole[:-2] + 60 * scan + whole[-2:]
    start = time.process_time()

    with pytest.raises(ImageError, match=r"has more than \d+ scans, the most that are decoded"):
        read_image("scans.jpg", crafted)

    assert time.process_time() - start < 5


def test_a_packed_file_without_suffix_is_not_unpacked_to_see_what_it_is() -> None:
    """bz2 has no way to unpack a head only: 700 bytes become 900 MB."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("cat/1.png", encoded(Image.new("L", (8, 8)), "PNG"))
        archive.writestr("cat/bomb", b"", zipfile.ZIP_BZIP2)
    data = buffer.getvalue()

    with sources.opened(data) as source:
        assert [one.name for one in source.entries] == ["cat/1.png"]
        assert sum(source.ignored.values()) == 1
    assert bz2.compress(b"")  # the method is there on this machine


@pytest.mark.parametrize(
    "table, sentence",
    [
        (b"," * 300_000, "a line of more than 200,000 letters"),
        (b"a,b,c,d,e,f\n" * 900_000, "5,000,000 cells, the most"),
    ],
)
def test_a_table_of_labels_has_bounds(table: bytes, sentence: str) -> None:
    picture = encoded(Image.new("L", (8, 8)), "PNG")
    start = time.process_time()

    with (
        pytest.raises(SourceError, match=sentence),
        sources.opened(zipped({"1.png": picture}), labels=table),
    ):
        pass

    assert time.process_time() - start < 20


@given(st.sampled_from("0123456789²٣"), st.integers(min_value=1, max_value=6_000))
def test_a_label_of_thousands_of_digits_matches_no_class(digit: str, length: int) -> None:
    (found,) = labels.match([digit * length], zoo.card("digits-vgg").classes)

    assert found.class_name is None or length <= 100


@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_folder_of_images(place: str) -> None:
    with (
        pytest.raises(SourceError, match="neither a folder nor a file"),
        sources.opened(Path(place)),
    ):
        pass


@pytest.mark.parametrize("name", ["~nouser-of-that-name/x", "x" * 5_000, "a\0b"])
def test_a_path_that_cannot_be_is_a_sentence(name: str) -> None:
    with pytest.raises(HybridError), sources.opened(files.expanded(name)):
        pass


@given(st.integers(min_value=33, max_value=20_000), st.sampled_from(["[", "{a="]))
def test_deep_tables_and_lists_are_refused(depth: int, opening: str) -> None:
    closing = {"[": "]", "{a=": "}"}[opening]
    inside = "" if opening == "[" else "1"

    with pytest.raises(ValueError, match="nested more than 32 deep"):
        files.parse_toml("x = " + depth * opening + inside + depth * closing)
    with pytest.raises(ValueError, match="nested more than 32 deep"):
        files.parse_json(depth * "[" + depth * "]")


@pytest.mark.parametrize("number", ["0x" + "f" * 5_000, "1e300", "-1", "true"])
def test_a_hostile_number_in_a_profile_is_a_sentence(tmp_path: Path, number: str) -> None:
    path = tmp_path / "mine.toml"
    first = next(line for line in PROFILE.splitlines() if line.startswith("mac_pj"))
    path.write_text(PROFILE.replace(first, f"{first.partition('=')[0]}= {number}"))

    with pytest.raises(ProfileError, match="give a number of 0 or more"):
        energy.load_profile(path)


def test_a_profile_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PROFILE.encode())

    assert energy.load_profile(path) == energy.load_profile("horowitz-45nm-fp32")


def test_a_battery_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(LimitError, match="give a number of at most 1e"):
        Limits(images_per_day=1, battery_mah=1e308, battery_volts=3)


def test_a_file_without_an_end_is_not_read_to_the_end(tmp_path: Path) -> None:
    large = tmp_path / "card.toml"
    with large.open("wb") as file:
        file.truncate(files.MAX_TEXT_BYTES + 1)

    with pytest.raises(ValueError, match="larger than 8 MB"):
        files.read_text(large)
    with pytest.raises(ValueError, match="not a file"):
        files.read_text(Path("/dev/zero"))


def too_large(folder: Path) -> Path:
    path = folder / "file.toml"
    with path.open("wb") as file:
        file.truncate(files.MAX_WEIGHTS_BYTES + 1)  # of zeros, which take no place on the disk
    return path


def pipe(folder: Path) -> Path:
    path = folder / "pipe.toml"
    os.mkfifo(path)
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize(
    "make, reason",
    [(too_large, "larger than"), (pipe, "not a file|no recipe file")],
    ids=["too large", "a pipe"],
)
@pytest.mark.parametrize(
    "read",
    [
        load_network,
        lambda path: fit_weights(nn.Linear(1, 1), path),
        load_recipe,
        load_point,
        energy.load_profile,
    ],
    ids=["network", "own weights", "recipe", "point", "profile"],
)
def test_a_file_is_looked_at_before_it_is_read_whole(
    tmp_path: Path,
    make: Callable[[Path], Path],
    reason: str,
    read: Callable[[Path], object],
) -> None:
    with pytest.raises(HybridError, match=reason):
        read(make(tmp_path))


@pytest.mark.parametrize("make", [too_large, pipe])
@pytest.mark.parametrize("read", [trace.load, load_plan])
def test_a_trace_or_plan_is_looked_at_before_it_is_read_whole(
    tmp_path: Path, make: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    with pytest.raises(HybridError, match=r"is not a readable|is no plan"):
        read(make(tmp_path))


def test_a_small_trace_of_many_samples_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_MOST_CELLS", 1_000_000)
    path = tmp_path / "trace.parquet"
    pq.write_table(pa.table({"label": np.zeros(1_000_001, np.int8)}), path)

    assert path.stat().st_size < 10_000
    with pytest.raises(TraceError, match="holds more than 1 million numbers; record it again"):
        trace.load(path)


def test_a_trace_of_texts_is_not_unpacked(tmp_path: Path) -> None:
    pq.write_table(pa.table({"label": ["x" * 1_000] * 1_000}), tmp_path / "trace.parquet")

    with pytest.raises(TraceError, match="has columns that are not numbers; record it again"):
        trace.load(tmp_path / "trace.parquet")


@pytest.mark.parametrize(
    "labels, answers",
    [([2**63 - 1], [0]), ([-5], [0]), ([0], [-1]), ([0], [2**31]), ([10], [0]), ([0], [10])],
)
def test_classes_out_of_range_are_damage(
    tmp_path: Path, labels: list[int], answers: list[int]
) -> None:
    whole = pq.read_table(zoo.trace_path("digits-vgg", "hybrid-4bit", "test"))
    table = whole.slice(0, 1)
    for name, values in (("label", labels), ("exit0_class", answers)):
        column = pa.array(np.array(values, np.int64))
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, tmp_path / "trace.parquet")

    with pytest.raises(HybridError, match="is damaged; record it again"):
        trace.load(tmp_path / "trace.parquet", classes=10)
