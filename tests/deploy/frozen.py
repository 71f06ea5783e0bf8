"""The digits' network with a deployment form, frozen once for all tests that only read it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid import zoo
from hybrid.deploy.freezing import freeze
from hybrid.deploy.torch_engine import Engine


def copy_of_digits(folder: Path) -> Path:
    """A folder of networks with the digits' one, whose card can be written and has no form."""
    source, there = zoo.pretrained_folder() / "digits-vgg", folder / "digits-vgg"
    trained = (path for path in source.rglob("*") if "deployed-" not in str(path))
    for path in trained:
        place = there / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True)
        elif path.name != "card.toml":
            place.symlink_to(path)
    card = zoo.load_card(source / "card.toml")
    zoo.save_card(replace(card, forms={}), there / "card.toml")
    return folder


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the digits' network that may be changed."""
    folder = copy_of_digits(tmp_path)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(folder))
    return folder


@pytest.fixture(scope="session")
def frozen_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of_digits(tmp_path_factory.mktemp("frozen"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HYBRID_PRETRAINED", str(folder))
        patch.setattr("hybrid.deploy.freezing.fastest", Engine)  # compiling takes seconds
        freeze("digits-vgg", 4)
    return folder


@pytest.fixture
def frozen(frozen_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the digits' network and its form of 4 bits; not to be changed."""
    monkeypatch.setenv("HYBRID_PRETRAINED", str(frozen_once))
    return frozen_once
