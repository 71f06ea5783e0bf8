"""`hybrid measure`: a split through an edge and a cloud at an address, with a proxy between."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hybrid import energy, policy
from hybrid.cli.main import app
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.measuring import asking
from hybrid.policy.points import early_confidences
from hybrid.zoo import trace
from tests.deploy.edge.servers import Served

pytestmark = [
    pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here"),
    pytest.mark.usefixtures("portable"),
]
IMAGES = 359  # all, of which five go on to the cloud


def run(bundle: EdgeBundle, *words: object) -> Result:
    words = (bundle.folder, "--max-images", IMAGES, *words)
    return CliRunner().invoke(app, ["measure", *map(str, words)])


def test_every_image_is_answered_as_in_the_trace(served: Served, demanding: EdgeBundle):
    result = run(demanding, "--cloud", served.url, "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (found["images"], found["as_promised"], found["fallbacks"]) == (IMAGES, True, 0)
    assert [one["images"] for one in found["exits"]] == [one["in_trace"] for one in found["exits"]]
    cloud = found["exits"][-1]
    assert cloud["images"] == len(served.requests) > 0
    assert cloud["cloud_ms"]["median"] == 0.25  # as the server says
    assert cloud["sent_bytes"] > demanding.payload_bytes


def test_a_link_takes_its_time_and_a_profile_is_written(
    served: Served, demanding: EdgeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PROFILES", str(tmp_path / "own"))
    result = run(
        demanding, "--cloud", served.url, "--link", "wifi-esp32", "--save-profile", "mine", "--json"
    )

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["exits"][-1]["wire_ms"]["median"] > energy.load_link("wifi-esp32").round_trip_ms
    assert energy.load_profile("mine").edge_macs_per_second(4) > 0


def test_an_answer_that_is_not_the_traces_is_exit_code_1(served: Served, demanding: EdgeBundle):
    served.logits = dict.fromkeys(served.logits, np.eye(10, dtype=np.float32)[0])

    confidences = early_confidences(trace("digits-vgg", "deployed-4bit", "test"), "max_probability")
    first = int((policy.exits_taken(confidences, demanding.thresholds) == 2).argmax())

    result = run(demanding, "--cloud", served.url, "--max-images", first + 1)

    assert result.exit_code == 1
    assert "have another answer than in the trace" in result.stdout


def test_an_edge_that_ends_is_one_sentence(
    served: Served, demanding: EdgeBundle, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asking, "COMMAND", "raise SystemExit(2)")

    result = run(demanding, "--cloud", served.url)

    assert result.exit_code == 2
    assert "The edge ended, or answers no more" in result.stderr


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--save-profile", "a/b"], "a/b is no name of a profile"),
        (["--save-profile", "gap9"], "gap9 is a profile that comes with hybrid"),
        (["--link", "pigeon"], "No link profile is called 'pigeon'"),
        (["--cloud", "nowhere"], "nowhere is no address of a cloud"),
        (["--cloud", "https://localhost:1", "--link", "lora-sf7"], "a cloud without TLS"),
    ],
)
def test_a_wrong_word_is_one_sentence(
    served: Served, demanding: EdgeBundle, words: list[str], sentence: str
):
    result = run(demanding, *words)

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())


@pytest.mark.slow
def test_without_an_address_a_cloud_is_started_and_ended(served: Served, demanding: EdgeBundle):
    result = run(demanding, "--json")

    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (found["as_promised"], found["exits"][-1]["images"]) == (True, 5)
    assert served.requests == []  # the other cloud was not asked
