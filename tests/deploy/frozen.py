"""The digits' network with one of its deployment forms, for all tests that only read it."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid import zoo


def copy_of_digits(folder: Path, *, forms: Collection[str] = ()) -> Path:
    """A folder of networks with the digits' one, whose card can be written.

    Args:
        forms: the deployment forms that it has, of those that ship.
    """
    source, there = zoo.pretrained_folder() / "digits-vgg", folder / "digits-vgg"
    card = zoo.load_card(source / "card.toml")
    for variant in (*card.variants, *forms):
        (there / variant).mkdir(parents=True)
        for path in (source / variant).iterdir():
            (there / variant / path.name).symlink_to(path)
    kept = {name: card.forms[name] for name in forms}
    zoo.save_card(replace(card, forms=kept), there / "card.toml")
    return folder


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the digits' network that may be changed."""
    folder = copy_of_digits(tmp_path)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(folder))
    return folder


@pytest.fixture(scope="session")
def frozen_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_digits(tmp_path_factory.mktemp("frozen"), forms=["deployed-4bit"])


@pytest.fixture
def frozen(frozen_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the digits' network and its form of 4 bits; not to be changed."""
    monkeypatch.setenv("HYBRID_PRETRAINED", str(frozen_once))
    return frozen_once
