"""A real edge process and a cloud at an address, with a line between them that is switched."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from hybrid import energy, policy, zoo
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.measuring.streaming import Stand
from hybrid.errors import CloudError
from hybrid.policy.points import early_confidences
from tests.deploy.edge.servers import Served

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")


@pytest.fixture
def stand(served: Served, demanding: EdgeBundle, tmp_path: Path, portable: None) -> Iterator[Stand]:
    images = tmp_path / "stream"
    images.mkdir()
    with Stand(
        demanding.folder, images, deadline_ms=2000, cloud=lambda _: nullcontext(served.url)
    ) as one:
        yield one


def test_images_are_answered_as_in_the_trace_while_the_line_is_switched(
    stand: Stand, served: Served, demanding: EdgeBundle, tmp_path: Path
) -> None:
    trace = zoo.trace("digits-vgg", "deployed-4bit", "test")
    pixels = zoo.images("digits-vgg", "test").images
    taken = policy.exits_taken(early_confidences(trace, "max_probability"), demanding.thresholds)
    goes, stays = int(np.flatnonzero(taken == 2)[0]), int(np.flatnonzero(taken < 2)[0])
    slow = energy.load_link("wifi-esp32")

    first = [stand.answer(pixels[place]) for place in (goes, stays)]
    stand.switch(link=None, down=True)
    lost = stand.answer(pixels[goes])
    stand.switch(link=slow, down=False)
    back = stand.answer(pixels[goes])
    again = stand.answer(pixels[goes]) if back.source == "fallback" else back  # a breaker is open

    assert [line.source for line in first] == ["cloud", "exit"]
    assert first[0].class_index == trace.classes[goes, -1]
    assert first[1].class_index == trace.classes[stays, taken[stays]]
    assert (lost.source, lost.reason) in {("fallback", "refused"), ("fallback", "reset")}
    assert again.source == "cloud"
    assert again.wire_ms is not None
    assert again.wire_ms > slow.round_trip_ms
    assert not list((tmp_path / "stream").iterdir())  # no image is left


def test_an_edge_that_ends_is_one_sentence(stand: Stand) -> None:
    pixels = zoo.images("digits-vgg", "test").images
    stand.answer(pixels[0])
    stand.edge.kill()

    with pytest.raises(CloudError, match="edge ended"):
        stand.answer(pixels[1])


def test_a_cloud_that_does_not_start_is_one_sentence(tmp_path: Path, portable: None) -> None:
    bundle, images = tmp_path / "bundle", tmp_path / "images"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")

    with pytest.raises(CloudError, match="cloud did not start"), Stand(bundle, images):
        pass
