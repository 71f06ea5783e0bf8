"""Recipes that ship can be followed, and one that cannot says why in one sentence."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from hybrid.errors import RecipeError, UnknownNameError
from hybrid.models import build
from hybrid.training.recipe import load_recipe, plan_of, recipe_names

GOOD = """
format = 1
network = "mine"
dataset = "digits"
title = "Mine"
description = "A recipe."
seed = 0
architecture = "digits-vgg"
classes = 10
channels = 1
size = 8
stages = 4
cut = 2
exits = [1, 2]

[defaults]
epochs = 3

[[variant]]
name = "static-32bit"

[[variant]]
name = "hybrid-4bit"
start = "static-32bit"
bits = [32, 8, 4]
epochs = 5
"""

SECOND = 'name = "hybrid-4bit"\nstart = "static-32bit"\nbits = [32, 8, 4]'


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_makes_all_its_networks(name: str):
    recipe = load_recipe(name)

    assert recipe.network == name
    assert "static-32bit" in [plan.name for plan in recipe.plans]
    for plan in recipe.plans:
        with torch.device("meta"):  # shapes without numbers: millions of them take seconds
            network = build(recipe.spec(plan))
        assert len(network.stages) == recipe.stages
        assert network.exit_stages == (() if plan.static else plan.exits or recipe.exits)
        assert plan.teacher_weight <= 1


def test_a_file_of_ones_own_is_read(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)

    recipe = load_recipe(path)

    assert load_recipe(str(path)) == recipe
    assert [(plan.epochs, plan.bits) for plan in recipe.plans] == [(3, 0), (5, (32, 8, 4))]
    assert recipe.spec(recipe.plan("hybrid-4bit")).edge_bits == (32, 8, 4)
    assert recipe.spec(recipe.plan("static-32bit")).cut == 3


def test_a_hybrid_may_be_cut_and_answer_elsewhere(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("bits = [32, 8, 4]", "cut = 1\nexits = [1]"))

    recipe = load_recipe(path)

    network = build(recipe.spec(recipe.plan("hybrid-4bit")))
    assert (network.cut, network.exit_stages, network.spec.edge_bits) == (1, (1,), (32, 4))
    assert plan_of(asdict(recipe.plan("hybrid-4bit"))) == recipe.plan("hybrid-4bit")


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("format = 1", "format = 2", "its format is not 1"),
        ("format = 1", "", "lacks 'format'"),
        ("[[variant]]", "[[variants]]", "unexpected keyword argument 'variants'"),
        ("seed = 0", "", "missing 1 required .*'seed'"),
        ("seed = 0", "seed = 0\nspeed = 3", "unexpected keyword argument 'speed'"),
        ("seed = 0", "seed = ", "Invalid value"),
        ('dataset = "digits"', 'dataset = "digit"', "No data set is called 'digit'.*digits"),
        ('"digits-vgg"', '"vgg"', "No architecture is called 'vgg'"),
        ("stages = 4", "stages = 5", "digits-vgg has 4 stages, not 5"),
        ("exits = [1, 2]", "exits = [2, 1]", "Exits must ascend"),
        ("exits = [1, 2]", "exits = 1", "not iterable"),
        ("cut = 2", "cut = 7", "3 bit widths for 8 edge stages"),
        ("epochs = 3", "epochs = 3\ncut = 1", "static-32bit has no cut and no exits"),
        ("epochs = 5", "exits = [1, 3]", "Exits .* must be on edge stages 0 to 2"),
        ("[32, 8, 4]", "[32, 8]", "2 bit widths for 3 edge stages"),
        ("[32, 8, 4]", "9", "9 bits are not offered"),
        ("hybrid-4bit", "hybrid-12bit", None),
        ("hybrid-4bit", "dynamic-4bit", "'dynamic-4bit' is not a variant; use hybrid-4bit"),
        (SECOND, 'name = "static-32bit"', "static-32bit is there twice"),
        ("epochs = 5", "epoch = 5", "a variant has no epoch"),
        ("epochs = 5", "epochs = -1", "hybrid-4bit needs epochs >= 0"),
        ("epochs = 5", "epochs = 5\ncycles = 2", "hybrid-4bit needs cycles that divide its epochs"),
        ("epochs = 5", "batch = 0", "batch >= 1"),
        ("epochs = 5", "warmup = 1.5", "warmup from 0 to 1"),
        ("epochs = 5", 'epochs = "many"', "not supported between"),
        ("epochs = 5", 'optimizer = "adamw"', r"No optimizer is called 'adamw'.*adam\?"),
        ("epochs = 5", 'teacher = "hybrid-8bit"', "needs hybrid-8bit, which is not before"),
        ('start = "static-32bit"', 'start = "hybrid-8bit"', "which is not before it"),
    ],
)
def test_a_recipe_that_cannot_be_followed_says_why(
    old: str, new: str, sentence: str | None, tmp_path: Path
):
    assert old in GOOD
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(old, new, 1))
    if sentence is None:  # bits of each stage are given, so the name's number is only a name
        assert load_recipe(path).plans[1].width == 12
        return

    with pytest.raises(RecipeError, match=sentence) as caught:
        load_recipe(path)
    assert "mine.toml" in str(caught.value)
    assert str(caught.value).endswith("; see the shipped recipes.")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\0")

    with pytest.raises(RecipeError, match="is not valid"):
        load_recipe(path)


def test_a_missing_file_names_the_recipes_that_ship():
    with pytest.raises(RecipeError, match=r"no recipe file nowhere\.toml; .*digits-vgg"):
        load_recipe("nowhere.toml")


def test_an_unknown_recipe_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"No recipe is called 'digits'.*digits-vgg\?"):
        load_recipe("digits")


def test_an_unknown_variant_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"No variant is called 'hybrid-5bit'.*hybrid-4bit"):
        load_recipe("digits-vgg").plan("hybrid-5bit")
