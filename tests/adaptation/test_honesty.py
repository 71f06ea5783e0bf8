"""What a model was trained on does not certify it, and what is far from it is not kept quiet."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from hybrid import data, zoo
from hybrid.adaptation.adapt import adapt
from hybrid.adaptation.checking import distance, too_good
from hybrid.adaptation.fitting import pixels, quantize
from hybrid.adaptation.request import AdaptRequest
from hybrid.data.held_out import load_all
from hybrid.data.preprocess import normalise, preprocess
from hybrid.errors import DataMissingError, SourceError
from hybrid.evaluation import certified
from hybrid.models.user_models import load_model
from tests.adaptation.test_fitting import network

pytestmark = pytest.mark.slow  # every test adapts a model

CLASSES = ("ant", "bee", "cat")
SPLITS = ("tune", "certify", "test")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)


def images(folder: Path, count: int, *, seed: int = 0) -> Path:
    """So many pictures of 16 pixels in each class's folder."""
    rng = np.random.default_rng(seed)
    for shade, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = rng.integers(80 * shade, 80 * shade + 80, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def asked(tmp_path: Path) -> AdaptRequest:
    model = load_model("tests.own_models:plain", classes=3)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    return AdaptRequest(
        model="tests.own_models:plain",
        weights=tmp_path / "w.safetensors",
        data=str(tmp_path / "photos"),
        cut="wide.0",
        exit_modules=("stem",),
        bits=(8,),
        size=16,
        name="mine",
    )


def samples(split: str) -> int:
    return zoo.trace("mine", "hybrid-8bit", split).samples


@pytest.mark.parametrize(
    "parts, seen",
    [
        ((), SPLITS),
        (("train",), SPLITS),
        (("train", "test"), ("tune", "certify")),
        (("train", "val"), ()),
        (("train", "val", "test"), ()),
    ],
)
def test_images_that_are_not_kept_apart_certify_nothing(
    parts: tuple[str, ...], seen: tuple[str, ...], asked: AdaptRequest, tmp_path: Path
):
    for number, part in enumerate(parts or ("",)):
        images(tmp_path / "photos" / part, 20, seed=number)
    told: list[str] = []

    adapt(asked, say=told.append)

    card = zoo.card("mine")
    assert card.seen == seen
    assert ("nothing is certified" in card.description) == bool(seen)
    assert any("so nothing is certified" in sentence for sentence in told) == bool(seen)
    assert zoo.trace_path("mine", "hybrid-8bit", "certify").exists() == (not seen)
    assert samples("tune") > 0
    if seen:
        with pytest.raises(
            DataMissingError, match="mine has no images that certify: the model may"
        ):
            zoo.images("mine", "certify")
        with pytest.raises(DataMissingError, match="Adapt it with images that it has not seen, in"):
            certified("mine", zoo.variant("mine", 8), (0.9,))


def test_folders_for_each_split_are_used_whole_and_only_for_it(asked: AdaptRequest, tmp_path: Path):
    images(tmp_path / "photos", 20)
    counts = {"tune": 11, "certify": 12, "test": 13}
    given = {s: str(images(tmp_path / s, n, seed=n)) for s, n in counts.items()}

    adapt(replace(asked, **given))

    card = zoo.card("mine")
    assert card.seen == ()
    assert dict(card.sources) == given
    for split, count in counts.items():
        recorded = zoo.trace("mine", "hybrid-8bit", split)
        there = sorted(Path(given[split]).rglob("*.png"))
        assert np.bincount(recorded.labels).tolist() == [count] * 3
        kept = {image.tobytes() for image in zoo.images("mine", split).images}
        assert kept == {np.asarray(Image.open(path)).tobytes() for path in there}


def test_images_that_the_user_vouches_for_certify(asked: AdaptRequest, tmp_path: Path):
    images(tmp_path / "photos", 20)

    adapt(replace(asked, unseen=True))

    assert zoo.card("mine").seen == ()
    assert samples("certify") == 6  # a tenth of 60


def test_a_folder_for_a_split_needs_known_classes(asked: AdaptRequest, tmp_path: Path):
    images(tmp_path / "photos", 20)
    other = images(tmp_path / "other", 2)
    (other / "cat").rename(other / "dog")
    (other / "bee").rename(other / "BEE")

    with pytest.raises(DataMissingError, match="other has a class dog, but the classes are ant, b"):
        adapt(replace(asked, tune=str(other)))
    with pytest.raises(SourceError, match=r"There is no folder or zip .*; name one with --certify"):
        adapt(replace(asked, certify=str(tmp_path / "nowhere")))
    (other / "dog").rename(other / "Cat")
    found = load_all(other, "tune", name="x", classes=CLASSES, size=16, channels=3)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_accuracy_on_tune_far_above_test_is_a_warning_on_the_card_too(
    asked: AdaptRequest, tmp_path: Path
):
    photos = images(tmp_path / "photos", 20)
    rng = np.random.default_rng(0)
    model = load_model("tests.own_models:plain", classes=3)
    for number in range(90):
        level = rng.integers(0, 200)
        picture = rng.integers(level, level + 56, (16, 16, 3), dtype=np.uint8)
        seen = torch.from_numpy(normalise(picture[None], str(photos)))
        with torch.no_grad():
            answer = int(model(seen).argmax())
        for split, label in (("tune", answer), ("test", (answer + number % 2) % 3)):
            (tmp_path / split / CLASSES[label]).mkdir(parents=True, exist_ok=True)
            path = tmp_path / split / CLASSES[label] / f"{number}.png"
            Image.fromarray(picture).save(path)
    told: list[str] = []

    adapt(replace(asked, tune=str(tmp_path / "tune"), test=str(tmp_path / "test")), say=told.append)

    warning = "100.0 % of the tune images correctly, but only 50.0 % of the test images"
    assert warning in " ".join(told)
    assert warning in zoo.card("mine").description


@pytest.mark.parametrize(
    "tune, test, counts, expected",
    [
        (1.0, 0.77, (200, 400), True),
        (0.91, 0.90, (2500, 10000), False),
        (0.90, 0.95, (2500, 10000), False),
        (1.0, 0.9, (10, 20), False),  # chance explains it
        (1.0, 0.99, (100_000, 100_000), False),  # no chance, but no harm either
    ],
)
def test_what_is_too_good(tune: float, test: float, counts: tuple[int, int], expected: bool):
    assert too_good(tune, test, images=counts) == expected


def test_pictures_for_a_model_that_is_not_square_are_stretched(asked: AdaptRequest, tmp_path: Path):
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            picture = rng.integers(0, 256, (24, 10, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "photos" / name / f"{number}.png")

    adapt(replace(asked, size=(24, 10)))

    shown = zoo.images("mine", "test")
    pictures = (Image.open(path) for path in (tmp_path / "photos").rglob("*.png"))
    stretched = {preprocess(one, 24, 3, fit="stretch").tobytes() for one in pictures}
    assert {image.tobytes() for image in shown.images} <= stretched
    seen = torch.from_numpy(normalise(shown.images, shown.name))
    model = load_model("tests.own_models:plain", classes=3)
    with torch.no_grad():
        narrow = functional.interpolate(seen, (24, 10), mode="bilinear", align_corners=False)
        theirs = model(narrow).argmax(1).numpy()
    assert np.array_equal(zoo.trace("mine", "static-32bit", "test").classes[:, 0], theirs)


def test_the_layer_that_loses_most_is_named(asked: AdaptRequest, tmp_path: Path):
    """One channel a million times the others, undone by the next layer: the same answers."""
    images(tmp_path / "photos", 20)
    model = load_model("tests.own_models:plain", classes=3)
    with torch.no_grad():
        model.norm.weight[0] *= 1e6
        model.norm.bias[0] *= 1e6
        model.point.weight[:, 0] /= 1e6
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    told: list[str] = []

    adapt(asked, say=told.append)

    warning = next(sentence for sentence in told if sentence.startswith("Warning"))
    assert "even at 8 bits the network is far from the model" in warning
    assert "Most is lost in point, whose outputs are off by" in warning


def test_a_sound_network_is_near_at_8_bits_and_restored_after_the_comparison():
    split = data.load("digits", "tune")
    narrow = network("plain", ("stem", "wide.0"), bits=8)
    quantize(narrow, split)
    shown = pixels(split, np.arange(64))
    wide = network("plain", ("stem", "wide.0"), bits=32)
    with torch.no_grad():
        before, exact = narrow(shown)[-1], wide(shown)[-1]

    found = distance(narrow, shown, exact)

    with torch.no_grad():
        assert torch.equal(narrow(shown)[-1], before)
    assert not found.far
    assert 0 < found.layer_error < 0.1
    error = (before - exact).norm() / (exact - exact.mean(1, keepdim=True)).norm()
    assert found.error == pytest.approx(float(error))
