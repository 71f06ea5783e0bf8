"""Commands where the terminal, the user or a variable is unusual."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid import zoo
from hybrid.cli.main import app

PROGRAM = [sys.executable, "-c", "from hybrid.cli.main import app; app()"]


def test_help_is_printed_where_the_terminal_has_only_ascii() -> None:
    run = subprocess.run(
        [*PROGRAM, "choose", "--help"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert b"--max-loss" in run.stdout
    assert run.stdout.isascii()


def test_the_folder_of_networks_may_begin_with_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HYBRID_PRETRAINED", "~/networks")

    assert zoo.pretrained_folder() == tmp_path / "networks"


def test_ctrl_c_ends_any_command_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(zoo, "networks", interrupted)

    finished = CliRunner().invoke(app, ["networks"])

    assert (finished.exit_code, finished.stderr) == (130, "Stopped.\n")
