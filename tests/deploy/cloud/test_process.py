"""`hybrid cloud` as a process of its own, asked by `hybrid edge` and by what is no edge."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from hybrid.cli.main import app
from hybrid.deploy.cloud.serving import listening
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.http import Http, trusting
from hybrid.deploy.edge.links import LinkError
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.errors import AddressError
from tests.deploy.certificates import certificate as certificate_of
from tests.deploy.certificates import needs_openssl
from tests.deploy.cloud.conftest import binary
from tests.deploy.edge.conftest import PORTABLE

SCRIPT = "from hybrid.cli.main import app; app()"
ROOM = 100
FEW_FILES = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, ({ROOM + 400}, {ROOM + 400}))"
EDGE = "import sys, hybrid.deploy.edge.device as d; d.FLAGS = eval(sys.argv.pop(1)); " + SCRIPT


@contextmanager
def running(
    folder: Path, *words: object, few_files: bool = False
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A cloud in a process of its own, and its port.

    Args:
        few_files: the system allows it so many files that there is room for `ROOM` connections.
    """
    script = f"{FEW_FILES}; {SCRIPT}" if few_files else SCRIPT
    command = [sys.executable, "-c", script, "cloud", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, *map(str, words)], text=True, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        try:
            sentence = process.stderr.readline()
            assert "answers at" in sentence, sentence + process.stderr.read()
            yield process, int(sentence.rstrip(".\n").rpartition(":")[2])
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def served(bundle_folder: Path) -> Iterator[int]:
    with running(bundle_folder, "--timeout-s", 0.2) as (process, port):
        yield port
        assert process.poll() is None  # it lived through all of it


def answer_to(port: int, vectors: dict[str, np.ndarray], folder: Path) -> np.ndarray:
    """The logits of the first image over a new connection."""
    headers, body = binary(vectors["packed"][:1])
    manifest = json.loads((folder / "manifest.json").read_text())
    connection = http.client.HTTPConnection("127.0.0.1", port)
    path = f"/v2/models/{manifest['cloud']['model']}/versions/{manifest['weights']['form']}/infer"
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    assert response.status == 200
    return np.frombuffer(data[int(response.headers["Inference-Header-Content-Length"]) :], "<f4")


@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
def test_edge_and_cloud_are_two_processes(
    bundle: EdgeBundle, cache: Path, vectors: dict[str, np.ndarray], tmp_path: Path
):
    demanding = shutil.copytree(bundle.folder, tmp_path / "bundle")
    manifest = json.loads((demanding / "manifest.json").read_text())
    for one in manifest["exits"]:
        one["threshold"] = 1.5  # no confidence reaches it: all images go to the cloud
    (demanding / "manifest.json").write_text(json.dumps(manifest))
    EdgeRuntime(bundle, cache=cache).close()
    (tmp_path / "cache" / "hybrid").mkdir(parents=True)
    (tmp_path / "cache" / "hybrid" / "edge").symlink_to(cache)
    (tmp_path / "images").mkdir()
    for number, pixels in enumerate(vectors["pixels"]):
        Image.fromarray(pixels[:, :, 0]).save(tmp_path / "images" / f"{number:02d}.png")

    with running(demanding) as (_, port):
        done = subprocess.run(
            [sys.executable, "-c", EDGE, repr(PORTABLE), "edge", demanding, tmp_path / "images",
             "--cloud", f"http://127.0.0.1:{port}", "--deadline-ms", "30000"],
            capture_output=True, text=True, check=True,
            env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache"),
                 "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["source"] for one in lines] == ["cloud"] * 16
    assert [one["class"] for one in lines] == vectors["cloud_logits"].argmax(axis=1).tolist()
    assert all(one["cloud_ms"] > 0 for one in lines)


def received(port: int, data: bytes) -> bytes:
    """Everything that comes after these bytes, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "data, status",
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HTTP/1.1 400"),  # TLS to plain HTTP
        (b"no HTTP at all\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000, b"HTTP/1.1 400"),
        (b"", b""),  # says nothing
        (b"GET /v2 HT", b""),  # stops in the head
        (b"POST /v2/models/{m}/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
         b"HTTP/1.1 408"),
        (b"POST /v2/models/{m}/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{",
         b"HTTP/1.1 413"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_closed_and_others_are_answered(
    served: int, bundle: EdgeBundle, vectors: dict[str, np.ndarray], data: bytes, status: bytes
):
    said = received(served, data.replace(b"{m}", bundle.model.encode()))

    assert said[: len(status)] == status
    assert bool(said) == bool(status)
    found = answer_to(served, vectors, bundle.folder)
    np.testing.assert_allclose(found, vectors["cloud_logits"][0], rtol=0, atol=1e-4)


def test_a_body_without_end_is_cut_off(served: int, bundle: EdgeBundle):
    head = f"POST /v2/models/{bundle.model}/infer HTTP/1.1\r\nHost: a\r\n".encode()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"

    with socket.create_connection(("127.0.0.1", served)) as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(chunk * 300)  # 20 MB


def test_more_connections_than_it_takes_are_refused_and_those_that_it_has_are_answered(
    bundle_folder: Path, vectors: dict[str, np.ndarray]
):
    with running(bundle_folder, "--timeout-s", 1, few_files=True) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as kept:
            idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
            ready = asked_on(kept)
            ends = [ended(one) for one in idle]
        found = answer_to(port, vectors, bundle_folder)
        assert process.poll() is None

    assert ready.startswith(b"HTTP/1.1 200")
    refused = [one for one in ends if one.startswith(b"HTTP/1.1 503")]
    assert len(refused) == 300 - (ROOM - 1)
    assert all(b"Retry-After: 1" in one for one in refused)
    assert ends.count(b"") == ROOM - 1  # they said nothing for too long
    np.testing.assert_allclose(found, vectors["cloud_logits"][0], rtol=0, atol=1e-4)


def asked_on(connection: socket.socket) -> bytes:
    """The beginning of an answer to a request over a connection that is there already."""
    connection.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
    return connection.recv(65536)


def ended(connection: socket.socket) -> bytes:
    """What a connection got until it ended; it is closed."""
    with connection:
        found = bytearray()
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                found += data
        return bytes(found)


def run(folder: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["cloud", str(folder), *map(str, words)])


def sentence(result: Result) -> str:
    assert "Traceback" not in result.stderr
    assert result.exit_code == 2
    return " ".join(result.stderr.split())


def test_a_port_in_use_and_a_foreign_address_are_one_sentence(bundle_folder: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        used = sentence(run(bundle_folder, "--port", port))

    assert used == f"Port {port} on 127.0.0.1 is in use; choose another one with --port."
    with pytest.raises(AddressError, match=r"192\.0\.2\.1 is not an address of this machine"):
        listening("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_token_and_tls(
    bundle_folder: Path, host: str, tmp_path: Path
):
    (tmp_path / "token").write_text("very-secret")

    for words in ([], ["--token-file", tmp_path / "token"]):
        said = sentence(run(bundle_folder, "--host", host, *words))

        assert f"{host} can be reached from other machines; give --token-file" in said
        assert "very-secret" not in said


def test_a_bundle_that_was_changed_is_one_sentence(bundle_folder: Path, tmp_path: Path):
    changed = tmp_path / "bundle"
    shutil.copytree(bundle_folder, changed)
    (changed / "onnx" / "cloud.onnx").write_bytes(b"other")

    assert "cloud.onnx was changed" in sentence(run(changed))
    assert "There is no bundle in" in sentence(run(tmp_path / "nowhere"))


def test_half_of_tls_and_wrong_files_are_one_sentence(bundle_folder: Path, tmp_path: Path):
    (tmp_path / "a.pem").write_text("no certificate")
    cert, key = ["--tls-cert", tmp_path / "a.pem"], ["--tls-key", tmp_path / "a.pem"]

    assert "TLS needs a certificate and its key" in sentence(run(bundle_folder, *cert))
    assert "are not a certificate and its key" in sentence(run(bundle_folder, *cert, *key))
    assert "holds no token" in sentence(run(bundle_folder, "--token-file", tmp_path / "none"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl here")
    folder = tmp_path_factory.mktemp("tls")
    words = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem "
        "-out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
    )
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_with_tls_and_a_token_only_who_has_them_is_answered(
    bundle_folder: Path, certificate: Path, tmp_path: Path
):
    (tmp_path / "token").write_text("very-secret\n")
    tls = ["--tls-cert", certificate / "cert.pem", "--tls-key", certificate / "key.pem"]
    words = [*tls, "--client-ca", certificate / "cert.pem", "--token-file", tmp_path / "token"]
    trusted = ssl.create_default_context(cafile=certificate / "cert.pem")

    with running(bundle_folder, *words, "--host", "0.0.0.0", "--timeout-s", 1) as (process, port):
        assert received(port, b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")[:4] != b"HTTP"  # plain
        with pytest.raises((ssl.SSLError, OSError)):  # no certificate of the client
            status(port, trusted, "very-secret")
        trusted.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        assert status(port, trusted, "wrong") == 401
        assert status(port, trusted, "very-secret") == 200
        with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"):
            status(port, ssl.create_default_context(), "very-secret")
        process.terminate()
        _, said = process.communicate()

    assert said == ""


@needs_openssl
@pytest.mark.parametrize(
    "shown, reasons",
    [
        ("own", {""}),
        ("foreign", {"certificate", "reset"}),  # whether the reason comes through is a race
        ("expired", {"certificate", "reset"}),
        (None, {"certificate", "reset"}),
    ],
)
def test_a_device_shows_a_certificate_that_is_trusted_and_valid(
    bundle_folder: Path, tmp_path: Path, shown: str | None, reasons: set[str]
):
    for name in ("server", "own", "foreign", "expired"):
        (tmp_path / name).mkdir()
        end = "20200102000000Z" if name == "expired" else "20991231000000Z"
        certificate_of(tmp_path / name, "localhost", begin="20200101000000Z", end=end)
    known = [(tmp_path / name / "cert.pem").read_text() for name in ("own", "expired")]
    (tmp_path / "known.pem").write_text("".join(known))
    server = tmp_path / "server"
    words = ["--tls-cert", server / "cert.pem", "--tls-key", server / "key.pem"]
    mine = {} if shown is None else {n: tmp_path / shown / f"{n}.pem" for n in ("cert", "key")}
    bundle = load_bundle(bundle_folder)

    with running(bundle_folder, *words, "--client-ca", tmp_path / "known.pem") as (_, port):
        link = Http(f"https://localhost:{port}", tls=trusting(server / "cert.pem", **mine))
        reason = ""
        try:
            link.ask(bundle, bytes(bundle.payload_bytes), deadline=time.monotonic() + 20)
        except LinkError as error:
            reason = error.reason
        link.close()

    assert reason in reasons


def status(port: int, context: ssl.SSLContext, token: str) -> int:
    connection = http.client.HTTPSConnection("localhost", port, context=context)
    try:
        connection.request("GET", "/v2", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_answer_waits_for_no_receipt_of_its_head():
    with listening("127.0.0.1", 0) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        with client, accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
