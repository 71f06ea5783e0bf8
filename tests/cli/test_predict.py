"""`hybrid predict`: a row per image of files, folders, zips and stdin, as they are read."""

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from hybrid import evaluation, zoo
from hybrid.cli.main import app
from hybrid.data.preprocess import preprocess
from hybrid.data.sources import inputs
from tests.own_images import digits, png, pngs, write_folder, zipped

PREDICT = ["predict", "digits-vgg", "--bits", "4", "--thresholds", "0.999,0.999"]


START = "from hybrid.cli.main import app; app()"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return pngs(digits(40))


@pytest.fixture
def folder(files: dict[str, bytes], tmp_path: Path) -> Path:
    return write_folder(tmp_path / "photos", files)


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, [*PREDICT, *map(str, arguments)], input=stdin)


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_a_folder_gives_a_row_per_image_with_what_json_and_the_prices_say(folder: Path) -> None:
    found = rows(run(folder, "--csv"))
    said = json.loads(run(folder, "--json").stdout)
    variant = zoo.variant("digits-vgg", 4)
    costs = evaluation.costs(variant, evaluation.Prices())

    assert [row["file"] for row in found] == sorted(str(p) for p in folder.rglob("*.png"))
    assert len({row["exit"] for row in found}) > 1
    for row, one in zip(found, said, strict=True):
        taken = one["exit"]
        assert (row["file"], row["class"]) == (one["image"], one["class"])
        assert float(row["confidence"]) == one["exits"][taken]["confidence"]
        assert row["exit_name"] == variant.exit_names[taken]
        assert float(row["energy_pj"]) == costs.energy_pj[taken]
        assert float(row["uplink_bytes"]) == costs.uplink_bytes[taken]


def test_the_answer_for_an_image_does_not_depend_on_those_beside_it(folder: Path) -> None:
    together = rows(run(folder, "--csv"))
    assert len(together) > 13
    for row in together[::13]:
        (alone,) = rows(run(row["file"], "--csv"))
        assert alone["class"] == row["class"]
        assert float(alone["confidence"]) == pytest.approx(float(row["confidence"]), abs=1e-5)


@pytest.mark.parametrize("way", ["zip", "zip on stdin", "list", "NULs", "list of a folder"])
def test_every_way_in_gives_the_same_rows(way: str, folder: Path, tmp_path: Path) -> None:
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png"))}
    (tmp_path / "all.zip").write_bytes(zipped(files))
    paths = [str(folder / name) for name in files]
    given: dict[str, tuple[str | Path, bytes]] = {
        "zip": (tmp_path / "all.zip", b""),
        "zip on stdin": ("-", zipped(files)),
        "list": ("-", "\r\n".join(paths).encode()),
        "NULs": ("-", "\0".join(paths).encode() + b"\0"),
        "list of a folder": ("-", f"{folder}\n".encode()),
    }
    argument, stdin = given[way]

    def answers(result: Result) -> list[tuple[str, str]]:
        return [(row["class"], row["exit"]) for row in rows(result)]

    assert answers(run(argument, "--csv", stdin=stdin)) == answers(run(folder, "--csv"))


def test_an_image_on_stdin_is_classified(files: dict[str, bytes]) -> None:
    (row,) = rows(run("-", "--csv", stdin=next(iter(files.values()))))

    assert row["file"] == "-"


def test_nothing_on_stdin_is_said() -> None:
    result = run("-", "--csv")

    assert result.exit_code == 2
    assert result.stderr == "Nothing came on stdin; send an image, a zip or a list of paths.\n"


def test_what_cannot_be_read_is_named_and_costs_no_row(folder: Path) -> None:
    write_folder(folder, {"bad.png": b"words", "notes.txt": b"words", "0/.DS_Store": b""})

    result = run(folder, "nothing.png", "--csv")

    assert result.exit_code == 2
    assert len(rows(result)) == 40
    ignored, bad, missing = result.stderr.splitlines()
    assert ignored == "photos: 2 other files or folders were ignored (1 .DS_Store, 1 .txt)."
    assert "is not a PNG, JPEG or other image that is read; save it as" in bad
    assert missing.startswith("nothing.png cannot be read (No such file or directory); allow")


def test_rows_come_while_the_list_is_still_written(folder: Path) -> None:
    """The reader gets the first row before the writer sends the second path."""
    first, second = sorted(folder.rglob("*.png"))[:2]
    command = [sys.executable, "-c", START, *PREDICT, "-", "--csv"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{first}\n".encode())
        process.stdin.flush()
        process.stdout.readline()
        assert process.stdout.readline().startswith(str(first).encode())
        process.stdin.write(f"{second}\n".encode())
        process.stdin.close()
        assert process.stdout.readline().startswith(str(second).encode())


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """40 files of 1 MB each, of which one at a time is in memory."""
    write_folder(tmp_path, {f"{n}.png": bytes(1_000_000) for n in range(40)})
    tracemalloc.start()

    count = sum(len(one.data) for one in inputs.each([str(tmp_path)], io.BytesIO(), note=print))

    assert count == 40_000_000
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("fit, lit", [("crop", 1.0), ("stretch", 1 / 3), ("letterbox", 1 / 9)])
def test_a_picture_that_is_not_square_is_fitted_as_asked(
    fit: str, lit: float, tmp_path: Path
) -> None:
    wide = np.zeros((30, 90), np.uint8)
    wide[:, 30:60] = 255  # the middle third
    write_folder(tmp_path, {"wide.png": png(wide)})
    card = zoo.card("digits-vgg")
    (row,) = rows(run(tmp_path / "wide.png", "--fit", fit, "--csv"))
    pixels = preprocess(Image.fromarray(wide), card.size, card.channels, fit=fit)

    assert pixels.mean() / 255 == pytest.approx(lit, abs=0.07)
    write_folder(tmp_path, {"square.png": png(pixels)})
    (same,) = rows(run(tmp_path / "square.png", "--csv"))
    assert row["confidence"] == same["confidence"]


def test_an_unknown_fit_is_one_sentence(folder: Path) -> None:
    result = run(folder, "--fit", "letterbx")

    assert result.exit_code == 2
    assert "No fit is called 'letterbx'" in result.stderr
