"""A bundle of the digits' network whose exits are hard to please, and a cloud that knows the split.

The cloud gives each image of test the answer of the trace.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid import zoo
from hybrid.deploy.bundles.writing import Point, write_bundle
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.device import Device
from tests.deploy.edge.conftest import bundle, bundle_folder, cache
from tests.deploy.edge.servers import Served, serving
from tests.deploy.frozen import frozen, frozen_once

__all__ = ["bundle", "bundle_folder", "cache", "frozen", "frozen_once"]


@pytest.fixture(scope="session")
def demanding_folder(frozen_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demanding") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(frozen_once))
        write_bundle("digits-vgg", 4, folder, Point(thresholds=(1.0, 0.999999)))
    return folder


@pytest.fixture
def demanding(frozen: Path, bundle: EdgeBundle, demanding_folder: Path) -> EdgeBundle:
    """A bundle of the same network whose exits let some images go on to the cloud."""
    return load_bundle(demanding_folder)


@pytest.fixture
def served(
    demanding: EdgeBundle, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A cloud that gives each image of test the answer of the trace."""
    (tmp_path / "cache" / "hybrid").mkdir(parents=True)
    (tmp_path / "cache" / "hybrid" / "edge").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    device, known = Device(demanding, cache=cache), {}
    answers = zoo.trace("digits-vgg", "deployed-4bit", "test").classes[:, -1]
    for pixels, answer in zip(zoo.images("digits-vgg", "test").images, answers, strict=True):
        device.run(pixels)
        known[device.packed()] = np.eye(10, dtype=np.float32)[answer]
    one = Served(known, demanding.weights)
    with serving(one):
        yield one
