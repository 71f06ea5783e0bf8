"""Models of one's own: how they are found and followed, and what is said if not."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import ModelError
from hybrid.models.tracing import trace
from hybrid.models.user_models import folder_of, load_model, module_folder

IMAGE = (3, 16, 16)


@pytest.mark.parametrize(
    "reference, sentence",
    [
        ("tests.own_models", "is not a model; write package.module:function"),
        ("tests.own_models:", "is not a model"),
        ("a b:c", "is not a model"),
        ("tests.modles:plain", "There is no module tests.modles"),
        ("nowhere.at.all:plain", "There is no module nowhere"),
        ("tests.own_models:plane", "has no function plane; did you mean plain?"),
        ("tests.own_models:raising", r"raises RuntimeError: no such weights\."),
        ("tests.own_models:leaving", "raises SystemExit: 3"),
        ("tests.own_models:no_model", "returns a int, not a torch.nn.Module"),
    ],
)
def test_what_is_no_model_is_said_in_one_sentence(reference: str, sentence: str):
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(reference)

    assert "\n" not in str(caught.value)


def test_a_module_that_fails_when_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "broken_model.py").write_text("import a_package_that_is_not_there\n")
    (tmp_path / "crooked_model.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModelError, match="needs a_package_that_is_not_there, which is not inst"):
        load_model("broken_model:anything")
    with pytest.raises(ModelError, match="Importing crooked_model fails with ZeroDivisionError"):
        load_model("crooked_model:anything")


def test_a_model_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_own_model.py").write_text(
        "from torch import nn\n\ndef tiny():\n    return nn.Linear(3, 2)\n"
    )
    monkeypatch.chdir(tmp_path)

    assert isinstance(load_model("my_own_model:tiny"), nn.Linear)


def test_a_model_is_found_in_the_folder_where_it_was_adapted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = "from torch import nn\n\ndef tiny():\n    return nn.Linear(3, 2)\n"
    (tmp_path / "models" / "inner").mkdir(parents=True)
    (tmp_path / "models" / "inner" / "kept_model.py").write_text(code)
    monkeypatch.chdir(tmp_path / "models")
    load_model("inner.kept_model:tiny")
    folder = folder_of("inner.kept_model:tiny")
    for name in ("inner.kept_model", "inner"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(tmp_path)

    assert folder == str(tmp_path / "models")
    with pytest.raises(ModelError, match=r"There is no module inner.*set PYTHONPATH\.$"):
        load_model("inner.kept_model:tiny")
    with module_folder(folder):
        assert isinstance(load_model("inner.kept_model:tiny"), nn.Linear)
    assert folder not in sys.path
    assert folder_of("torchvision.models:resnet18") == ""
    with (
        pytest.raises(ModelError, match=r"no module gone; .* It was in /nowhere\."),
        module_folder("/nowhere"),
    ):
        load_model("gone:tiny")


@pytest.mark.parametrize("reference", ["tests.own_models:plain", "torchvision.models:resnet18"])
def test_the_function_is_told_how_many_classes_there_are(reference: str):
    model = load_model(reference, classes=7)

    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("name, by", [("plain", "fx"), ("scaled", "fx"), ("branching", "export")])
def test_a_model_is_followed_by_fx_or_else_by_export(name: str, by: str):
    model = load_model(f"tests.own_models:{name}")

    outline = trace(model, shape=IMAGE, reference=name)

    images = torch.rand(5, *IMAGE)
    assert outline.by == f"torch.{by}"
    assert torch.equal(outline.graph(images), model(images))
    layers = [n.target for n in outline.nodes if n.op == "call_module" and outline.seen[n].macs]
    assert layers == ["stem.0", "depth", "point", "wide.0", "fc"]


def test_what_another_thread_runs_meanwhile_is_not_traced():
    model = load_model("tests.own_models:sharing")

    outline = trace(model, shape=IMAGE, reference="sharing")

    assert outline.by == "torch.fx"
    assert [float(value.detach()) for value in model.heard] == [2.0]


def test_macs_are_those_of_a_hand_count():
    outline = trace(load_model("tests.own_models:plain"), shape=IMAGE, reference="plain")

    macs = {node.target: seen.macs for node, seen in outline.seen.items() if seen.macs}

    assert macs == {
        "stem.0": 8 * 8 * 8 * (3 * 3 * 3),  # output pixels × filters × kernel
        "depth": 8 * 8 * 8 * (3 * 3),
        "point": 8 * 8 * 8 * 8,
        "wide.0": 4 * 4 * 16 * (3 * 3 * 8),
        "fc": 16 * 10,
    }


@pytest.mark.parametrize(
    "name, giga_macs",
    # the figures that torchvision publishes with its weights
    [("resnet18", 1.814), ("mobilenet_v3_small", 0.057)],
)
def test_macs_of_torchvisions_models_are_the_published_ones(name: str, giga_macs: float):
    model = load_model(f"torchvision.models:{name}")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.zeros(1, 3, 224, 224))

    outline = trace(model, shape=(3, 224, 224), reference=name)

    total = sum(seen.macs for seen in outline.seen.values())
    assert total == pytest.approx(giga_macs * 1e9, abs=0.5e6)
    assert 2 * total == counter.get_total_flops()


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("two_answers", r"returns a tensor of shape \(2, 4, 14, 14\) for 2 images; it must"),
        ("grey", "on images of 3×16×16 raises RuntimeError"),
        ("reading", "cannot be followed by torch.fx .* nor by torch.export"),
    ],
)
def test_a_model_that_cannot_be_followed_is_refused(name: str, sentence: str):
    with pytest.raises(ModelError, match=sentence):
        trace(load_model(f"tests.own_models:{name}"), shape=IMAGE, reference=name)


def test_layers_of_a_librarys_own_classes_are_layers():
    outline = trace(load_model("tests.own_models:library"), shape=(3, 16, 16), reference="library")

    called = {str(node.target): outline.seen[node].macs for node in outline.nodes}
    assert called["depth"] == 8 * 8 * 8 * (9 * 8)
    assert called["fc"] == 16 * 10
    assert "norm" in called
