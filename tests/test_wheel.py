"""A wheel without extras, installed in a folder of its own, shows a network as the clone does."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from hybrid import zoo

pytestmark = pytest.mark.slow  # a wheel is built and installed

LARGEST = 100_000_000  # bytes; the package index takes no larger file
STARTS_WITHIN_S = 120
FONT = "app/static/fonts/ibm-plex-sans-latin-wght-normal.woff2"
EXTRAS = ("hypothesis", "lightning", "mapie", "onnx", "playwright", "pytest", "qonnx")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the environment's own hatchling: no index is asked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", folder, root], check=True, capture_output=True)
    return next(folder.glob("hybrid-*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The path of every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


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


def environment() -> dict[str, str]:
    """What a user has in it who has only installed the wheel."""
    return {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("HYBRID") and key != "PYTHONPATH"
    }


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the fresh environment in a folder that has nothing of the project."""
    return subprocess.run(
        [home / "bin" / command[0], *command[1:]],
        cwd=home.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def carried_networks(names: set[str]) -> set[str]:
    return {name.split("/")[2] for name in names if name.startswith("hybrid/pretrained/")}


def compressed_mb(wheel: Path, network: str) -> tuple[float, float]:
    """Weights and traces of a network in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        infos = [one for one in archive.infolist() if f"/pretrained/{network}/" in one.filename]
    sizes = dict.fromkeys((".safetensors", ".parquet", ".toml"), 0)
    for one in infos:
        sizes[Path(one.filename).suffix] += one.compress_size
    return sizes[".safetensors"] / 1e6, sizes[".parquet"] / 1e6


@contextmanager
def serving(command: list[str | Path], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A dashboard that was started in a folder and has answered; stopped as by Ctrl-C."""
    port = command[-1].rpartition("=")[2]
    server = subprocess.Popen(
        command, cwd=folder, env=environment() | {"STREAMLIT_SERVER_HEADLESS": "true"}
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield server
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the address answers; fail if the server ends or takes too long."""
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        try:
            return urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            with suppress(subprocess.TimeoutExpired):
                pytest.fail(f"The dashboard ended with {server.wait(timeout=0.2)}.")
    pytest.fail(f"No answer from {address} within {STARTS_WITHIN_S} s.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def first_run(port: int) -> tuple[bytes, list[str], list[str]]:
    """What a browser is sent on its first visit: theme, titles of the pages, exceptions."""
    theme, titles, exceptions = b"", [], []
    wanted = BackMsg()
    wanted.rerun_script.query_string = ""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=60) as socket_:
        socket_.send(wanted.SerializeToString())
        for raw in socket_:
            sent = ForwardMsg.FromString(raw)
            kind = sent.WhichOneof("type")
            if kind == "new_session":
                theme = sent.new_session.custom_theme.SerializeToString(deterministic=True)
            elif kind == "navigation":
                titles = [page.page_name for page in sent.navigation.app_pages]
            elif sent.delta.new_element.HasField("exception"):
                exceptions.append(sent.delta.new_element.exception.message)
            elif kind == "script_finished":
                break
    return theme, titles, exceptions


def test_the_wheel_carries_everything_that_is_read_at_run_time(names: set[str], root: Path):
    needed = [
        *(root / "hybrid").glob("energy/*/*.toml"),
        *(root / "hybrid").glob("data/splits/*"),
        *(root / "hybrid").glob("data/samples/*"),
        *(root / "hybrid").glob("training/recipes/*.toml"),
        *(root / "hybrid").glob("ui/**/*.js"),
        root / "hybrid" / "py.typed",
    ]

    assert {str(file.relative_to(root)) for file in needed} <= names


def test_the_wheel_carries_the_whole_app(names: set[str], root: Path):
    app = [root / "app.py", root / ".streamlit" / "config.toml"]
    app += [*(root / "pages").glob("*.py"), *(root / "static").rglob("*.*")]

    carried = {name for name in names if name.startswith("hybrid/dashboard/")}

    assert carried == {f"hybrid/dashboard/{file.relative_to(root)}" for file in app}


def test_the_wheel_carries_nothing_but_the_package(names: set[str], wheel: Path):
    tops = {name.partition("/")[0] for name in names}
    inside = {name.split("/")[1] for name in names if name.startswith("hybrid/")}

    assert {top.partition("-")[0] for top in tops} == {"hybrid"}
    assert inside.isdisjoint({"tests", "scripts", "benchmarks", "docs", "runs"})
    assert not any("__pycache__" in name for name in names)


def test_the_wheel_is_smaller_than_an_index_allows(wheel: Path):
    assert wheel.stat().st_size < LARGEST


def test_every_network_in_the_wheel_is_whole(names: set[str], root: Path):
    networks = carried_networks(names)
    assert "digits-vgg" in networks

    for network in networks:
        folder = root / "pretrained" / network
        inside = f"hybrid/pretrained/{network}/"
        card = zoo.load_card(folder / "card.toml")
        with_forms = any("/deployed-" in name for name in names if name.startswith(inside))
        variants = (card.recorded if with_forms else card.variants).values()
        files = {f"{one.name}/{file}" for one in variants for file in one.files} | {"card.toml"}
        assert {name.removeprefix(inside) for name in names if name.startswith(inside)} == files


def test_the_page_names_the_networks_of_the_wheel_and_their_sizes(
    wheel: Path, names: set[str], root: Path
):
    page = (root / "docs" / "install.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \| ([\d.]+) \| (yes|no) \|", page, re.MULTILINE)

    assert {row[0] for row in rows} == {
        card.parent.name for card in root.glob("pretrained/*/card.toml")
    }
    assert {row[0] for row in rows if row[3] == "yes"} == carried_networks(names)
    for network, weights, traces, inside in rows:
        if inside == "yes":
            sizes = compressed_mb(wheel, network)
            assert (float(weights), float(traces)) == pytest.approx(sizes, abs=0.15), network


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


def test_the_version_is_printed(installed: Path):
    assert run(installed, "hybrid", "--version").stdout == f"hybrid {version('hybrid')}\n"


@pytest.mark.timeout(400)
def test_the_dashboard_of_the_wheel_is_that_of_the_clone(installed: Path, root: Path):
    port, clones = free_port(), free_port()
    command = [installed / "bin" / "hybrid", "dashboard", f"--port={port}"]
    with serving(command, installed.parent) as server:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{FONT}", timeout=30) as answer:
            font = answer.read()
        theme, titles, exceptions = first_run(port)
    streamlit = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={clones}"]
    with serving(streamlit, root):
        expected = first_run(clones)

    assert server.returncode == 0
    assert font == (root / "static" / "fonts" / FONT.rpartition("/")[2]).read_bytes()
    assert titles[:2] == ["Explore", "Choose"]
    assert b"IBM Plex Sans" in theme
    assert (theme, titles, exceptions) == expected


def test_a_port_in_use_is_one_sentence(installed: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        finished = run(installed, "hybrid", "dashboard", "--port", str(port))

    assert finished.returncode == 2
    assert finished.stderr == (
        f"Port {port} on 127.0.0.1 is in use; choose another one with --port.\n"
    )
