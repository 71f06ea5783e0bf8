"""Users of a container: without a name, without a home folder, without a right to write."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid.data import sources
from hybrid.errors import SourceError
from tests.conftest import ROOT
from tests.own_images import digits, encoded, pngs, write_folder
from tests.security import visitors

POINT = ["digits-vgg", "--bits", "4", "--thresholds", "0.9,0.9"]


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that every user may look into; pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def hybrid(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-B", "-c", "from hybrid.cli.main import app; app()"]
    shown = {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*visitors.as_unknown(), *program, *words],
        env=visitors.without_home(**shown, **variables),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(not visitors.as_unknown(), reason="only the superuser becomes another user")
def test_an_unknown_user_without_a_home_folder_can_evaluate_and_predict(open_to_all: Path) -> None:
    write_folder(open_to_all / "photos", pngs(digits(4)))

    evaluated = hybrid("evaluate", *POINT)
    predicted = hybrid("predict", *POINT, str(open_to_all / "photos"), "--csv")

    assert evaluated.returncode == predicted.returncode == 0, evaluated.stderr + predicted.stderr
    assert len(predicted.stdout.strip().splitlines()) == 1 + 4


@pytest.mark.slow
@pytest.mark.skipif(not visitors.as_unknown(), reason="only the superuser becomes another user")
@pytest.mark.parametrize(
    "variables, sentence",
    [
        ({}, "name a folder that it can write to in HYBRID_TRACES"),
        ({"HOME": "/"}, "cannot be saved in /.local/share/hybrid/traces (Permission denied)"),
        ({"HYBRID_TRACES": "/traces"}, "cannot be saved in /traces (Permission denied)"),
    ],
)
def test_an_unknown_user_who_records_is_told_what_to_set(
    open_to_all: Path, variables: dict[str, str], sentence: str
) -> None:
    write_folder(open_to_all / "photos", pngs(digits(20)))

    run = hybrid(
        "import-images", "digits-vgg", "--images", str(open_to_all / "photos"), "--name", "a",
        "--bits", "4", **variables,
    )  # fmt: skip

    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert sentence in run.stderr


def test_folders_and_files_that_may_not_be_read_are_named(open_to_all: Path) -> None:
    write_folder(open_to_all, {"cat/1.png": picture(), "dog/1.png": picture()})
    (open_to_all / "dog").chmod(0)
    write_folder(open_to_all / "cat", {"2.png": picture()})
    (open_to_all / "cat" / "2.png").chmod(0)

    with visitors.without_rights(), sources.opened(open_to_all) as source:
        refused = {one.name: one.sentence for one in source.refused}
        listed = [one.name for one in source.entries]

    (open_to_all / "dog").chmod(0o755)
    assert "cat/1.png" in listed
    assert "cannot be listed (Permission denied); allow reading it" in refused["dog"]


@pytest.mark.parametrize("inner", ["", "below", "below/photos.zip"])
def test_a_folder_that_may_not_be_looked_into_is_a_sentence(open_to_all: Path, inner: str) -> None:
    closed = open_to_all / "closed"
    (closed / "below").mkdir(parents=True)
    closed.chmod(0)

    with (
        visitors.without_rights(),
        pytest.raises(SourceError, match="Permission denied"),
        sources.opened(closed / inner),
    ):
        pass

    closed.chmod(0o755)


def picture() -> bytes:
    from PIL import Image

    return encoded(Image.new("L", (8, 8)), "PNG")
