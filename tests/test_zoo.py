"""Cards, traces and weights found by name; the card of digits-vgg stands for any."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import hybrid
from hybrid import zoo
from hybrid.errors import (
    BitWidthError,
    DataMissingError,
    HybridError,
    TraceError,
    UnknownNameError,
    WeightsError,
)

NETWORK = "digits-vgg"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks with a copy of digits-vgg in it, named by HYBRID_PRETRAINED."""
    shutil.copytree(zoo.pretrained_folder() / NETWORK, tmp_path / NETWORK)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    return tmp_path


def test_a_card_comes_back_as_it_was(tmp_path: Path):
    card = zoo.card(NETWORK)

    zoo.save_card(card, tmp_path / "card.toml")

    # as texts: an AUROC can be NaN, which differs from itself
    assert repr(zoo.load_card(tmp_path / "card.toml")) == repr(card)


def test_a_card_knows_bits_of_each_stage_too(tmp_path: Path):
    card = zoo.card(NETWORK)
    one = next(iter(card.variants.values()))
    mixed = replace(
        one, spec={**one.spec, "bits": (32, 8, 4)}, recipe={**one.recipe, "bits": (8, 4)}
    )
    card = replace(card, variants={one.name: mixed})

    zoo.save_card(card, tmp_path / "card.toml")

    assert repr(zoo.load_card(tmp_path / "card.toml")) == repr(card)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "format = 2",
        "format = 1",
        "format = 1\nvariants = [1]",
        "format = 1\nvariants = 3",
        "format = 1\nvariants = []\nnetwork = 'x'",
        "format = 1\nvariants = []\nmore = 'x'",
        "format =",
    ],
)
def test_a_damaged_card_is_refused(text: str, elsewhere: Path):
    (elsewhere / NETWORK / "card.toml").write_text(text)

    with pytest.raises(WeightsError, match=r"The card .*card\.toml cannot be read: .*; write it"):
        zoo.card(NETWORK)


def test_a_card_that_is_no_text_is_refused(elsewhere: Path):
    (elsewhere / NETWORK / "card.toml").write_bytes(b"\xff\xfe\0")

    with pytest.raises(WeightsError, match="cannot be read"):
        zoo.card(NETWORK)


def test_a_card_written_anew_is_read_anew(elsewhere: Path):
    path = elsewhere / NETWORK / "card.toml"
    before = zoo.card(NETWORK)

    zoo.save_card(replace(before, title="Another title"), path)
    os.utime(path, ns=(0, before.seed + 12_345))  # later, also where the clock is coarse

    assert zoo.card(NETWORK).title == "Another title"


def test_hybrid_pretrained_names_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "none"))

    assert zoo.pretrained_folder() == tmp_path / "none"
    assert zoo.networks() == []
    with pytest.raises(
        UnknownNameError, match="No network is called 'digits-vgg'; there are: none"
    ):
        zoo.card(NETWORK)


def test_a_folder_without_a_card_is_no_network(elsewhere: Path):
    (elsewhere / "half-done").mkdir()

    assert zoo.networks() == [NETWORK]


@pytest.mark.parametrize("name", ["digits", "../digits-vgg", "", "digits-vgg/", "/"])
def test_an_unknown_network_names_those_that_there_are(name: str):
    with pytest.raises(UnknownNameError, match=r"No network is called .*there are: .*digits-vgg"):
        zoo.card(name)


def test_bit_widths_are_those_of_the_variants_ascending():
    card = zoo.card(NETWORK)

    hybrids = [v.bits for v in card.variants.values() if v.name.startswith("hybrid-")]
    statics = [v.bits for v in card.variants.values() if v.name.startswith("static-")]
    assert zoo.bit_widths(NETWORK) == sorted(hybrids)
    assert zoo.bit_widths(NETWORK, static=True) == sorted(statics)


def test_a_bit_width_that_was_not_trained_names_those_that_were():
    with pytest.raises(BitWidthError, match="7 bits are not offered here; choose one of 1, 2"):
        zoo.variant(NETWORK, 7)


def test_an_unknown_variant_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"No variant is called 'hybrid-7bit'.*hybrid-4bit"):
        zoo.trace(NETWORK, "hybrid-7bit")


def test_a_missing_trace_says_how_to_record_it(elsewhere: Path):
    zoo.trace_path(NETWORK, "hybrid-4bit", "test").unlink()

    with pytest.raises(DataMissingError, match="record it with `hybrid trace`"):
        zoo.trace(NETWORK, "hybrid-4bit")


def test_the_trace_of_other_weights_is_refused(elsewhere: Path):
    shutil.copy(
        zoo.trace_path(NETWORK, "hybrid-3bit", "test"),
        zoo.trace_path(NETWORK, "hybrid-4bit", "test"),
    )

    with pytest.raises(TraceError, match="was recorded with other weights"):
        zoo.trace(NETWORK, "hybrid-4bit")


def test_the_weights_of_another_variant_are_refused(elsewhere: Path):
    shutil.copy(zoo.weights_path(NETWORK, "hybrid-3bit"), zoo.weights_path(NETWORK, "hybrid-4bit"))

    with pytest.raises(WeightsError, match="is not the file its card describes"):
        zoo.load(NETWORK, bits=4)


def test_missing_weights_say_what_to_do(elsewhere: Path):
    zoo.weights_path(NETWORK, "hybrid-4bit").unlink()

    with pytest.raises(HybridError, match=r"There are no weights at .*; train the network first"):
        zoo.load(NETWORK, bits=4)


def test_the_package_loads_a_network_by_name():
    network = hybrid.load(NETWORK, bits=1)

    assert network.spec.bits == 1
    assert network.temperatures == zoo.variant(NETWORK, 1).temperatures


def test_a_folder_whose_networks_take_too_much_room_gets_no_more(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
):
    zoo.check_room()
    monkeypatch.setattr(zoo, "MAX_BYTES", 1_000)

    with pytest.raises(WeightsError, match=r"take more than 0 GB, the most they may; delete some"):
        zoo.check_room()
