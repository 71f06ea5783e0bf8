"""Weights in the files that people have, and what is said of those that cannot be read."""

import argparse
import zipfile
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from hybrid.errors import WeightsError
from hybrid.models.user_models import load_model
from hybrid.models.weight_files import fit_weights

State = Mapping[str, Tensor]


def model(*, of_ones: bool = False) -> nn.Module:
    made = load_model("tests.own_models:plain")
    for parameter in made.parameters() if of_ones else ():
        nn.init.ones_(parameter)
    return made


def prefixed(prefix: str, state: State) -> dict[str, Tensor]:
    return {prefix + name: value.clone() for name, value in state.items()}


def assert_fits(path: Path) -> None:
    fresh, wanted = model(), model(of_ones=True)
    fit_weights(fresh, path)
    pairs = zip(fresh.state_dict().values(), wanted.state_dict().values(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def assert_of_ones(made: nn.Module) -> None:
    parameters = list(made.parameters())
    assert parameters
    assert all(bool((parameter == 1).all()) for parameter in parameters)


words = st.sampled_from(["module", "_orig_mod", "model", "net", "backbone", "state_dict"])


@given(prefix=st.lists(words, max_size=3), nested=st.lists(words, max_size=3), pickled=...)
def test_any_prefix_and_nesting_is_taken_off(
    prefix: list[str], nested: list[str], pickled: bool, tmp_path_factory: pytest.TempPathFactory
):
    path = tmp_path_factory.getbasetemp() / "any.weights"
    begin = "".join(f"{word}." for word in prefix)
    state = prefixed(begin, model(of_ones=True).state_dict())

    if pickled:
        held: Any = state
        for key in nested:
            held = {key: held, "epoch": 3, "optimizer": {"state": {0: torch.ones(2)}}}
        torch.save(held, path)
    else:
        save_file(state, path)

    assert_fits(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {f"model.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(3)},
        lambda state: {k.replace("stem.", "stem._orig_mod."): v for k, v in state.items()},
        lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
        lambda state: {k: v.double() if v.is_floating_point() else v for k, v in state.items()},
        lambda state: {k: v for k, v in state.items() if not k.endswith("batches_tracked")},
    ],
)
def test_other_types_wrappers_inside_and_weights_of_a_loss_do_not_matter(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], tmp_path: Path
):
    state = change(dict(model(of_ones=True).state_dict()))
    for value in state.values():
        if value.is_floating_point():
            value.copy_(value.round())
    torch.save(state, tmp_path / "w.pth")
    fresh = model()

    fit_weights(fresh, tmp_path / "w.pth")

    assert_of_ones(fresh)


def test_a_file_without_the_wrapper_that_the_model_has_fits_too(tmp_path: Path):
    torch.save(model(of_ones=True).state_dict(), tmp_path / "w.pth")
    wrapped = nn.ModuleDict({"backbone": model()})

    fit_weights(wrapped, tmp_path / "w.pth")

    assert_of_ones(wrapped)


def test_a_tied_weight_may_be_there_once(tmp_path: Path):
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    state = {k: torch.ones_like(v) for k, v in tied.state_dict().items() if k != "1.weight"}
    save_file(state, tmp_path / "w.safetensors")

    fit_weights(tied, tmp_path / "w.safetensors")

    assert_of_ones(tied)


def test_weights_that_do_not_fit_are_refused_by_their_keys(tmp_path: Path):
    weights = model().state_dict()
    del weights["norm.weight"]
    del weights["norm.num_batches_tracked"]  # older files lack it
    weights["extra"] = torch.zeros(1)
    save_file(weights, tmp_path / "w.safetensors")

    with pytest.raises(WeightsError) as caught:
        fit_weights(load_model("tests.own_models:plain", classes=4), tmp_path / "w.safetensors")

    assert "missing: norm.weight; unknown: extra; of another shape: " in str(caught.value)
    assert "fc.weight is 10×16 there and 4×16 here" in str(caught.value)


@pytest.mark.parametrize(
    "begin, sentence",
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "only a pointer of Git LFS; fetch the"),
        (b"\n<!DOCTYPE html><html>", "is a web page, not the file behind it"),
        (b"\x89HDF\r\n", "is an HDF5 file, as Keras writes it"),
        (b'{"weight_map": {}}', "is JSON, perhaps the index of several files"),
        (b"\x1f\x8b\x08", "is compressed; unpack it and name the file inside"),
        (b"\x08\x07\x12\x07pytorch", "neither an intact safetensors file nor an intact PyTorch"),
        (b"", "neither an intact safetensors file nor an intact PyTorch checkpoint"),
        (b"PK\x03\x04" + bytes(30), "neither an intact safetensors file nor an intact PyTorch"),
        (b"\x40" + bytes(7) + b'{"a": 1}', "is not an intact safetensors file; copy or download"),
    ],
)
def test_what_is_no_file_of_weights_is_named(begin: bytes, sentence: str, tmp_path: Path):
    (tmp_path / "w").write_bytes(begin)

    with pytest.raises(WeightsError, match=sentence):
        fit_weights(model(), tmp_path / "w")


def test_there_must_be_a_file_with_tensors(tmp_path: Path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")

    with pytest.raises(WeightsError, match="There are no weights at"):
        fit_weights(model(), tmp_path / "nowhere.safetensors")
    with pytest.raises(WeightsError, match="holds no tensors by name; save the model's state_di"):
        fit_weights(model(), tmp_path / "w.pth")


@pytest.mark.parametrize(
    "held",
    [
        lambda trained: trained,
        lambda trained: {"model": trained, "epoch": 3},
        lambda trained: {
            "state_dict": trained.state_dict(),
            "hyper_parameters": {"on": date(2024, 1, 2)},
        },
        lambda trained: {"state_dict": trained.state_dict(), "loss": nn.CrossEntropyLoss()},
    ],
)
def test_python_objects_are_refused_with_three_lines_that_work(
    held: Callable[[nn.Module], Any], tmp_path: Path
):
    torch.save(held(model(of_ones=True)), tmp_path / "old.ckpt")

    with pytest.raises(WeightsError, match="not only tensors, and reading that could run") as found:
        fit_weights(model(), tmp_path / "old.ckpt")

    lines = str(found.value).splitlines()[1:]
    assert len(lines) == 3
    code = "\n".join(line.strip() for line in lines)
    exec(code.replace("weights.pth", str(tmp_path / "new.pth")), {"torch": torch})
    assert_fits(tmp_path / "new.pth")


@pytest.mark.parametrize(
    "held",
    [
        lambda state: {
            "state_dict": prefixed("model.", state),
            "hyper_parameters": {"args": argparse.Namespace(lr=0.1), "data": Path("photos")},
            "callbacks": {"best": {"score": np.float64(0.5), "last": torch.ones(1)}},
        },
        lambda state: {name: value.numpy() for name, value in state.items()},
        lambda state: [state, {"epoch": 3}],
        lambda state: (3, state),
        lambda state: {"state_dict": state, "state_dict_ema": {k: 2 * v for k, v in state.items()}},
        lambda state: {"n_averaged": torch.tensor(3), **prefixed("module.", state)},
        lambda state: {**state, "total_ops": torch.ones(1), "stem.total_params": torch.ones(1)},
    ],
)
def test_what_comes_with_the_weights_does_not_matter(held: Callable[[State], Any], tmp_path: Path):
    torch.save(held(model(of_ones=True).state_dict()), tmp_path / "w.ckpt")

    assert_fits(tmp_path / "w.ckpt")


def test_a_zip_of_other_files_is_no_checkpoint(tmp_path: Path):
    torch.save(model().state_dict(), tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tmp_path / "w.pth", "w.pth")

    with pytest.raises(WeightsError, match="is a zip of other files; unpack it and name the wei"):
        fit_weights(model(), tmp_path / "w.zip")
