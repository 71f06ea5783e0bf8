"""Commands and options by the names that they had before."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hybrid.cli.former import COMMANDS, OPTIONS, translated
from hybrid.cli.main import app

FOUND = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_every_former_name_leads_to_one_that_there_is_and_is_none_itself():
    assert set(COMMANDS.values()) <= FOUND.keys()
    assert not COMMANDS.keys() & FOUND.keys()
    for command, options in OPTIONS.items():
        known = {name for one in FOUND[command].params for name in one.opts}
        assert set(options.values()) <= known
        assert not options.keys() & known


def test_the_changelog_lists_the_former_names(root: Path):
    rows = (root / "CHANGELOG.md").read_text().split("new names. The old")[1].split("Some keys")[0]

    renamed = [*COMMANDS.items(), *(pair for one in OPTIONS.values() for pair in one.items())]
    assert renamed
    for old, new in renamed:
        line = next(row for row in rows.splitlines() if f"{old}`" in row)
        assert f"{new}`" in line


@pytest.mark.parametrize(
    "words, now",
    [
        ("record n --match a=b --divide", "import-images n --map-label a=b --tune-certify"),
        ("record n --match=a=--match", "import-images n --map-label=a=--match"),
        ("evaluate --paper --json", "published --json"),
        ("choose n --observed", "choose n --uncertified"),
        ("evaluate n --observed", "evaluate n --observed"),
        ("import-images n --name record", "import-images n --name record"),
    ],
)
def test_only_former_names_are_replaced(words: str, now: str):
    assert translated(words.split())[0] == now.split()


def test_a_former_name_works_with_a_sentence_beside_the_output():
    done = CliRunner().invoke(app, ["card", "--help"])

    assert done.exit_code == 0
    assert done.stderr == "`card` is now `refresh`.\n"
    assert "refresh" in done.stdout
