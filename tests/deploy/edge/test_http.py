"""The link over the network: one connection, one deadline, and no answer that is not one."""

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.http import Http, trusting
from hybrid.deploy.edge.links import LinkError
from hybrid.errors import CloudError
from tests.deploy.certificates import certificate, needs_openssl
from tests.deploy.edge.servers import Answer, Served, digest, serving

Vectors = dict[str, np.ndarray]
LONG_S = 20.0


@pytest.fixture
def served(bundle: EdgeBundle, vectors: Vectors) -> Served:
    known = [one.tobytes() for one in vectors["packed"]]
    return Served(dict(zip(known, vectors["cloud_logits"], strict=True)), bundle.weights)


@pytest.fixture
def url(served: Served) -> Iterator[str]:
    with serving(served) as address:
        yield address


Open = Callable[..., Http]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Makes links, and closes them after the test."""
    links = []

    def make(url: str, **options: Any) -> Http:
        links.append(Http(url, **options))
        return links[-1]

    yield make
    for link in links:
        link.close()


@pytest.fixture
def packed(vectors: Vectors) -> bytes:
    return vectors["packed"][2].tobytes()


def ask(link: Http, bundle: EdgeBundle, packed: bytes, within_s: float = LONG_S) -> np.ndarray:
    return link.ask(bundle, packed, deadline=time.monotonic() + within_s).logits


def refusal(link: Http, bundle: EdgeBundle, packed: bytes, within_s: float = LONG_S) -> LinkError:
    with pytest.raises(LinkError) as caught:
        ask(link, bundle, packed, within_s)
    return caught.value


def test_logits_come_back_and_the_connection_is_kept(
    opened: Open, bundle: EdgeBundle, vectors: Vectors, served: Served, url: str
):
    link = opened(url)
    found = [ask(link, bundle, one.tobytes()) for one in vectors["packed"]]

    assert np.array_equal(np.stack(found), vectors["cloud_logits"])
    assert served.connections == 1


def test_a_request_is_what_the_protocol_says(
    opened: Open, bundle: EdgeBundle, served: Served, url: str, packed: bytes
):
    link = opened(url, token="secret")
    reply = link.ask(bundle, packed, deadline=time.monotonic() + LONG_S)

    (request,) = served.requests
    length = int(request["headers"]["Inference-Header-Content-Length"])
    about = json.loads(request["body"][:length])
    assert request["path"] == f"/v2/models/{bundle.model}/versions/{bundle.weights}/infer"
    assert request["headers"]["Authorization"] == "Bearer secret"
    assert request["body"][length:] == packed
    assert about["inputs"] == [
        {
            "name": "packed",
            "shape": [1, len(packed)],
            "datatype": "UINT8",
            "parameters": {"binary_data_size": len(packed)},
        }
    ]
    assert 0 < about["parameters"]["timeout"] <= LONG_S * 1e6
    assert reply.cloud_ms == 0.25
    assert len(request["body"]) < reply.sent_bytes < len(request["body"]) + 600


def changed(**headers: str) -> Callable[[int, Answer], Answer]:
    return lambda _, answer: (answer[0], answer[1] | headers, answer[2])


def with_body(make: Callable[[bytes], bytes]) -> Callable[[int, Answer], Answer]:
    """An answer whose body is another one, with a digest that fits."""

    def change(_: int, answer: Answer) -> Answer:
        body = make(answer[2])
        return answer[0], answer[1] | {"Content-Digest": digest(body)}, body

    return change


ANSWERS = {
    "a flipped bit": (lambda _, a: (a[0], a[1], a[2][:-1] + bytes([a[2][-1] ^ 1])), "answer"),
    "no digest": (changed(**{"Content-Digest": ""}), "answer"),
    "no header length": (changed(**{"Inference-Header-Content-Length": ""}), "answer"),
    "a wrong header length": (changed(**{"Inference-Header-Content-Length": "9999"}), "answer"),
    "no JSON": (with_body(lambda body: b"x" * len(body)), "answer"),
    "a short body": (with_body(lambda body: body[:-4]), "answer"),
    "a long body": (with_body(lambda body: body + b"0000"), "answer"),
    "an empty body": (with_body(lambda _: b""), "answer"),
    "half an answer": (changed(**{"Content-Length": "40"}), "answer"),
    "another length promised": (changed(**{"Content-Length": "4000", "Connection": "close"}), None),
    "a body beyond all bounds": (with_body(lambda body: body + b"0" * (1 << 20)), "answer"),
    "NaN": (with_body(lambda body: body[:-4] + b"\0\0\xc0\x7f"), "not finite"),
    "other weights": (with_body(lambda body: body.replace(b'ion": "', b'ion": "0')), None),
    "another request": (with_body(lambda body: body.replace(b'"id": "', b'"id": "0')), None),
    "another type": (with_body(lambda body: body.replace(b"FP32", b"FP64")), "answer"),
    "two images": (with_body(lambda body: body.replace(b"[1, 10]", b"[2, 05]")), "answer"),
    "nine classes": (with_body(lambda body: body.replace(b"[1, 10]", b"[10, 1]")), "shape"),
}


@pytest.mark.parametrize("fault", ANSWERS)
def test_an_answer_that_is_none_is_an_error_and_the_next_one_is_right(
    opened: Open,
    bundle: EdgeBundle,
    vectors: Vectors,
    served: Served,
    url: str,
    packed: bytes,
    fault: str,
):
    change, reason = ANSWERS[fault]
    served.change = lambda number, answer: change(number, answer) if number == 1 else answer
    link = opened(url)

    error = refusal(link, bundle, packed, 0.3)

    assert error.reason in ({reason} if reason else {"answer", "deadline"})
    assert error.sent_bytes > len(packed)
    assert np.array_equal(ask(link, bundle, packed), vectors["cloud_logits"][2])


@pytest.mark.parametrize(
    "status, reason, again_s",
    [
        (400, "request", None),
        (401, "token", None),
        (403, "token", None),
        (404, "version", None),
        (408, "busy", None),
        (409, "version", None),
        (413, "request", None),
        (429, "busy", 0.0),
        (500, "server", None),
        (503, "busy", 0.0),
        (302, "answer", None),
        (204, "answer", None),
    ],
)
def test_a_status_has_its_reason_and_only_a_busy_cloud_is_asked_again(
    opened: Open, bundle: EdgeBundle, served: Served, url: str, packed: bytes, status: int,
    reason: str, again_s: float | None,
):  # fmt: skip
    served.change = lambda *_: (status, {"Retry-After": "0"}, b"" if status == 204 else b"{}")
    link = opened(url)

    error = refusal(link, bundle, packed)

    assert (error.reason, error.again_s) == (reason, again_s)


@pytest.mark.parametrize("after", ["", "soon", "-1", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_busy_cloud_that_names_no_seconds_is_not_asked_again(
    opened: Open, bundle: EdgeBundle, served: Served, url: str, packed: bytes, after: str
):
    served.change = lambda *_: (503, {"Retry-After": after}, b"{}")
    link = opened(url)

    assert refusal(link, bundle, packed).again_s is None


def test_other_weights_and_a_wrong_token_are_refused_by_the_cloud(
    opened: Open, bundle: EdgeBundle, served: Served, url: str, packed: bytes
):
    served.weights, served.token = "00" * 32, ""
    assert refusal(opened(url), bundle, packed).reason == "version"

    served.weights, served.token = bundle.weights, "right"
    assert refusal(opened(url, token="wrong"), bundle, packed).reason == "token"
    link = opened(url, token="right")
    assert ask(link, bundle, packed).shape == (10,)


def test_a_connection_that_the_cloud_closed_is_opened_again_without_a_retry(
    opened: Open, bundle: EdgeBundle, served: Served, url: str, packed: bytes
):
    served.change = changed(Connection="close")
    link = opened(url)

    first, second = ask(link, bundle, packed), ask(link, bundle, packed)

    assert np.array_equal(first, second)
    assert (served.connections, len(served.requests)) == (2, 2)


def test_where_no_one_listens_nothing_was_sent(opened: Open, bundle: EdgeBundle, packed: bytes):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        error = refusal(opened(f"http://127.0.0.1:{port}"), bundle, packed)

    assert (error.reason, error.sent_bytes, error.again_s) == ("refused", 0, 0.0)


def test_a_name_without_an_address_is_an_error(
    opened: Open, bundle: EdgeBundle, packed: bytes, monkeypatch: pytest.MonkeyPatch
):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    assert refusal(opened("http://nowhere.example"), bundle, packed).reason == "name"


def test_a_look_up_that_hangs_ends_at_the_deadline(
    opened: Open, bundle: EdgeBundle, packed: bytes, monkeypatch: pytest.MonkeyPatch
):
    import threading

    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(LONG_S) and [])

    try:
        assert refusal(opened("http://slow.example"), bundle, packed, 0.02).reason == "deadline"
    finally:
        release.set()


def test_a_cloud_that_says_nothing_is_left_at_the_deadline(
    opened: Open, bundle: EdgeBundle, packed: bytes
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = opened(f"http://127.0.0.1:{silent.getsockname()[1]}")

        error = refusal(link, bundle, packed, 0.5)

    assert error.reason == "deadline"
    assert error.sent_bytes > len(packed)
    assert error.again_s is None


@pytest.mark.parametrize(
    "url", ["", "cloud", "ftp://a", "http://", "http://a/b", "http://a:99999", "http://a?b", "//a"]
)
def test_what_is_no_address_is_refused(url: str):
    with pytest.raises(CloudError, match="is no address of a cloud"):
        Http(url)


def test_a_token_travels_only_over_tls_or_within_the_machine():
    with pytest.raises(CloudError, match="sent only over https"):
        Http("http://192.0.2.1:8000", token="secret")
    Http("http://127.0.0.1:8000", token="secret")
    Http("https://192.0.2.1:8000", token="secret")


@pytest.mark.parametrize("token", ["a\nb", "a b", "ä", "\0"])
def test_a_token_that_is_no_header_is_refused(token: str):
    with pytest.raises(CloudError, match="printable ASCII"):
        Http("http://127.0.0.1:8000", token=token)


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)

    with pytest.raises(CloudError, match=r"ca\.pem holds no certificates"):
        trusting(tmp_path / "ca.pem")


@needs_openssl
def test_half_a_certificate_or_a_wrong_one_is_one_sentence(tmp_path: Path):
    certificate(tmp_path, "device", begin="20200101000000Z", end="20991231000000Z")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    (tmp_path / "other").mkdir()
    certificate(tmp_path / "other", "device", begin="20200101000000Z", end="20991231000000Z")

    with pytest.raises(CloudError, match="give --cert and --key"):
        trusting(None, cert=cert)
    for wrong in (tmp_path / "other" / "key.pem", tmp_path / "absent.pem", cert):
        with pytest.raises(CloudError, match=r"are not a certificate and its key \(.+\); give PEM"):
            trusting(None, cert=cert, key=wrong)
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", key, "-out", tmp_path / "c.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(CloudError, match="the key has a password"):
        trusting(None, cert=cert, key=tmp_path / "c.pem")


def test_plain_http_on_a_port_of_tls_and_the_reverse_are_errors(
    opened: Open, bundle: EdgeBundle, url: str, packed: bytes
):
    tls = ssl.create_default_context()

    error = refusal(opened(url.replace("http:", "https:"), tls=tls), bundle, packed)

    assert (error.reason, error.sent_bytes) == ("refused", 0)
