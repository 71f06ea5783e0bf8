"""Models in the styles in which they are published: every cut offered gives the model's answers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrize
from torch.utils.flop_counter import FlopCounterMode

from hybrid.errors import ModelError
from hybrid.models import Network, Reference, Spec, build
from hybrid.models.adapted import stage_cuts
from hybrid.models.census import census
from hybrid.models.cutting import check_any, cuts, pieces, quantizable
from hybrid.models.tracing import Outline, trace
from hybrid.models.user_models import answer_of, load_model, materialise
from tests.published_models import OUTPUTS, STYLES

IMAGE = (3, 16, 16)

pytestmark = [  # of torch, about the styles themselves
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning"),
]
every_style = pytest.mark.parametrize("style", STYLES)


def reference(style: str) -> str:
    return f"tests.published_models:{style.replace(' ', '_')}"


def loaded(style: str) -> nn.Module:
    model = load_model(reference(style), classes=3)
    materialise(model, IMAGE, reference=style)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.LazyConv2d | nn.LazyLinear):
            module.reset_parameters()
    return model


def outlined(style: str, model: nn.Module) -> Outline:
    return trace(model, shape=IMAGE, reference=style, output=OUTPUTS.get(style, ""))


def answers(style: str, model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        found = answer_of(model(images.clone()), OUTPUTS.get(style, ""), reference=style)
    assert isinstance(found, Tensor)
    return found


@every_style
def test_both_halves_of_every_cut_give_the_models_answers_in_any_memory_layout(style: str):
    model = loaded(style)
    outline = outlined(style, model)
    found = cuts(outline)
    check_any(found, reference=style)
    assert found

    for count in (1, 2, 5):
        images = torch.randn(count, *IMAGE, generator=torch.Generator().manual_seed(count))
        whole = answers(style, model, images).reshape(count, 3)
        for layout in (torch.contiguous_format, torch.channels_last):
            for cut in (one for one in found if not one.refused):
                edge, cloud = pieces(outline, [cut])
                with torch.no_grad():
                    given = images.clone().to(memory_format=layout)
                    assert torch.allclose(cloud(edge(given)), whole, atol=1e-5)


@every_style
def test_no_place_is_offered_that_refuses_the_cut(style: str):
    found = cuts(outlined(style, loaded(style)))
    assert found
    assert style == "branching" or [cut.unusable for cut in found if cut.unusable] == []

    for cut in found:
        if not cut.unusable and not cut.exit_only:
            first = next(one for one in found if one.clean)
            if first.position < cut.position and first.edge.layers < cut.edge.layers:
                stage_cuts(found, cut=cut.name, exits=(first.name,), reference=style)


@every_style
def test_everything_that_multiplies_but_first_last_and_attention_is_quantized(style: str):
    outline = outlined(style, loaded(style))

    steps = [str(node.target) for node in outline.nodes if outline.seen[node].macs]
    narrow = quantizable(outline)

    wide = {"attending": {"attention", "up", steps[-4], steps[-3]}}.get(style, set())
    assert narrow == set(steps[1:-1]) - wide
    assert "hidden" in narrow or style == "functions"


@every_style
def test_layers_hold_the_weights_that_the_model_uses(style: str):
    """A convolution's response to single points is its weights."""
    model = loaded(style)
    outline = outlined(style, model)
    modules = dict(outline.graph.named_modules())
    kernel = modules["stem.0"].weight

    image = torch.zeros(1, 3, 16, 16)
    image[0, :, 5, 5] = torch.eye(3)[0]
    with torch.no_grad():
        inner = model.stem[0](image) - model.stem[0](torch.zeros_like(image))

    # the output at (2, 2) covers inputs 3 to 5, its last row and column the point
    assert torch.allclose(inner[0, :, 2, 2], kernel[:, 0, 2, 2], atol=1e-6)
    assert "weight" in dict(modules["stem.0"].named_parameters(recurse=False))


def network(style: str, bits: int, *, static: bool) -> tuple[Network, Outline]:
    outline = outlined(style, loaded(style))
    found = cuts(outline)
    clean = [one for one in found if one.clean]
    last = next(one for one in clean if one.edge.layers > clean[0].edge.layers)
    places, exits, cut = stage_cuts(found, cut=last.name, exits=(clean[0].name,), reference=style)
    spec = Spec(
        architecture=reference(style),
        classes=3,
        size=16,
        cut=len(places) if static else cut,
        exits=() if static else tuple(exits),
        bits=bits,
        static=static,
        reference=Reference(
            stages=tuple(place.name for place in places), output=OUTPUTS.get(style, "")
        ),
    )
    return build(spec, outline).eval(), outline


@every_style
def test_the_network_in_pieces_answers_like_the_model_and_counts_like_torch(style: str):
    made, outline = network(style, 32, static=True)
    model = loaded(style)
    images = torch.randn(4, *IMAGE, generator=torch.Generator().manual_seed(0))
    counter = FlopCounterMode(display=False)
    with parametrize.cached(), sdpa_kernel(SDPBackend.MATH):
        model(torch.zeros(1, *IMAGE))  # what computes weights is not counted
        with counter:
            model(torch.zeros(1, *IMAGE))  # with gradients, so that attention is no single kernel

    with torch.no_grad():
        assert torch.allclose(made(images)[-1], answers(style, model, images), atol=1e-5)
    assert 2 * outline.macs == counter.get_total_flops()
    assert sum(layer.macs for layer in census(made)) == outline.macs


def test_a_model_that_draws_at_random_is_refused():
    class Noisy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.flatten(1) + torch.randn_like(x.flatten(1)))

    with pytest.raises(ModelError, match=r"answers differently once it is traced, by up to .* it"):
        trace(Noisy(3, 2), shape=(3, 1, 1), reference="noisy")


def test_a_part_of_the_output_that_is_not_there_gets_the_nearest():
    with pytest.raises(ModelError, match=r"has no part 'logit'; did you mean logits\?"):
        trace(loaded("dict"), shape=IMAGE, reference="dict", output="logit")
    with pytest.raises(ModelError, match=r"returns a tensor of shape .* or name it with --output"):
        trace(loaded("dict"), shape=IMAGE, reference="dict")


def test_a_model_of_one_layer_cannot_be_cut_and_the_sentence_says_why():
    outline = trace(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), shape=(3, 4, 4), reference="m")

    with pytest.raises(ModelError, match="m cannot be cut: it has fewer than two layers"):
        check_any(cuts(outline), reference="m")


def test_until_two_branches_are_joined_there_is_no_place_for_an_exit_and_the_list_says_so():
    found = cuts(outlined("branching", loaded("branching")))

    reasons = {cut.name: cut.unusable for cut in found}
    assert reasons["stem"] == (
        "no place up to here has a single tensor, which the exit on the device needs; cut later."
    )
    assert not reasons["block1"]


def test_places_before_which_nothing_can_be_quantized_are_for_exits_only():
    class Convolving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.line = nn.Conv2d(3, 4, 3), nn.Conv1d(4, 4, 3)
            self.hidden, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.line(self.first(x).flatten(2)).mean(2)
            return self.last(self.hidden(x))

    found = {c.name: c for c in cuts(trace(Convolving(), shape=(3, 8, 8), reference="m"))}

    assert found["first"].exit_only.startswith("leaves only the first layer to the edge")
    assert found["line"].exit_only == (
        "leaves no layer to the edge that can be quantized; cut later."
    )
    assert not found["hidden"].exit_only


@pytest.mark.filterwarnings("ignore:.*jit.trace.*:DeprecationWarning")
def test_a_module_of_torchscript_is_refused_with_what_to_name(monkeypatch: pytest.MonkeyPatch):
    scripted = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
    monkeypatch.setattr("tests.published_models.scripted", lambda: scripted, raising=False)

    with pytest.raises(ModelError, match="returns a TorchScript module, which cannot be cut; name"):
        load_model("tests.published_models:scripted")


def test_following_a_model_prints_nothing_and_leaves_the_names_of_its_code(
    capfd: pytest.CaptureFixture[str],
):
    class Deciding(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            x = x.view(len(x), int(48.0))
            return super().forward(x if x.sum() > 0 else -x)

    capfd.readouterr()  # what came before
    with pytest.raises(ModelError, match=r"nor by torch\.export"):
        trace(Deciding(48, 2), shape=(3, 4, 4), reference="m")

    assert capfd.readouterr() == ("", "")
    assert not {"len", "int"} & globals().keys()
