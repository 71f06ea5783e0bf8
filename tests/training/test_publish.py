"""What is published is written once: heads beside the network that they were trained on."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hybrid import zoo
from hybrid.errors import UnknownNameError, WeightsError
from hybrid.files import sha256_of
from hybrid.models import Network, build
from hybrid.models.checkpoints import base_of
from hybrid.training.publish import Training, publish, renew
from hybrid.training.recipe import Plan, load_recipe

NAME, TWIN, HEADS = "digits-vgg", "static-32bit", "hybrid-32bit"
NOBODYS = Training(history=(), hours=0.0, device="test", versions={})
SHIPPED = load_recipe(NAME)
RECIPE = replace(
    SHIPPED,
    plans=(
        Plan(name=TWIN),
        Plan(name=HEADS, start=TWIN, heads_only=True),
        Plan(name="hybrid-8bit", start=HEADS, heads_only=True),
        Plan(name="hybrid-4bit", start=HEADS),
    ),
)


def made(variant: str, *, seed: int = 0) -> Network:
    """A network as random numbers make it; of one seed all have the same stages."""
    torch.manual_seed(seed)
    twin = build(RECIPE.spec(RECIPE.plan(TWIN))).eval()
    network = build(RECIPE.spec(RECIPE.plan(variant))).eval()
    network.load_state_dict(twin.state_dict(), strict=False)
    return network


def published(variant: str, *, seed: int = 0, whole: bool = False) -> Path:
    publish(RECIPE, RECIPE.plan(variant), made(variant, seed=seed), NOBODYS, whole=whole)
    return zoo.weights_path(NAME, variant)


def heads(*stages: int) -> set[str]:
    return {f"heads.{i}.linear.{kind}" for i in stages for kind in ("weight", "bias")}


def test_trained_heads_are_published_beside_what_they_were_trained_on():
    twin, path = published(TWIN), published(HEADS)

    assert load_file(path).keys() == heads(*SHIPPED.exits)
    assert base_of(path) == twin
    assert zoo.load(NAME, bits=32).exit_stages == SHIPPED.exits


def test_variants_that_are_published_at_once_are_all_in_the_card():
    published(TWIN)
    names = (HEADS, "hybrid-8bit", "hybrid-4bit")

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(published, names))

    assert set(zoo.card(NAME).variants) == {TWIN, *names}


def test_what_was_trained_whole_is_published_whole():
    published(TWIN)
    published(HEADS)

    assert base_of(published("hybrid-4bit")) is None


def test_heads_on_heads_leave_the_rest_to_the_file_that_has_it():
    twin = published(TWIN)
    published(HEADS)

    assert base_of(published("hybrid-8bit")) == twin
    assert zoo.load(NAME, bits=8).spec.bits == 8


def test_without_the_file_of_what_they_were_trained_on_heads_are_published_whole():
    """Its weights can come from the folder of runs."""
    assert base_of(published(HEADS)) is None


def test_where_it_is_published_again_with_other_weights_the_heads_are_refused():
    published(TWIN)
    published(HEADS)

    published(TWIN, seed=1)

    with pytest.raises(WeightsError, match=r"SHA-256 differs.*train hybrid-32bit again"):
        zoo.load(NAME, bits=32)


def test_renewing_writes_a_whole_file_of_heads_without_the_rest_and_nothing_else_changes():
    published(TWIN)
    path = published(HEADS, whole=True)
    published("hybrid-4bit")
    folder = zoo.pretrained_folder() / NAME
    before = {file: file.read_bytes() for file in folder.glob("*/*")}
    card, traces = zoo.card(NAME), {s: zoo.trace(NAME, HEADS, s) for s in zoo.SPLITS}

    renew(RECIPE, variants=(HEADS,))

    assert base_of(path) == zoo.weights_path(NAME, TWIN)
    assert path.stat().st_size < len(before[path]) / 20
    changed = {file for file, data in before.items() if file.read_bytes() != data}
    assert changed == set(path.parent.iterdir())
    for split, trace in traces.items():
        again = zoo.trace(NAME, HEADS, split)  # of the weights that the card names now
        assert np.array_equal(again.classes, trace.classes)
        assert all(np.array_equal(again.confidences[m], v) for m, v in trace.confidences.items())
    now = zoo.card(NAME).variants
    assert {n: v for n, v in now.items() if n != HEADS} == {
        n: v for n, v in card.variants.items() if n != HEADS
    }
    assert replace(now[HEADS], files={}) == replace(card.variants[HEADS], files={})


def test_renewed_again_every_file_stays_as_it_is():
    for variant in (TWIN, HEADS, "hybrid-8bit", "hybrid-4bit"):
        published(variant)
    folder = zoo.pretrained_folder() / NAME
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    renew(RECIPE)

    assert {file: file.read_bytes() for file in before} == before


def test_a_renewal_that_broke_off_can_be_run_again(monkeypatch: pytest.MonkeyPatch):
    published(TWIN)
    published(HEADS, whole=True)

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hybrid.training.publish.record.record", broken)
        with pytest.raises(KeyboardInterrupt):
            renew(RECIPE, variants=(HEADS,))
    renew(RECIPE)

    files = zoo.card(NAME).variants[HEADS].files
    folder = zoo.weights_path(NAME, HEADS).parent
    assert {name: sha256_of(folder / name) for name in files} == files


def test_renewing_what_the_card_has_not_names_what_it_has():
    published(TWIN)

    with pytest.raises(UnknownNameError, match=r"No variant is called 'hybrid-4bit'.*static-32bit"):
        renew(RECIPE, variants=("hybrid-4bit",))
