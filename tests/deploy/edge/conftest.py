"""A bundle of the digits' network, written and compiled once for all tests of the edge."""

import os
from pathlib import Path

import numpy as np
import pytest

from hybrid.deploy.bundles.writing import Point, write_bundle
from hybrid.deploy.edge import device
from hybrid.deploy.edge.bundle import EdgeBundle, load_bundle
from tests.deploy.edge.clouds import Cloud, read_vectors
from tests.deploy.frozen import frozen, frozen_once

__all__ = ["bundle", "bundle_folder", "cache", "cloud", "frozen", "frozen_once", "vectors"]

LIMITS = (0.9, 0.8)
PORTABLE = ("-std=c99", "-O0", "-ffp-contract=off", "-DHYBRID_PORTABLE")  # compiles in a moment
CERTIFICATES = {"cloud_there": {"bound": 0.02}, "cloud_down": {"bound": 0.05}}


@pytest.fixture(scope="session")
def bundle_folder(frozen_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("edge") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HYBRID_PRETRAINED", str(frozen_once))
        write_bundle("digits-vgg", 4, folder, Point(thresholds=LIMITS, certificates=CERTIFICATES))
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of compiled edges."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def bundle(bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> EdgeBundle:
    monkeypatch.setattr(device, "FLAGS", PORTABLE)
    return load_bundle(bundle_folder)


@pytest.fixture
def vectors(bundle_folder: Path) -> dict[str, np.ndarray]:
    """What every engine must answer for some images."""
    return read_vectors(bundle_folder)


@pytest.fixture
def cloud(bundle_folder: Path) -> Cloud:
    return Cloud(read_vectors(bundle_folder))
