"""A model of one's own becomes a network like any other: `hybrid.adaptation.adapt`."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from hybrid import data, zoo
from hybrid.adaptation.adapt import adapt
from hybrid.adaptation.preparing import AdaptRequest
from hybrid.data import Dataset
from hybrid.data.preprocess import normalise
from hybrid.errors import (
    BitWidthError,
    HybridError,
    ModelError,
    SourceError,
    UnknownNameError,
    WeightsError,
)
from hybrid.evaluation import evaluate
from hybrid.models.census import census
from hybrid.models.user_models import load_model
from hybrid.quant.layers import calibrating, quantized_copy
from hybrid.traces import trace
from tests.own_models import plain

pytestmark = pytest.mark.slow  # every test adapts a model

NAME = "digits-plain"


def seen(split: Dataset) -> torch.Tensor:
    """What the model is shown of digits: three channels, 16 pixels."""
    images = torch.from_numpy(normalise(split.images, "digits")).expand(-1, 3, -1, -1)
    return functional.interpolate(images, (16, 16), mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model that has learned something: `tests.own_models.plain` on digits."""
    torch.manual_seed(0)
    model = load_model("tests.own_models:plain")
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    train = data.load("digits", "train")
    images, labels = seen(train), torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(8):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    path = tmp_path_factory.mktemp("weights") / "plain.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def asked(weights: Path) -> AdaptRequest:
    return AdaptRequest(
        model="tests.own_models:plain",
        weights=weights,
        data="digits",
        cut="wide.0",
        exit_modules=("point",),
        bits=(8,),
        size=16,
    )


@pytest.fixture(scope="module")
def kept(asked: AdaptRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of networks after adapting at 8 bits; to be looked at only."""
    folder = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(folder))
        patch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 5)
        assert adapt(replace(asked, exit_modules=("stem",))) == NAME
    return folder


@pytest.fixture
def here(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it that a test may change."""
    shutil.copytree(kept, tmp_path / "pretrained")
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    return tmp_path / "pretrained"


def test_the_twin_answers_exactly_as_the_model_does(here: Path, weights: Path):
    model = load_model("tests.own_models:plain")
    model.load_state_dict(load_file(weights))
    test = data.load("digits", "test")
    with torch.inference_mode():
        theirs = model(seen(test)).argmax(1).numpy()

    recorded = zoo.trace(NAME, "static-32bit", "test")

    assert np.array_equal(recorded.classes[:, 0], theirs)
    assert (theirs == test.labels).mean() > 0.8  # it is worth comparing with


def test_what_was_adapted_is_a_network_like_any_other(here: Path):
    card = zoo.card(NAME)
    point = evaluate(NAME, 8, (0.9,))

    assert card.stage_names == ("stem", "wide.0", "fc")
    assert card.stage_names[card.cut] == "wide.0"
    assert list(card.variants) == ["static-32bit", "hybrid-8bit", "static-8bit"]
    assert card.variants["hybrid-8bit"].exit_names == ("stem", "final")
    assert {f"trace-{s}.parquet" for s in zoo.SPLITS} < set(card.variants["hybrid-8bit"].files)
    twin = card.variants["static-32bit"].accuracy["test"][0]  # rounded to five digits
    assert point.twin_accuracy == pytest.approx(twin, abs=1e-5)
    assert point.energy_reduction > 1


def test_at_8_bits_hardly_anything_is_lost(here: Path):
    variants = zoo.card(NAME).variants
    twin = variants["static-32bit"].accuracy["test"][0]

    assert variants["static-8bit"].accuracy["test"][0] == pytest.approx(twin, abs=0.03)
    assert variants["hybrid-8bit"].accuracy["test"][-1] == pytest.approx(twin, abs=0.03)
    assert variants["hybrid-8bit"].accuracy["test"][0] > 0.5  # an exit that has learned


def test_the_census_is_the_hand_count_and_only_the_edge_behind_its_first_layer_is_quantized(
    here: Path,
):
    layers = zoo.variant(NAME, 8).layers

    found = {layer.name.rpartition("graph.")[2]: layer for layer in layers if layer.exit is None}
    bits = {name: (one.weight_bits, one.activation_bits) for name, one in found.items()}
    assert found["depth"].macs == 8 * 8 * 8 * (3 * 3)  # depthwise: one channel each
    assert found["wide.0"].macs == 4 * 4 * 16 * (3 * 3 * 8)
    assert bits == {
        "stem.0": (32, 32),
        "depth": (8, 8),
        "point": (8, 8),
        "wide.0": (8, 8),
        "fc": (32, 32),
    }
    assert found["fc"].segment == "cloud"


def test_leaving_early_agrees_with_the_trace(here: Path):
    network, test = zoo.load(NAME, bits=8), data.load("digits", "test")
    recorded = zoo.trace(NAME, "hybrid-8bit", "test")
    images = torch.from_numpy(normalise(test.images[:64], "digits"))

    answer = network.infer(images, (0.8,))

    sure = recorded.confidences["max_probability"][:64, 0]
    clear = np.abs(sure - 0.8) > 1e-3
    assert np.array_equal((answer.exit_taken == 0)[clear], (sure >= 0.8)[clear])
    assert answer.stage_samples[0] == 64
    assert answer.stage_samples[-1] == np.count_nonzero(answer.exit_taken)


def test_the_features_sent_are_levels_of_the_uplink(here: Path):
    network = zoo.load(NAME, bits=8)
    test = data.load("digits", "test")

    with torch.no_grad():
        sent = network.edge(torch.from_numpy(normalise(test.images[:16], "digits"))).features

    codes = sent / network.uplink.step.detach()
    assert torch.allclose(codes, codes.round(), atol=1e-3)
    assert 0 <= codes.min() < codes.max() <= 255
    assert float(network.uplink_shift) > 0  # a convolution without a ReLU ends below zero


def test_more_bits_are_added_to_a_network_that_is_there(here: Path, asked: AdaptRequest):
    before = zoo.card(NAME).variants["hybrid-8bit"]

    adapt(replace(asked, exit_modules=("stem",), bits=(4,), epochs=1))

    card = zoo.card(NAME)
    assert zoo.bit_widths(NAME) == [4, 8]
    assert zoo.bit_widths(NAME, static=True) == [4, 8, 32]
    assert card.variants["hybrid-8bit"] == before
    history = card.variants["hybrid-4bit"].history
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    assert card.variants["static-4bit"].accuracy["test"][0] > 0.7


def test_a_network_of_other_weights_or_another_cut_is_not_overwritten(
    here: Path, asked: AdaptRequest, tmp_path: Path
):
    other = load_file(asked.weights)
    other["fc.bias"] = other["fc.bias"] + 1
    save_file(other, tmp_path / "other.safetensors")
    same = replace(asked, exit_modules=("stem",))

    with pytest.raises(ModelError, match=r"with other weights than other\.safetensors; choose an"):
        adapt(replace(same, weights=tmp_path / "other.safetensors"))
    with pytest.raises(ModelError, match="with another model, data, cut or exits; choose"):
        adapt(replace(same, cut="wide"))


def test_a_skip_connection_across_the_cut_is_carried(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 2)

    adapt(replace(asked, cut="norm", exit_modules=("stem",)))

    variant = zoo.variant(NAME, 8)
    # two tensors of 8×8×8 in rows of 512: header, two dimensions, a byte a number
    assert variant.uplink_bytes == 16 + 2 * 2 + 2 * 8 * 8 * 8
    twin = zoo.variant(NAME, 32, static=True).accuracy["test"][0]
    assert variant.accuracy["test"][-1] == pytest.approx(twin, abs=0.03)


def test_a_model_that_only_export_can_follow_is_adapted_too(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 2)

    adapt(replace(asked, model="tests.own_models:branching", exit_modules=("stem",), name="mine"))

    layers = census(zoo.load("mine", bits=8))
    assert sum(layer.weight_bits == 8 for layer in layers) == 3
    twin = zoo.variant("mine", 32, static=True).accuracy["test"][0]
    assert zoo.variant("mine", 8).accuracy["test"][-1] == pytest.approx(twin, abs=0.03)


def test_a_mean_and_deviation_of_its_own_reach_the_model(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)

    adapt(replace(asked, exit_modules=("stem",), mean=mean, std=std, name="mine"))

    test = data.load("digits", "test")
    pixels = torch.from_numpy(test.images.astype(np.float32) / 255).permute(0, 3, 1, 2)
    own = (pixels - torch.tensor(mean).reshape(1, 3, 1, 1)) / torch.tensor(std).reshape(1, 3, 1, 1)
    model = load_model("tests.own_models:plain")
    model.load_state_dict(load_file(weights))
    with torch.inference_mode():
        theirs = model(functional.interpolate(own, (16, 16), mode="bilinear")).argmax(1).numpy()
    assert np.array_equal(zoo.trace("mine", "static-32bit", "test").classes[:, 0], theirs)


def write_folder(folder: Path, counts: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    for shade, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(60 * shade, 60 * shade + 60, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_an_image_folder_is_divided_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_folder(tmp_path / "photos", {"dark": 30, "light": 30, "middling": 30})
    save_file(
        load_model("tests.own_models:plain", classes=3).state_dict(), tmp_path / "w.safetensors"
    )
    told: list[str] = []

    network = adapt(
        AdaptRequest(
            model="tests.own_models:plain",
            weights=tmp_path / "w.safetensors",
            data=str(folder),
            cut="wide.0",
            exit_modules=("stem",),
            bits=(4,),
            size=16,
            unseen=True,
        ),
        say=told.append,
    )

    card = zoo.card(network)
    assert network == "photos-plain"
    assert card.classes == ("dark", "light", "middling")
    assert [zoo.trace(network, "hybrid-4bit", s).samples for s in zoo.SPLITS] == [9, 9, 18]
    assert zoo.variant(network, 4).accuracy["test"][0] > 0.9  # shades are told apart at once
    assert zoo.images(network, "test").images.shape == (18, 16, 16, 3)
    assert any("hardly better than guessing" in sentence for sentence in told)  # it never learned


def test_a_model_for_grey_images_is_shown_grey_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    folder = write_folder(tmp_path / "photos", {"dark": 10, "light": 10})
    (folder / "dark" / "broken.png").write_bytes(b"no picture")
    save_file(
        load_model("tests.own_models:grey", classes=2).state_dict(), tmp_path / "w.safetensors"
    )
    asked = AdaptRequest(
        model="tests.own_models:grey",
        weights=tmp_path / "w.safetensors",
        data=shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "photos"),
        cut="wide.0",
        exit_modules=("stem",),
        bits=(8,),
        size=16,
    )
    told: list[str] = []

    network = adapt(asked, say=told.append)

    assert network == "packed-grey"  # of a zip, without its suffix
    assert zoo.images(network, "test").images.shape == (4, 16, 16, 1)
    assert "Skipped 1 of the files:" in told
    assert "  photos/dark/broken.png is not a PNG, JPEG" in next(t for t in told if "broken" in t)


def test_a_model_for_other_channels_or_with_weights_that_are_no_numbers_is_refused(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    folder = write_folder(tmp_path / "photos", {"dark": 10, "light": 10})
    broken = load_file(asked.weights)
    broken["fc.bias"][:] = float("nan")
    save_file(broken, tmp_path / "nan.safetensors")

    with pytest.raises(ModelError, match="takes 4 colour channels, but the images have 3; give"):
        adapt(replace(asked, model="tests.own_models:four_channels", data=str(folder)))
    with pytest.raises(ModelError, match="returns numbers that are not finite; look for"):
        adapt(replace(asked, exit_modules=("stem",), weights=tmp_path / "nan.safetensors"))


def test_a_folder_with_one_class_or_too_few_images_is_refused(tmp_path: Path, asked: AdaptRequest):
    one = write_folder(tmp_path / "one", {"cat": 20})
    few = write_folder(tmp_path / "few", {"cat": 20, "dog": 9})

    with pytest.raises(SourceError, match="has only one class, cat; give a folder"):
        adapt(replace(asked, data=str(one)))
    with pytest.raises(SourceError, match=r"dog has 9 images in .* but 10 of each class"):
        adapt(replace(asked, data=str(few)))
    with pytest.raises(UnknownNameError, match=r"Did you mean digits\?"):
        adapt(replace(asked, data="digit"))


def full_disk(monkeypatch: pytest.MonkeyPatch, *, variant: str) -> None:
    """No trace of a variant can be written; Parquet's errors carry their reason as text alone."""
    save = trace.save

    def fail(recorded: trace.Trace, path: Path) -> None:
        if recorded.variant == variant:
            raise OSError("[errno 28] No space left on device")
        save(recorded, path)

    monkeypatch.setattr("hybrid.training.publish.trace.save", fail)


def test_a_full_disk_leaves_no_network_that_is_none(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    full_disk(monkeypatch, variant="hybrid-8bit")

    with pytest.raises(ModelError, match=r"\(.*No space left on device\); free some space, or"):
        adapt(replace(asked, exit_modules=("stem",)))

    assert zoo.networks() == []
    assert [path.name for path in tmp_path.iterdir()] == [".adapting"]


def test_what_was_killed_continues_and_is_the_same_to_the_byte(
    asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    both = replace(asked, exit_modules=("stem",), bits=(8, 4))
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "whole"))
    adapt(both)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "killed"))
    told: list[str] = []
    with monkeypatch.context() as patch:
        full_disk(patch, variant="hybrid-4bit")
        with pytest.raises(ModelError, match="run the same again to continue"):
            adapt(both)

    adapt(both, say=told.append)

    assert [t for t in told if "finished in an earlier run" in t] == [
        f"{name}: finished in an earlier run." for name in ("hybrid-8bit", "static-8bit")
    ]
    assert not any("Recording the twin" in sentence for sentence in told)
    assert not (tmp_path / "killed" / ".adapting").exists()
    for variant in zoo.card(NAME).variants.values():
        for file in variant.files:
            paths = [tmp_path / run / NAME / variant.name / file for run in ("whole", "killed")]
            assert paths[0].read_bytes() == paths[1].read_bytes(), paths[1]


def rectified(num_classes: int = 10) -> nn.Module:
    """The model with the same weights and another activation."""
    model = plain(num_classes)
    stem = model.get_submodule("stem")
    assert isinstance(stem, nn.Sequential)
    stem[2] = nn.ReLU()
    return model


@pytest.mark.parametrize("change", ["seed", "model"])
def test_another_request_does_not_continue_it(
    change: str, asked: AdaptRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    first = replace(asked, exit_modules=("stem",))
    with monkeypatch.context() as patch:
        full_disk(patch, variant="static-8bit")
        with pytest.raises(ModelError):
            adapt(first)
    told: list[str] = []

    if change == "model":
        monkeypatch.setattr("tests.own_models.plain", rectified)
    adapt(replace(first, seed=int(change == "seed")), say=told.append)

    assert not any("finished in an earlier run" in sentence for sentence in told)
    assert len(list((tmp_path / ".adapting").iterdir())) == 1  # the first one's, for a week


def test_a_full_disk_leaves_the_variant_that_was_there(
    here: Path, asked: AdaptRequest, monkeypatch: pytest.MonkeyPatch
):
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    full_disk(monkeypatch, variant="static-8bit")

    with pytest.raises(ModelError, match="No space left"):
        adapt(replace(asked, exit_modules=("stem",)))

    after = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    weights = here / NAME / "static-8bit" / "weights.safetensors"
    assert {path for path in after if ".adapting" not in path.parts} == before.keys()
    assert after[weights] == before[weights]
    assert evaluate(NAME, 8, (0.9,)).energy_reduction > 1


@pytest.mark.parametrize(
    "change, kind, sentence",
    [
        ({"cut": "wid"}, ModelError, r"no module ends there; did you mean wide\?"),
        ({"cut": "stem"}, ModelError, "leaves only the first layer to the edge"),
        ({"exit_modules": ("norm",)}, ModelError, "A skip connection spans norm"),
        (
            {"exit_modules": ("wide",)},
            ModelError,
            "The exit after wide comes after the cut at wide.0",
        ),
        (
            {"exit_modules": ("stem.0", "stem")},
            ModelError,
            "no layer between stem.0 and stem; leave one",
        ),
        ({"exit_modules": ()}, ModelError, "needs a bit width, an exit and 0 or more epochs"),
        ({"bits": (5, 9)}, BitWidthError, "9 bits are not offered"),
        ({"name": "a/b"}, ModelError, "'a/b' cannot name a network"),
        ({"mean": (0.5,), "std": (0.5,)}, ModelError, "above 0 for each of 3 channels"),
        (
            {"weights": Path("nowhere")},
            WeightsError,
            "no weights at nowhere; name a file of weights",
        ),
        ({"data": "cifar-10"}, UnknownNameError, "Did you mean cifar10"),
    ],
)
def test_what_cannot_be_adapted_is_one_sentence_and_leaves_nothing(
    change: dict[str, object],
    kind: type[HybridError],
    sentence: str,
    asked: AdaptRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))

    with pytest.raises(kind, match=sentence) as caught:
        adapt(replace(asked, **({"exit_modules": ("stem",)} | change)))

    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_weights_for_other_classes_name_their_keys(asked: AdaptRequest, tmp_path: Path):
    other = load_model("tests.own_models:plain", classes=4).state_dict()
    save_file(other, tmp_path / "w.safetensors")

    with pytest.raises(WeightsError, match=r"fc.weight is 4×16 there and 10×16 here"):
        adapt(replace(asked, weights=tmp_path / "w.safetensors"))


def test_quantized_convolutions_of_real_networks_are_ordinary_ones_at_8_bits():
    torch.manual_seed(0)
    for conv in (
        nn.Conv2d(6, 6, 3, groups=6, padding=1),
        nn.Conv2d(6, 4, 1, bias=False),
        nn.Conv2d(6, 4, (3, 5), stride=(1, 2), padding=(2, 4), dilation=2),
        nn.Conv2d(6, 4, 3, padding="same"),
    ):
        x = functional.silu(torch.randn(8, 6, 12, 12) * 2)
        made = quantized_copy(conv, bits=8)
        assert made is not None
        made.activation.calibrate = True
        made(x)
        made.activation.calibrate = False

        with torch.no_grad():
            error = (made(x) - conv(x)).abs().max() / conv(x).abs().max()

        assert made(x).shape == conv(x).shape
        assert 0 < error < 0.02
    mirrored = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    assert quantized_copy(mirrored, bits=8) is None
    assert quantized_copy(nn.Conv2d(3, 4, 2, padding="same"), bits=8) is None


@pytest.mark.parametrize("shape", [(8, 6), (8, 5, 6), (2, 4, 5, 6)])
@pytest.mark.parametrize("bits, most", [(8, 0.02), (4, 0.2), (1, 1.0)])
def test_a_quantized_linear_layer_is_an_ordinary_one_on_any_rows(
    shape: tuple[int, ...], bits: int, most: float
):
    torch.manual_seed(0)
    linear, x = nn.Linear(6, 4), functional.silu(torch.randn(shape) * 2)
    made = quantized_copy(linear, bits=bits)
    assert made is not None
    with torch.no_grad(), calibrating(made):
        made(x)

    with torch.no_grad():
        weights, inputs = made.quantized_weight().flatten(1), made.activation
        by_hand = torch.stack(
            [inputs(row.reshape(1, 6, 1, 1)).flatten() @ weights.T for row in x.reshape(-1, 6)]
        )
        error = (made(x) - linear(x)).abs().max() / linear(x).abs().max()

        assert torch.allclose(made(x), (by_hand + linear.bias).reshape(*shape[:-1], 4), atol=1e-5)
    assert 0 < error < most
