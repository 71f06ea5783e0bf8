"""A bundle's `serve/` as it is, under servers of others: the logits of the test vectors.

Each server has an environment of its own, which pip makes for the test and which is gone after it.
`HYBRID_FOREIGN` names a folder that keeps them.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.deploy.cloud.conftest import binary

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HERE = Path(__file__).parent / "foreign"
INSTALL_S, START_S, POLL_S = 400, 120, 0.2


@contextmanager
def environment(name: str, packages: list[str]) -> Iterator[Path]:
    """The folder of an environment with these packages; the test skips where pip cannot make it."""
    with tempfile.TemporaryDirectory(prefix="hybrid-foreign-") as folder:
        place = Path(os.environ.get("HYBRID_FOREIGN", folder)) / name
        if not (place / "complete").is_file():
            install(place, packages)
        yield place


def install(place: Path, packages: list[str]) -> None:
    words = ["--quiet", "--no-compile", "--only-binary", ":all:", "--retries", "1"]
    try:
        for command in (
            [sys.executable, "-m", "venv", str(place)],
            [str(place / "bin" / "python"), "-m", "pip", "install", *words, *packages],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except (subprocess.SubprocessError, OSError) as error:
        shutil.rmtree(place, ignore_errors=True)
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        pytest.skip(f"{packages[0]} does not install here: {said[-1]}")
    (place / "complete").touch()


@contextmanager
def running(command: list[object], log: Path, **env: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that ends with the block; what it says is in `log`."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (
        log.open("wb") as file,
        subprocess.Popen(
            list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, env=clean | env
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def logits(port: int, model: str, packed: np.ndarray, server: "subprocess.Popen[bytes]") -> object:
    """The answer to one request with all images, once the model is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    until = time.monotonic() + START_S
    while True:
        try:
            connection.request("GET", f"/v2/models/{model}/ready")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                break
        except OSError:
            connection.close()
        assert time.monotonic() < until
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"The server ended with {server.wait(POLL_S)}.")
    headers, body = binary(packed)
    connection.request("POST", f"/v2/models/{model}/infer", body, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    assert response.status == 200, data
    length = int(response.headers["Inference-Header-Content-Length"])
    assert json.loads(data[:length])["outputs"][0]["shape"] == [len(packed), 10]
    return np.frombuffer(data[length:], "<f4").reshape(-1, 10)


def model_of(bundle_folder: Path) -> str:
    (place,) = (bundle_folder / "serve").iterdir()
    return place.name


def test_kserves_server_answers_with_the_same_logits(
    bundle_folder: Path, vectors: dict[str, np.ndarray], tmp_path: Path
):
    port, model = free_port(), model_of(bundle_folder)

    with environment("kserve", ["kserve>=0.21", "onnxruntime>=1.22"]) as place:
        words = [place / "bin" / "python", HERE / "kserve_server.py", bundle_folder / "serve", port]
        with running(words, tmp_path / "log") as server:
            found = logits(port, model, vectors["packed"], server)

    np.testing.assert_allclose(found, vectors["cloud_logits"], rtol=0, atol=1e-4)


@pytest.mark.skipif(
    not (sys.platform == "linux" and sysconfig.get_platform().endswith("x86_64")),
    reason="Triton's server is a program for Linux on x86-64",
)
def test_triton_answers_with_the_same_logits(
    bundle_folder: Path, vectors: dict[str, np.ndarray], tmp_path: Path
):
    packages = ["nvidia-pytriton==0.7.0", "onnxruntime>=1.22", "setuptools"]
    port, model = free_port(), model_of(bundle_folder)

    with environment("triton", packages) as place:
        (site,) = place.glob("lib/python3*/site-packages")
        triton = site / "pytriton" / "tritonserver"
        words = [
            triton / "bin" / "tritonserver", f"--model-repository={bundle_folder / 'serve'}",
            f"--backend-directory={backends_of(triton, site, tmp_path)}", f"--http-port={port}",
            "--http-address=127.0.0.1", "--allow-grpc=false", "--allow-metrics=false",
            "--exit-timeout-secs=10",
        ]  # fmt: skip
        libraries = [site / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
        paths = ":".join(map(str, libraries))
        with running(words, tmp_path / "log", LD_LIBRARY_PATH=paths) as server:
            found = logits(port, model, vectors["packed"], server)

    np.testing.assert_allclose(found, vectors["cloud_logits"], rtol=0, atol=1e-4)


def backends_of(triton: Path, site: Path, folder: Path) -> Path:
    """Triton's backend for Python, and ours under the name that `config.pbtxt` has."""
    stubs = triton / "python_backend_stubs" / f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not stubs.is_dir():
        pytest.skip("Triton's wheel has no stub for this version of Python")
    backends = folder / "backends"
    shutil.copytree(triton / "backends", backends)
    shutil.copy(stubs / "triton_python_backend_stub", backends / "python")
    (backends / "onnxruntime").mkdir()
    shutil.copy(HERE / "triton_backend.py", backends / "onnxruntime" / "model.py")
    (backends / "onnxruntime" / "paths.json").write_text(json.dumps([str(site)]))
    return backends
