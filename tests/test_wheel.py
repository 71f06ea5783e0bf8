"""A wheel without extras, installed in a folder of its own, shows a network as the clone does."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

EXTRAS = ("hypothesis", "lightning", "mapie", "onnx", "playwright", "pytest", "qonnx")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the environment's own hatchling: no index is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", folder, root], check=True, capture_output=True)
    return next(folder.glob("hybrid-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; what it requires is read from this environment.

    Only the path is borrowed, so the editable install here stays out of reach there, and the
    packages of the extras are refused as if they were not there.
    """
    home = tmp_path_factory.mktemp("elsewhere") / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    subprocess.run([*pip, "install", "--no-deps", wheel], check=True, capture_output=True)
    packages = next(home.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (packages / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({EXTRAS!r}))\n"
    )
    return home


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the fresh environment in a folder that has nothing of the project."""
    environment = {key: value for key, value in os.environ.items() if key[:6] != "HYBRID"}
    return subprocess.run(
        [home / "bin" / command[0], *command[1:]],
        cwd=home.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_carries_everything_that_is_read_at_run_time(wheel: Path, root: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = [
        *(root / "hybrid").glob("energy/*/*.toml"),
        *(root / "hybrid").glob("data/splits/*"),
        *(root / "hybrid").glob("data/samples/*"),
        *(root / "hybrid").glob("training/recipes/*.toml"),
        *(root / "hybrid").glob("ui/**/*.js"),
    ]

    assert {str(file.relative_to(root)) for file in needed} <= names
    assert {"hybrid/py.typed", "hybrid/pretrained/digits-vgg/card.toml"} <= names


def test_the_wheel_carries_neither_tests_nor_pages(wheel: Path):
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top.partition("-")[0] for top in tops} == {"hybrid"}


def test_the_installed_package_is_the_wheels_not_the_clones(installed: Path):
    finished = run(installed, "python", "-c", "import hybrid; print(hybrid.__file__)")

    assert finished.stdout.startswith(str(installed)), finished.stderr


def test_evaluate_runs_from_the_wheel_in_another_folder_without_extras(installed: Path):
    command = ["evaluate", "digits-vgg", "--bits", "1", "--thresholds", "0.9,0.8", "--json"]

    finished = run(installed, "hybrid", *command)

    assert finished.returncode == 0, finished.stderr
    point = json.loads(finished.stdout)
    assert point["samples"] == 359  # a fifth of the 1,797 digits of scikit-learn
    assert sum(point["exit_fractions"]) == pytest.approx(1)


def test_an_unknown_network_is_one_sentence_and_no_traceback(installed: Path):
    command = ["evaluate", "digits-vg", "--bits", "1", "--thresholds", "0.9,0.8"]

    finished = run(installed, "hybrid", *command)

    assert finished.returncode != 0
    assert "Did you mean digits-vgg?" in finished.stderr
    assert "Traceback" not in finished.stderr
