"""From a zip of one's own images to two processes, a fault and an alarm, by commands alone."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hybrid.cli.main import app
from hybrid.deploy.measuring.processes import cloud_process
from hybrid.deploy.torch_engine import Engine
from tests.deploy.edge.conftest import PORTABLE
from tests.own_images import digits, png, pngs, zipped

SCRIPT = (
    "import sys, hybrid.deploy.edge.device as device; device.FLAGS = eval(sys.argv.pop(1));"
    "from hybrid.cli.main import app; app()"
)
NETWORK = "digits-vgg"


def hybrid(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == code, result.output
    return result


def edge(*words: object) -> str:
    """Runs the edge in a process of its own; what it says at the end."""
    command = [sys.executable, "-c", SCRIPT, repr(PORTABLE), "edge", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def noisy(folder: Path, images: int) -> Path:
    """Digits under noise, as if the lens were dirty."""
    rng, folder = np.random.default_rng(0), folder / "noisy"
    folder.mkdir()
    for number, pixels in enumerate(digits(images).images):
        noise = rng.integers(0, 256, pixels.shape)
        changed = np.where(rng.random(pixels.shape) < 0.8, noise, pixels).astype(np.uint8)
        (folder / f"{number:04d}.png").write_bytes(png(changed))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
def test_from_a_zip_of_images_to_an_alarm(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "traces"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hybrid.deploy.freezing.fastest", Engine)  # compiling takes seconds
    images, point = tmp_path / "mine.zip", tmp_path / "point.toml"
    bundle, plan, lines = tmp_path / "bundle", tmp_path / "plan.json", tmp_path / "lines.jsonl"
    images.write_bytes(zipped(pngs(digits(300))))

    hybrid("freeze", NETWORK, "--bits", 4)
    hybrid("import-images", NETWORK, "--images", images, "--name", "mine", "--tune-certify")
    for split in ("mine-tune", "mine-certify"):
        hybrid("trace", NETWORK, "--bits", 4, "--engine", "torch", "--split", split)
    hybrid("choose", NETWORK, "--deployed", "--images", "mine", "--max-loss", 8, "--out", point)
    # the point answers everything on the device; higher thresholds give the cloud some images
    asked = ("--point", point, "--thresholds", "0.7,0.7")
    hybrid("export", *asked, "--out", bundle)
    hybrid("monitor", *asked, "--promise", 0.02, "--audit", 1, "--save-plan", plan)

    audited = ("--plan", plan, "--spool", tmp_path / "spool", "--out", lines)
    dirty = noisy(tmp_path, 150)
    with cloud_process(bundle) as (url, cloud):
        said = edge(bundle, images, "--cloud", url, "--audit-wait-s", 60, *audited)
        cloud.send_signal(signal.SIGKILL)
        cloud.wait()
    assert "300 images" in said
    assert {row.get("source", "audit") for row in rows(lines)} <= {"exit", "cloud", "audit"}
    assert "No alarm" in hybrid("monitor", lines, "--plan", plan).stdout

    # a fault: the cloud was killed
    said = edge(bundle, dirty, "--cloud", url, "--audit-wait-s", 0, *audited)
    fallbacks = [row for row in rows(lines) if row.get("source") == "fallback"]
    assert fallbacks
    assert {row["reason"] for row in fallbacks} <= {"refused", "breaker"}
    assert "audits wait in" in said

    # it is back: what waited is sent, and the answers no longer keep the promise
    with cloud_process(bundle) as (url, _):
        edge(bundle, dirty, "--cloud", url, "--audit-wait-s", 60, *audited)
    alarm = hybrid("monitor", lines, "--plan", plan, "--json", code=1)
    found = json.loads(alarm.stdout)
    assert found["alarm"]
    assert (found["waiting"], found["fallbacks"]) == (0, len(fallbacks))
    assert set(found["refused"].values()) == {0}
