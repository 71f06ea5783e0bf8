"""`adapt` can do every cut that `cuts` offers, in every style in which models are published."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hybrid import zoo
from hybrid.adaptation.adapt import adapt
from hybrid.adaptation.fitting import quantize
from hybrid.adaptation.preparing import Preparation, prepare
from hybrid.adaptation.request import AdaptRequest
from hybrid.data.preprocess import normalise
from hybrid.evaluation import evaluate
from hybrid.models import build
from hybrid.models.adapted import stage_cuts
from hybrid.models.census import census
from hybrid.models.cutting import Cut, cuts
from hybrid.models.tracing import Outline, trace
from hybrid.models.user_models import answer_of, load_model, materialise
from tests.published_models import OUTPUTS, STYLES

FAST = ("viewing", "dict")

pytestmark = [  # of torch, about the styles themselves
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 pictures of 16 pixels in each of three classes."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for shade in range(3):
        (folder / f"shade{shade}").mkdir()
        for number in range(14):
            pixels = rng.integers(80 * shade, 80 * shade + 80, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"shade{shade}" / f"{number}.png")
    return folder


def saved(style: str, path: Path, shape: tuple[int, int, int]) -> nn.Module:
    """The model in a style, whose weights are now in a file."""
    model = load_model(f"tests.published_models:{style.replace(' ', '_')}", classes=3)
    materialise(model, shape, reference=style)
    torch.save(model.state_dict(), path)
    return model


def offered(outline: Outline) -> list[tuple[Cut, Cut]]:
    """Every cut that is offered, with the first place for an exit, which may be the cut itself."""
    found = [cut for cut in cuts(outline) if not cut.unusable]
    first = next(cut for cut in found if cut.clean)
    return [
        (cut, first if first.edge.layers < cut.edge.layers else cut)
        for cut in found
        if not cut.exit_only
    ]


def request(style: str, folder: Path, photographs: Path, height: int, width: int) -> AdaptRequest:
    """To adapt a style at the middle one of its cuts, with an exit at its first clean place."""
    shape = (3, height, width)
    model = saved(style, folder / "w.pth", shape)
    outline = trace(model, shape=shape, reference=style, output=OUTPUTS.get(style, ""))
    places = offered(outline)
    cut, exit_at = places[len(places) // 2]
    return AdaptRequest(
        model=f"tests.published_models:{style.replace(' ', '_')}",
        weights=folder / "w.pth",
        data=str(photographs),
        cut=cut.name,
        exit_modules=(exit_at.name,),
        bits=(8,),
        name="mine",
        size=(height, width),
        output=OUTPUTS.get(style, ""),
    )


def answered(style: str, folder: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The classes that the model itself gives to the test images."""
    model = load_model(f"tests.published_models:{style.replace(' ', '_')}", classes=3)
    materialise(model, shape, reference=style)
    model.load_state_dict(torch.load(folder / "w.pth", weights_only=True))
    test = zoo.images("mine", "test")
    images = torch.from_numpy(normalise(test.images, test.name))
    if images.shape[2:] != shape[1:]:
        images = nn.functional.interpolate(images, shape[1:], mode="bilinear")
    with torch.no_grad():
        logits = answer_of(model.eval()(images), OUTPUTS.get(style, ""), reference=style)
    return logits.argmax(1).numpy()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)


@pytest.mark.parametrize(
    "style", [pytest.param(s, marks=() if s in FAST else pytest.mark.slow) for s in STYLES]
)
def test_the_middle_cut_of_every_style_can_be_adapted(
    style: str, tmp_path: Path, photographs: Path
):
    adapt(request(style, tmp_path, photographs, 16, 16))

    twin = zoo.trace("mine", zoo.TWIN, "test").classes[:, 0]
    assert np.array_equal(twin, answered(style, tmp_path, (3, 16, 16)))
    assert evaluate("mine", 8, (0.0,)).outcome.edge_fraction == 1


@pytest.mark.parametrize(
    "style", [pytest.param(s, marks=() if s in FAST else pytest.mark.slow) for s in STYLES]
)
def test_every_cut_that_is_offered_becomes_a_network_that_answers_like_the_model(
    style: str, tmp_path: Path, photographs: Path
):
    """What `adapt` does with each cut, but for training exits and recording traces."""
    prepared = prepare(request(style, tmp_path, photographs, 16, 16), lambda _: None)
    images = torch.from_numpy(normalise(prepared.tune.images, prepared.tune.name))
    with torch.no_grad():
        exact = prepared.outline.graph(images)

    places = offered(prepared.outline)
    assert places
    for cut, exit_at in places:
        network = build(at(prepared, cut, exit_at).spec(bits=8, static=False), prepared.outline)
        quantize(network.eval(), prepared.train)
        with torch.no_grad():
            early, ours = network(images)
        assert any(layer.weight_bits == 8 for layer in census(network))
        assert early.shape == exact.shape
        assert float((ours - exact).norm() / exact.norm()) < 0.2


def at(prepared: Preparation, cut: Cut, exit_at: Cut) -> Preparation:
    """The same preparation with another cut and exit."""
    stages, exits, number = stage_cuts(
        cuts(prepared.outline), cut=cut.name, exits=(exit_at.name,), reference="style"
    )
    recipe = replace(
        prepared.recipe, exits=tuple(exits), cut=number, stages=len(stages) + 1, plans=()
    )
    reference = replace(prepared.reference, stages=tuple(stage.name for stage in stages))
    return replace(prepared, recipe=recipe, reference=reference)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["dict", "simple"])
def test_images_that_are_not_square_go_through_to_evaluate(
    style: str, tmp_path: Path, photographs: Path
):
    adapt(request(style, tmp_path, photographs, 16, 12))

    twin = zoo.trace("mine", zoo.TWIN, "test").classes[:, 0]
    assert np.array_equal(twin, answered(style, tmp_path, (3, 16, 12)))
    assert evaluate("mine", 8, (0.0,)).outcome.edge_fraction == 1
