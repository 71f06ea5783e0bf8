"""An edge answers each image by an exit, the cloud or a marked fallback, and never raises."""

import itertools
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid.deploy import exits as exit_rule
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.links import REASONS, LinkError, Loopback, Reply, checked
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.errors import BundleError, ImageError
from hybrid.monitor import parse_line
from tests.deploy.edge.clouds import Cloud, FailingLink

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
Vectors = dict[str, np.ndarray]


def expected_exits(bundle: EdgeBundle, vectors: Vectors) -> list[int]:
    """The exit of each test vector, by a loop over its confidences; `early` for the cloud."""
    limits = [exit_rule.whole_threshold(one) for one in bundle.thresholds]
    found = []
    for confidences in vectors["confidences"]:
        leaves = [one >= limit for one, limit in zip(confidences, limits, strict=True)]
        found.append(leaves.index(True) if True in leaves else len(limits))
    return found


@pytest.fixture
def staying(bundle: EdgeBundle) -> EdgeBundle:
    """The same bundle with thresholds that no confidence reaches."""
    return replace(bundle, thresholds=(1.5, 1.5))


def test_exits_classes_and_confidences_are_those_of_the_test_vectors(
    bundle: EdgeBundle, vectors: Vectors, cloud: Cloud, cache: Path
):
    expected = expected_exits(bundle, vectors)
    with EdgeRuntime(bundle, Loopback(cloud), cache=cache) as edge:
        lines = [edge.answer(pixels) for pixels in vectors["pixels"]]

    assert [line.exit_index for line in lines] == expected
    for image, line in enumerate(lines):
        if line.source == "exit":
            assert line.class_index == vectors["logits"][image, line.exit_index].argmax()
            assert line.confidence * 2**24 == vectors["confidences"][image, line.exit_index]
            assert (line.sent_bytes, line.wire_ms, line.cloud_ms) == (0, None, None)
        else:
            logits = vectors["cloud_logits"][image].astype(np.float64) / bundle.temperature
            softmax = np.exp(logits) / np.exp(logits).sum()
            assert (line.source, line.class_index) == ("cloud", logits.argmax())
            assert line.confidence == pytest.approx(softmax.max(), abs=1e-6)
            assert line.sent_bytes == bundle.payload_bytes
    assert cloud.asked == expected.count(bundle.early)
    assert len({line.image for line in lines}) == len(lines)
    assert {line.certificate for line in lines} == {"cloud_there"}


def test_every_image_goes_to_the_cloud_with_thresholds_that_none_reaches(
    staying: EdgeBundle, vectors: Vectors, cloud: Cloud, cache: Path
):
    with EdgeRuntime(staying, Loopback(cloud), cache=cache) as edge:
        lines = [edge.answer(pixels) for pixels in vectors["pixels"]]

    assert [line.class_index for line in lines] == vectors["cloud_logits"].argmax(1).tolist()
    assert cloud.asked == len(lines)


@pytest.mark.parametrize("reason", REASONS)
def test_a_fallback_is_the_most_confident_exit_and_says_why_and_what_covers_it(
    staying: EdgeBundle, vectors: Vectors, cache: Path, reason: str
):
    link = FailingLink(
        iter([LinkError(reason, sent_bytes=7)]), lambda _: Reply(logits=np.zeros(10))
    )
    with EdgeRuntime(staying, link, cache=cache) as edge:
        line = edge.answer(vectors["pixels"][0], file="a.png")

    best = vectors["confidences"][0].argmax()
    assert (line.source, line.reason, line.exit_index) == ("fallback", reason, best)
    assert line.class_index == vectors["logits"][0, best].argmax()
    assert (line.certificate, line.sent_bytes, line.file) == ("cloud_down", 7, "a.png")
    assert parse_line(line.to_json()) == line


def test_without_the_certificate_a_fallback_says_that_none_covers_it(
    staying: EdgeBundle, vectors: Vectors, cache: Path
):
    bare = replace(staying, certified=frozenset({"cloud_there"}))
    with EdgeRuntime(bare, cache=cache) as edge:
        line = edge.answer(vectors["pixels"][0])

    assert (line.source, line.reason, line.certificate) == ("fallback", "no link", "")


@pytest.mark.parametrize(
    "logits, reason",
    [
        (np.full((1, 10), np.nan, np.float32), "not finite"),
        (np.full((1, 10), np.inf, np.float32), "not finite"),
        (np.zeros((1, 9), np.float32), "shape"),
        (np.zeros((2, 10), np.float32), "shape"),
        (np.zeros(10, np.float32), "shape"),
    ],
)
def test_logits_that_are_none_are_a_marked_fallback(
    staying: EdgeBundle, vectors: Vectors, cache: Path, logits: np.ndarray, reason: str
):
    with EdgeRuntime(staying, Loopback(lambda _: logits), cache=cache) as edge:
        line = edge.answer(vectors["pixels"][0])

    assert (line.source, line.reason) == ("fallback", reason)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.builds(
                LinkError,
                st.sampled_from(list(REASONS)),
                sent_bytes=st.integers(0, 99),
                again_s=st.none() | st.just(0.0),
            ),
        ),
        max_size=30,
    )
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_link_does_every_image_is_answered_and_marked(
    staying: EdgeBundle, vectors: Vectors, cloud: Cloud, cache: Path, errors: Iterable[LinkError]
):
    def answered(packed: bytes) -> Reply:
        return Reply(logits=checked(cloud(np.frombuffer(packed, np.uint8)[None]), staying))

    link = FailingLink(iter(list(errors)), answered)
    with EdgeRuntime(staying, link, cache=cache) as edge:
        lines = [edge.answer(pixels) for pixels in itertools.islice(vectors["pixels"], 12)]

    cloud_answers, best = vectors["cloud_logits"].argmax(1), vectors["confidences"].argmax(1)
    assert len(lines) == 12
    for image, line in enumerate(lines):
        local = vectors["logits"][image, best[image]].argmax()
        wanted = cloud_answers[image] if line.source == "cloud" else local
        assert line.class_index == wanted
        assert (line.source == "cloud") == (line.reason == "")


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((9, 8, 1), np.uint8),
        np.zeros((8, 8, 1), np.float32),
        np.zeros((1, 8, 8, 1), np.uint8),
    ],
)
def test_pixels_of_another_shape_or_kind_are_refused(
    bundle: EdgeBundle, cache: Path, pixels: np.ndarray
):
    with (
        EdgeRuntime(bundle, cache=cache) as edge,
        pytest.raises(ImageError, match=r"An image of this bundle is uint8 of 8 × 8 × 1"),
    ):
        edge.answer(pixels)


def test_pixels_of_any_memory_order_give_the_same_answer(
    bundle: EdgeBundle, vectors: Vectors, cache: Path
):
    pixels = vectors["pixels"][3]
    turned = np.asfortranarray(pixels)
    with EdgeRuntime(bundle, cache=cache) as edge:
        first, second = edge.answer(pixels), edge.answer(turned)

    assert (first.class_index, first.confidence) == (second.class_index, second.confidence)


def test_a_clock_that_jumps_moves_the_time_of_a_line_alone(
    staying: EdgeBundle, vectors: Vectors, cloud: Cloud, cache: Path
):
    times = iter([1e9, 0.0, 4e9, -1e9])
    with EdgeRuntime(staying, Loopback(cloud), cache=cache, now=lambda: next(times)) as edge:
        lines = [edge.answer(pixels) for pixels in vectors["pixels"][:4]]

    assert [line.time_s for line in lines] == [1e9, 0.0, 4e9, -1e9]
    assert {line.source for line in lines} == {"cloud"}
    assert all(
        0 <= (line.wire_ms or 0) < 1e4 and 0 <= (line.device_ms or 0) < 1e4 for line in lines
    )


def test_an_edge_is_compiled_once_and_found_again(
    bundle: EdgeBundle, vectors: Vectors, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    EdgeRuntime(bundle, cache=cache).close()
    monkeypatch.setenv("PATH", "")  # no compiler from here on

    with EdgeRuntime(bundle, cache=cache) as edge:
        assert edge.answer(vectors["pixels"][0]).device_ms > 0


def test_changed_c_code_is_refused(bundle: EdgeBundle, tmp_path: Path):
    shutil.copytree(bundle.folder, tmp_path / "changed")
    (tmp_path / "changed" / "c" / "hybrid_edge.c").write_text("int main(void) { return 0; }")

    with pytest.raises(BundleError, match=r"hybrid_edge\.c was changed"):
        load_bundle(tmp_path / "changed")


def test_a_damaged_manifest_is_refused(bundle: EdgeBundle, tmp_path: Path):
    shutil.copytree(bundle.folder, tmp_path / "damaged")
    path = tmp_path / "damaged" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"exits": 3}))

    with pytest.raises(BundleError, match=r"manifest of .* is damaged"):
        load_bundle(tmp_path / "damaged")
