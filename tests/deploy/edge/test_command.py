"""`hybrid edge`: lines of JSON, one sentence for each thing that is wrong, and kill -9."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from hybrid.cli.main import app
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.monitor import AnswerLine, AuditLine, parse_line
from hybrid.monitor.plan import Plan, save_plan
from tests.deploy.edge.conftest import PORTABLE
from tests.deploy.edge.servers import Served, serving
from tests.deploy.edge.test_audits import plan

__all__ = ["plan"]  # a fixture
pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")


@pytest.fixture
def images(vectors: dict[str, np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, pixels in enumerate(vectors["pixels"]):
        Image.fromarray(pixels[:, :, 0]).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def home(bundle: EdgeBundle, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of a user that has the compiled edge."""
    EdgeRuntime(bundle, cache=cache).close()
    (tmp_path / "cache" / "hybrid").mkdir(parents=True)
    (tmp_path / "cache" / "hybrid" / "edge").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def served(bundle: EdgeBundle, vectors: dict[str, np.ndarray]) -> Iterator[Served]:
    known = dict(zip(map(bytes, vectors["packed"]), vectors["cloud_logits"], strict=True))
    one = Served(known, bundle.weights)
    with serving(one):
        yield one


def run(home: Path, bundle: EdgeBundle, *words: object) -> Result:
    return CliRunner().invoke(app, ["edge", str(bundle.folder), *map(str, words)])


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_is_answered_line_by_line(
    home: Path, bundle: EdgeBundle, images: Path, vectors: dict[str, np.ndarray], cache: Path
):
    result = run(home, bundle, images)

    with EdgeRuntime(bundle, cache=cache) as edge:
        expected = [edge.answer(pixels) for pixels in vectors["pixels"]]
    found = rows(result.stdout)
    assert result.exit_code == 0
    assert [one["class"] for one in found] == [line.class_index for line in expected]
    assert [one["confidence"] for one in found] == [line.confidence for line in expected]
    assert [Path(one["file"]).name for one in found] == sorted(p.name for p in images.iterdir())
    assert f"{len(found)} images in" in result.stderr


def test_what_is_no_image_is_named_and_the_others_are_answered(
    home: Path, bundle: EdgeBundle, images: Path
):
    (images / "00.png").write_bytes(b"no image")

    result = run(home, bundle, images)

    assert result.exit_code == 2
    assert len(rows(result.stdout)) == 15
    assert "00.png is not a PNG" in result.stderr


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "Name images or folders, a folder with --watch, or a --camera."),
        (["a.png", "--cloud", "cloud"], "cloud is no address of a cloud; give one such as"),
        (["a.png", "--plan", "p"], "Audits need a cloud and a folder in which they wait"),
        (["--watch", "nowhere"], "There is no folder nowhere to watch"),
        (["a.png", "--cloud", "http://localhost:1", "--token-file", "no"], "no holds no token"),
        (["a.png", "--cloud", "https://localhost:1", "--ca", "no"], "no holds no certificates"),
    ],
)
def test_a_wrong_word_is_one_sentence(
    home: Path, bundle: EdgeBundle, words: list[str], sentence: str,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(home)

    result = run(home, bundle, *words)

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_sentence(home: Path, bundle: EdgeBundle, images: Path):
    result = run(home, bundle, images, "--out", "/dev/full")

    assert result.exit_code == 2
    assert "/dev/full cannot be read or written (No space left on device)" in result.stderr
    assert "0 images in" in result.stderr


def test_a_camera_needs_opencv(home: Path, bundle: EdgeBundle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", None)

    result = run(home, bundle, "--camera", 0)

    assert result.exit_code == 2
    assert "This command needs cv2" in result.stderr


def test_a_token_is_in_no_line_and_no_message(
    home: Path, bundle: EdgeBundle, images: Path, served: Served
):
    served.token = "other"
    (home / "token").write_text("very-secret\n")

    result = run(home, bundle, images, "--cloud", served.url, "--token-file", home / "token")

    assert result.exit_code == 0
    assert "very-secret" not in result.output


SCRIPT = (
    "import sys, hybrid.deploy.edge.device as device; device.FLAGS = eval(sys.argv.pop(1));"
    "from hybrid.cli.main import app; app()"
)


def started(bundle: EdgeBundle, *words: object, **options: Any) -> "subprocess.Popen[str]":
    """A real process with the portable edge, which is compiled already."""
    command = [sys.executable, "-c", SCRIPT, repr(PORTABLE), "edge", str(bundle.folder)]
    return subprocess.Popen([*command, *map(str, words)], text=True, **options)


def test_it_loads_neither_torch_nor_streamlit(home: Path, bundle: EdgeBundle, images: Path):
    script = SCRIPT.replace("app()", "app(standalone_mode=False)") + "; print(sorted(sys.modules))"
    command = [sys.executable, "-c", script, repr(PORTABLE), "edge", str(bundle.folder)]
    done = subprocess.run([*command, str(images)], text=True, capture_output=True, check=True)

    *answers, modules = done.stdout.splitlines()
    assert len(answers) == 16
    loaded = {name.partition(".")[0] for name in eval(modules)}
    assert loaded.isdisjoint({"torch", "streamlit", "pandas", "scipy", "pyarrow", "onnxruntime"})


def test_a_killed_edge_loses_no_line_and_no_audit(
    home: Path, bundle: EdgeBundle, images: Path, plan: Plan, served: Served, tmp_path: Path
):
    save_plan(plan, tmp_path / "plan.json")
    audited = ["--plan", tmp_path / "plan.json", "--spool", tmp_path / "spool"]
    out, nowhere = tmp_path / "lines.jsonl", "http://127.0.0.1:1"
    edge = started(
        bundle, "-", "--cloud", nowhere, "--out", out, *audited,
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert edge.stdin is not None
    assert edge.stderr is not None
    for path in sorted(images.iterdir()):
        edge.stdin.write(f"{path}\n")
    edge.stdin.write("nothing-more\n")
    edge.stdin.flush()
    assert "nothing-more cannot be read" in edge.stderr.readline()  # so all before was answered
    edge.send_signal(signal.SIGKILL)
    edge.communicate()

    lines = [parse_line(text) for text in out.read_text().splitlines()]
    drawn = [one.image for one in lines if isinstance(one, AnswerLine) and one.audited]
    again = run(home, bundle, images / "00.png", "--cloud", served.url, "--out", out, *audited)

    assert again.exit_code == 0
    assert len(lines) == 16
    assert drawn
    later = [parse_line(text) for text in out.read_text().splitlines()[16:]]
    came = [one.image for one in later if isinstance(one, AuditLine)]
    assert came[: len(drawn)] == drawn
