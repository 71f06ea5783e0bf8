"""A bundle of the digits' network whose exits are hard to please, and a cloud that knows the split.

The cloud gives each image of test the answer of the trace.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid import zoo
from hybrid.deploy.bundles.writing import Point, write_bundle
from hybrid.deploy.edge import device
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from hybrid.deploy.edge.device import Device
from hybrid.deploy.measuring import asking, streaming
from tests.deploy.edge.conftest import PORTABLE, bundle, bundle_folder, cache
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
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge's process has the portable code, which is compiled already."""
    flags = f"import hybrid.deploy.edge.device as device; device.FLAGS = {PORTABLE!r}"
    for module in (asking, streaming):
        monkeypatch.setattr(module, "COMMAND", f"{flags}; {module.COMMAND}")


@pytest.fixture(scope="session")
def answers(frozen_once: Path, demanding_folder: Path, cache: Path) -> dict[bytes, np.ndarray]:
    """Logits with the trace's answer, by the bytes of an image of test."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(frozen_once))
        patch.setattr(device, "FLAGS", PORTABLE)
        edge = Device(load_bundle(demanding_folder), cache=cache)
        classes = zoo.trace("digits-vgg", "deployed-4bit", "test").classes[:, -1]
        for pixels, answer in zip(zoo.images("digits-vgg", "test").images, classes, strict=True):
            edge.run(pixels)
            found[edge.packed()] = np.eye(10, dtype=np.float32)[answer]
    return found


@pytest.fixture
def served(
    demanding: EdgeBundle, answers: dict[bytes, np.ndarray], cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:  # fmt: skip
    """A cloud that gives each image of test the answer of the trace."""
    (tmp_path / "cache" / "hybrid").mkdir(parents=True)
    (tmp_path / "cache" / "hybrid" / "edge").symlink_to(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one = Served(dict(answers), demanding.weights)
    with serving(one):
        yield one
