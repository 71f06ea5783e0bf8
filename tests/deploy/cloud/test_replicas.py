"""Replicas through Ray Serve: the same answers, also while one of two is killed."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hybrid.cli.main import app
from hybrid.deploy.cloud import replicas
from hybrid.errors import ClusterError
from tests.deploy.cloud.conftest import binary
from tests.deploy.cloud.test_process import SCRIPT

CLIENTS, ASKED = 4, 150


def is_installed() -> bool:
    try:
        replicas.check_installed()
    except ClusterError:
        return False
    return True


def test_without_ray_serve_it_says_what_to_install(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    result = CliRunner().invoke(app, ["cloud", str(bundle_folder), "--ray"])

    assert result.exit_code == 2
    assert "pip install 'hybrid[serve]'" in result.stderr


def test_it_listens_on_the_loopback_only(bundle_folder: Path, tmp_path: Path):
    result = CliRunner().invoke(app, ["cloud", str(bundle_folder), "--ray", "--host", "::1"])

    assert result.exit_code == 2
    assert "Ray's proxy has no TLS" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not is_installed(), reason="Ray Serve, the extra serve, is not installed")
def test_one_of_two_replicas_is_killed_and_every_request_is_answered(
    bundle_folder: Path, vectors: dict[str, np.ndarray]
):
    command = [sys.executable, "-c", SCRIPT, "cloud", bundle_folder, "--ray", "--port", "0"]
    with subprocess.Popen(
        command, text=True, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            assert process.stderr is not None
            said = iter(process.stderr.readline, "")
            sentence = next((one for one in said if "answer at" in one or "did not" in one), "")
            assert "answer at" in sentence, sentence
            port = int(sentence.rstrip(".\n").rpartition(":")[2])
            manifest = json.loads((bundle_folder / "manifest.json").read_text())
            path = f"/v2/models/{manifest['cloud']['model']}/infer"
            half = threading.Barrier(CLIENTS + 1)
            found: list[tuple[int, bytes]] = []
            clients = [
                threading.Thread(target=ask, args=(port, path, vectors, half, found))
                for _ in range(CLIENTS)
            ]
            for one in clients:
                one.start()
            half.wait(60)
            killed = replicas_of(process.pid)[0]
            os.kill(killed, signal.SIGKILL)
            for one in clients:
                one.join()
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)

    assert len(found) == CLIENTS * ASKED
    assert {status for status, _ in found} == {200}
    expected = vectors["cloud_logits"][0]
    assert all(np.abs(np.frombuffer(data, "<f4") - expected).max() < 1e-4 for _, data in found)


def ask(
    port: int,
    path: str,
    vectors: dict[str, np.ndarray],
    half: threading.Barrier,
    found: list[tuple[int, bytes]],
) -> None:
    """Ask again and again over one connection; half-way, wait for the others."""
    headers, body = binary(vectors["packed"][:1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(ASKED):
        if number == ASKED // 3:
            half.wait(60)
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        data = response.read()
        length = int(response.headers.get("Inference-Header-Content-Length", 0))
        found.append((response.status, data[length:]))
    connection.close()


def replicas_of(ancestor: int) -> list[int]:
    """The replicas among the descendants of a process."""
    words = ["ps", "-e", "-o", "pid=,ppid=,args="]
    table = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in table.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, *_ in rows}

    def is_ours(pid: int) -> bool:
        return pid == ancestor or (pid in parents and is_ours(parents[pid]))

    found = [int(row[0]) for row in rows if row[2:] and row[2].startswith("ray::ServeReplica")]
    return [pid for pid in found if is_ours(pid)]
