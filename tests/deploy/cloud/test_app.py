"""The cloud without a socket: what it says, answers and refuses."""

import base64
import hashlib
import json

import numpy as np
import pytest

from hybrid.deploy.cloud.app import Limits
from hybrid.deploy.cloud.bundle import CloudBundle
from hybrid.quant.packing import unpack
from hybrid.quant.payload import encode
from tests.deploy.cloud.conftest import Answered, asked, binary

Vectors = dict[str, np.ndarray]


def get(cloud: CloudBundle, path: str, headers: dict[str, str] | None = None) -> Answered:
    (answered,) = asked(cloud, ("GET", path, headers or {}, b""))
    return answered


def infer(cloud: CloudBundle, version: str = "") -> str:
    return f"/v2/models/{cloud.model}/versions/{version or cloud.weights}/infer"


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def test_server_model_and_readiness_are_told(cloud: CloudBundle):
    assert get(cloud, "/v2/health/live").json == {"live": True}
    assert get(cloud, "/v2/health/ready").json == {"ready": True}
    assert get(cloud, "/v2").json["name"] == "hybrid"
    model = get(cloud, f"/v2/models/{cloud.model}").json
    assert model["versions"] == [cloud.weights]
    assert model["inputs"] == [
        {"name": "packed", "datatype": "UINT8", "shape": [-1, cloud.payload_bytes]}
    ]
    assert model["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
    ready = f"/v2/models/{cloud.model}/versions/{cloud.weights}/ready"
    assert get(cloud, ready).json["ready"] is True


def test_bytes_give_the_logits_of_the_test_vectors(cloud: CloudBundle, vectors: Vectors):
    headers, body = binary(vectors["packed"])

    (answered,) = asked(
        cloud, ("POST", infer(cloud), headers | {"Content-Digest": digest(body)}, body)
    )

    assert answered.status == 200
    assert answered.json["id"] == "one"
    assert answered.json["model_version"] == cloud.weights
    (output,) = answered.json["outputs"]
    assert output["shape"] == [len(vectors["packed"]), 10]
    assert output["parameters"]["binary_data_size"] == 4 * answered.floats.size
    np.testing.assert_allclose(
        answered.floats.reshape(-1, 10), vectors["cloud_logits"], rtol=0, atol=1e-4
    )
    assert answered.headers["content-digest"] == digest(answered.body)
    assert answered.headers["content-length"] == str(len(answered.body))
    assert answered.headers["server-timing"].startswith("infer;dur=")


@pytest.mark.parametrize("nested", [False, True])
def test_numbers_in_json_give_the_same_as_bytes(cloud: CloudBundle, vectors: Vectors, nested: bool):
    packed = vectors["packed"][:2]
    data = packed.tolist() if nested else packed.ravel().tolist()
    given = {"name": "packed", "shape": list(packed.shape), "datatype": "UINT8", "data": data}

    (answered,) = asked(cloud, ("POST", infer(cloud), {}, json.dumps({"inputs": [given]}).encode()))

    (output,) = answered.json["outputs"]
    assert "id" not in answered.json
    np.testing.assert_allclose(
        np.reshape(output["data"], (2, 10)), vectors["cloud_logits"][:2], rtol=0, atol=1e-4
    )


def test_a_frame_of_hyb1_gives_the_same(cloud: CloudBundle, vectors: Vectors):
    codes = unpack(vectors["packed"][3], bits=cloud.bits, shape=cloud.shape)
    step = np.float32(cloud.step)
    frame = encode(codes.astype(np.float32) * step, bits=cloud.bits, step=float(step))
    path = infer(cloud).replace("/infer", "/hyb1")
    other = encode(codes.astype(np.float32), bits=cloud.bits, step=float(step) * 2)

    right, flipped, foreign, unnamed = asked(
        cloud,
        ("POST", path, {}, frame),
        ("POST", path, {}, frame[:-1] + bytes([frame[-1] ^ 1])),
        ("POST", path, {}, other),
        ("POST", f"/v2/models/{cloud.model}/hyb1", {}, frame),
    )

    np.testing.assert_allclose(
        right.json["outputs"][0]["data"], vectors["cloud_logits"][3], rtol=0, atol=1e-4
    )
    assert (flipped.status, foreign.status, unnamed.status) == (400, 400, 404)
    assert "damaged" in flipped.json["error"]
    assert "other bits, step or shape" in foreign.json["error"]


def test_other_weights_are_an_error_never_an_answer(cloud: CloudBundle, vectors: Vectors):
    headers, body = binary(vectors["packed"][:1])
    other = "0" + cloud.weights[1:] if cloud.weights[0] != "0" else "1" + cloud.weights[1:]

    foreign, model, shorter = asked(
        cloud,
        ("POST", infer(cloud, other), headers, body),
        ("POST", infer(cloud).replace(cloud.model, "other"), headers, body),
        ("POST", infer(cloud, cloud.weights[:12]), headers, body),
    )

    assert {one.status for one in (foreign, model, shorter)} == {404}
    assert cloud.weights in foreign.json["error"]


def test_requests_that_wait_are_answered_together_and_each_gets_its_own(
    cloud: CloudBundle, vectors: Vectors
):
    requests = [
        ("POST", infer(cloud), *binary(vectors["packed"][i : i + 1], id=str(i))) for i in range(16)
    ]

    answers = asked(
        cloud, *requests, ("GET", "/metrics", {}, b""), limits=Limits(max_wait_s=10, max_batch=16)
    )

    *answers, _ = answers
    assert [one.json["id"] for one in answers] == [str(i) for i in range(16)]
    for one, logits in zip(answers, vectors["cloud_logits"], strict=True):
        np.testing.assert_allclose(one.floats, logits, rtol=0, atol=1e-4)


def test_a_full_queue_refuses_with_a_time_to_come_back(cloud: CloudBundle, vectors: Vectors):
    request = ("POST", infer(cloud), *binary(vectors["packed"][:1]))

    answers = asked(cloud, *[request] * 10, limits=Limits(max_batch=4, queue=6, max_wait_s=0.01))

    assert sorted(one.status for one in answers) == [200] * 6 + [503] * 4
    refused = [one.headers["retry-after"] for one in answers if one.status == 503]
    assert refused == ["1"] * 4


def test_what_is_late_is_not_computed(cloud: CloudBundle, vectors: Vectors):
    computed = []
    watched = CloudBundle(
        **vars(cloud) | {"run": lambda packed: computed.append(len(packed)) or cloud.run(packed)}
    )
    headers, body = binary(vectors["packed"][:1])

    (answered,) = asked(watched, ("POST", infer(cloud), headers | {"X-Deadline-Ms": "0"}, body))

    assert answered.status == 408
    assert computed == []


def test_an_answer_that_is_late_is_none(cloud: CloudBundle, vectors: Vectors):
    now_s = [0.0]

    def slow(packed: np.ndarray) -> np.ndarray:
        now_s[0] += 60  # while the model computes
        return cloud.run(packed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybrid.deploy.cloud.batching.time.monotonic", lambda: now_s[0])
        patch.setattr("hybrid.deploy.cloud.app.time.monotonic", lambda: now_s[0])
        waiting = CloudBundle(**vars(cloud) | {"run": slow})
        (answered,) = asked(waiting, ("POST", infer(cloud), *binary(vectors["packed"][:1])))

    assert answered.status == 408


def test_only_the_image_without_a_number_fails(cloud: CloudBundle, vectors: Vectors):
    def run(packed: np.ndarray) -> np.ndarray:
        logits = cloud.run(packed)
        logits[(packed == vectors["packed"][1]).all(axis=1)] = np.nan
        return logits

    failing = CloudBundle(**vars(cloud) | {"run": run})
    requests = [
        ("POST", infer(cloud), *binary(vectors["packed"][row : row + 1])) for row in range(3)
    ]

    answers = asked(failing, *requests, limits=Limits(max_batch=3, max_wait_s=0.05))

    assert [one.status for one in answers] == [200, 500, 200]


def test_the_model_may_fail_once(cloud: CloudBundle, vectors: Vectors):
    def run(packed: np.ndarray) -> np.ndarray:
        if len(packed) == 2:
            raise MemoryError
        return cloud.run(packed) * (np.nan if len(packed) == 3 else 1)

    failing = CloudBundle(**vars(cloud) | {"run": run})
    requests = [("POST", infer(cloud), *binary(vectors["packed"][:rows])) for rows in (2, 3, 1)]

    failed, not_finite, right = asked(failing, *requests, limits=Limits(max_batch=3))

    assert (failed.status, not_finite.status, right.status) == (500, 500, 200)
    assert "not a number" in not_finite.json["error"]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"inputs": []}, "inputs must be a list of exactly one tensor"),
        ({"inputs": [1]}, "inputs must be an object"),
        ({"id": 7}, "the id is a text"),
        ({"outputs": [{"name": "class"}]}, "the output is 'logits'"),
        ({"parameters": {"timeout": -1}}, "whole number of microseconds"),
        ({"parameters": {"timeout": True}}, "whole number of microseconds"),
        ({"shape": [1, 63]}, "the shape is [n, 64]"),
        ({"shape": [0, 64]}, "the shape is [n, 64]"),
        ({"shape": [1.0, 64]}, "the shape is [n, 64]"),
        ({"shape": [2, 64]}, "2 x 64 bytes are announced"),
        ({"shape": "1"}, "the shape is [n, 64]"),
        ({"datatype": "FP32"}, "'packed' of type UINT8"),
        ({"name": "pixels"}, "'packed' of type UINT8"),
        ({"parameters_": {"binary_data_size": 63}}, "binary_data_size is 63, and 64 bytes follow"),
        ({"parameters_": {}}, "no binary_data_size"),
    ],
)
def test_a_wrong_header_is_one_sentence(
    cloud: CloudBundle, vectors: Vectors, changes: dict[str, object], sentence: str
):
    given = {
        "name": "packed", "shape": [1, 64], "datatype": "UINT8",
        "parameters": {"binary_data_size": 64},
    }  # fmt: skip
    inner = {key.strip("_"): value for key, value in changes.items() if key not in OUTER}
    outer = {key: value for key, value in changes.items() if key in OUTER}
    _, body = binary(vectors["packed"][:1])
    text = json.dumps({"inputs": [given | inner]} | outer).encode()

    (answered,) = asked(
        cloud,
        ("POST", infer(cloud), {"Inference-Header-Content-Length": str(len(text))},
         text + body[-64:]),
    )  # fmt: skip

    assert answered.status == 400
    assert sentence in answered.json["error"]


OUTER = {"inputs", "id", "outputs", "parameters"}
DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    "headers, body, status",
    [
        ({}, b"", 400),
        ({}, b"\xff\xfe", 400),
        ({}, b"[1]", 400),
        ({}, DEEP, 400),
        ({"Inference-Header-Content-Length": "99"}, b"{}", 400),
        ({"Inference-Header-Content-Length": "-1"}, b"{}", 400),
        ({"Inference-Header-Content-Length": "1" * 40}, b"{}", 400),
        ({"X-Deadline-Ms": "soon"}, b"{}", 400),
        ({"Content-Digest": "sha-256=:AAAA:"}, b"{}", 400),
        ({"Content-Digest": "md5=:AAAA:"}, b"{}", 400),
        ({"Content-Encoding": "gzip"}, b"{}", 415),
        ({"Content-Length": "99999"}, b"", 413),
        ({}, b" " * 5000, 413),
        ({}, [b" " * 1000] * 9, 413),
        ({}, [b"{"], 408),
    ],
)
def test_a_wrong_body_has_its_status(
    cloud: CloudBundle, headers: dict[str, str], body: bytes | list[bytes], status: int
):
    limits = Limits(max_body_bytes=20_000 if body == DEEP else 4_000, timeout_s=0.05)

    (answered,) = asked(cloud, ("POST", infer(cloud), headers, body), limits=limits)

    assert answered.status == status
    assert answered.json["error"]
    if status in {408, 413}:  # more may come
        assert answered.headers["connection"] == "close"


def test_a_timeout_beyond_all_floats_is_a_long_one(cloud: CloudBundle, vectors: Vectors):
    given = {"name": "packed", "shape": [1, 64], "datatype": "UINT8"}
    given |= {"data": vectors["packed"][0].tolist()}
    body = json.dumps({"inputs": [given], "parameters": {"timeout": 10**400}}).encode()

    (answered,) = asked(cloud, ("POST", infer(cloud), {}, body))

    assert answered.status == 200


def test_data_that_are_no_octets_are_refused(cloud: CloudBundle):
    for value in (256, -1, 1.5, None, "a", True):
        given = {"name": "packed", "shape": [1, 64], "datatype": "UINT8", "data": [value] * 64}

        (answered,) = asked(
            cloud, ("POST", infer(cloud), {}, json.dumps({"inputs": [given]}).encode())
        )

        assert answered.status == 400
        assert "from 0 to 255" in answered.json["error"]


@pytest.mark.parametrize(
    "given", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "right"},
              {"Authorization": "Bearer \xff"}]
)  # fmt: skip
def test_a_wrong_token_learns_nothing(cloud: CloudBundle, given: dict[str, str]):
    paths = ["/v2", "/metrics", f"/v2/models/{cloud.model}", "/nothing"]
    raw = {name: value.encode("latin-1").decode("latin-1") for name, value in given.items()}

    answers = asked(cloud, *(("GET", path, raw, b"") for path in paths), token="right")

    assert [one.status for one in answers] == [401] * 4
    assert all(b"right" not in one.body for one in answers)


def test_the_right_token_is_let_in_and_health_needs_none(cloud: CloudBundle):
    health, server, metrics = asked(
        cloud,
        ("GET", "/v2/health/ready", {}, b""),
        ("GET", "/v2", {"Authorization": "Bearer right"}, b""),
        ("GET", "/metrics", {"Authorization": "bearer right"}, b""),
        token="right",
    )

    assert (health.status, server.status, metrics.status) == (200, 200, 200)
    assert b"right" not in metrics.body


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/", 404),
        ("GET", "/v2/health", 404),
        ("GET", "/v2/models", 404),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/health/ready", 405),
        ("DELETE", "/v2", 405),
        ("GET", "/v2/models/m/infer", 405),
    ],
)
def test_other_addresses_and_methods_are_refused(
    cloud: CloudBundle, method: str, path: str, status: int
):
    (answered,) = asked(cloud, (method, path, {}, b""))

    assert answered.status == status
    assert answered.json["error"]


def test_metrics_count_what_was_answered(cloud: CloudBundle, vectors: Vectors):
    from hybrid.deploy.cloud.metrics import Metrics

    metrics = Metrics("abc")
    metrics.count(200)
    metrics.count(503)
    metrics.count_batch(3, 0.002)

    lines = metrics.text(waiting=5, limit=9).splitlines()

    assert 'hybrid_build_info{weights="abc"} 1' in lines
    assert 'hybrid_cloud_requests_total{status="200"} 1' in lines
    assert 'hybrid_cloud_requests_total{status="503"} 1' in lines
    assert "hybrid_cloud_images_total 3" in lines
    assert 'hybrid_cloud_batch_images_bucket{le="4"} 1' in lines
    assert 'hybrid_cloud_model_seconds_bucket{le="0.0025"} 1' in lines
    assert "hybrid_cloud_queue_images 5" in lines
    assert "hybrid_cloud_queue_limit 9" in lines
