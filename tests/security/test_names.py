"""Names in cards and splits become names of files: none leads out of its folder."""

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hybrid import evaluation, zoo
from hybrid.cli.main import app
from hybrid.data import user_splits
from hybrid.errors import SourceError, TraceError, WeightsError
from hybrid.ui import cache
from hybrid.ui.networks import cards
from tests.own_images import write_user_split

NETWORK = "digits-vgg"
CARD = (zoo.pretrained_folder() / NETWORK / "card.toml").read_text()


@pytest.fixture
def pretrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of networks with one whole network, and one whose card is no TOML."""
    folder = tmp_path / "pretrained"
    shutil.copytree(zoo.pretrained_folder() / NETWORK, folder / NETWORK)
    (folder / "broken").mkdir()
    (folder / "broken" / "card.toml").write_text("network = [")
    monkeypatch.setenv("HYBRID_PRETRAINED", str(folder))
    return folder


def test_one_unreadable_card_takes_no_other_network_away(pretrained: Path) -> None:
    finished = CliRunner().invoke(app, ["networks"])

    assert finished.exit_code == 0
    assert f"{NETWORK}: " in finished.stdout
    assert str(pretrained / "broken" / "card.toml") in finished.stderr
    assert list(cache.offers().early_exits) == [NETWORK]
    assert "cannot be read" in cache.card_problem("broken")


@given(st.sampled_from(["../", "/", "a/b", "..", "a\\b", "a\nb", ".x"]), st.text(max_size=5))
def test_no_name_of_a_network_leads_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, start: str, rest: str
) -> None:
    name = start + rest
    path = tmp_path_factory.mktemp("card") / "card.toml"
    path.write_text(
        CARD.replace(f'network = "{NETWORK}"', tomli_w.dumps({"network": name}).strip(), 1)
    )

    with pytest.raises(WeightsError, match="cannot be read"):
        zoo.load_card(path)


def test_no_name_of_a_variant_leads_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "card.toml"
    path.write_text(CARD.replace('name = "hybrid-4bit"', 'name = "../../hybrid-4bit"', 1))

    with pytest.raises(WeightsError, match="cannot name a network or variant"):
        zoo.load_card(path)


def test_a_card_of_another_network_is_refused(pretrained: Path) -> None:
    (pretrained / NETWORK).rename(pretrained / "other")

    with pytest.raises(WeightsError, match=f"is of {NETWORK}; give its folder that name"):
        zoo.card("other")


def test_a_trace_of_tune_under_the_name_of_test_is_refused(pretrained: Path) -> None:
    folder = pretrained / NETWORK / "hybrid-4bit"
    shutil.copy(folder / "trace-tune.parquet", folder / "trace-test.parquet")

    with pytest.raises(TraceError, match="is a trace of tune, not of test"):
        zoo.trace(NETWORK, "hybrid-4bit")


@pytest.mark.parametrize("dataset", ["../../x", "/photos", "a/../../b", "x" * 5_000])
def test_a_data_set_s_name_does_not_lead_the_ledger_elsewhere(
    pretrained: Path, dataset: str
) -> None:
    path = pretrained / NETWORK / "card.toml"
    path.write_text(CARD.replace('dataset = "digits"', f'dataset = "{dataset}"', 1))

    kept = evaluation.ledger(NETWORK, "test").path

    assert kept.parent == user_splits.folder() / ".questions"
    assert len(kept.name) < 100


def test_a_split_that_names_another_place_is_refused() -> None:
    write_user_split(NETWORK, "mine")
    path = user_splits.path_of(NETWORK, "mine") / "split.toml"
    path.write_text(path.read_text().replace('name = "mine"', 'name = "../../mine"', 1))

    with pytest.raises(SourceError, match="it is of another split"):
        user_splits.split(NETWORK, "mine")


ODD = (0, -1, 1e308, float("nan"), 10**18, "x", [], [1.0], [[]], {}, True)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a card has a list or a single value; of a list, its first too."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*path, name))
        return
    yield path
    if isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def with_value(values: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a card's values with another one at a place."""
    first, *rest = path
    copy = values.copy()
    copy[first] = with_value(values[first], tuple(rest), value) if rest else value
    return copy


def test_a_card_with_any_odd_value_is_refused_or_can_be_shown(tmp_path: Path) -> None:
    values = tomllib.loads(CARD)
    values["variants"] = [
        one | {"layers": one["layers"][:1], "history": one["history"][:1]}
        for one in values["variants"]
        if one["name"] == "hybrid-4bit"
    ]
    path, refused = tmp_path / "card.toml", 0

    for number, place in enumerate(places(values)):
        for odd in ODD[number % 4 :: 4]:  # not all at each place, to be quick
            path.write_text(tomli_w.dumps(with_value(values, place, odd)))
            try:
                card = zoo.load_card(path)
            except WeightsError:
                refused += 1
                continue
            (variant,) = card.hybrids or card.recorded.values()
            words = [cards.describe(variant), cards.cut(card), *cards.exit_names(variant)]
            assert all(words)
            assert len(cards.variants_table(card, split="test")) == 1

    assert refused > 50
