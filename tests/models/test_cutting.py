"""Cuts of models: what crosses, what each side computes, and that two halves are the whole."""

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import ModelError
from hybrid.models import Reference, Spec, build
from hybrid.models.adapted import stage_cuts
from hybrid.models.census import census
from hybrid.models.cutting import cuts, find_cut, pieces, state_shape, worthwhile
from hybrid.models.tracing import Outline, trace
from hybrid.models.user_models import load_model

IMAGE = (3, 16, 16)


def outlined(name: str, *, shape: tuple[int, int, int] = IMAGE) -> Outline:
    reference = name if ":" in name else f"tests.own_models:{name}"
    return trace(load_model(reference), shape=shape, reference=name)


@pytest.mark.parametrize("name", ["plain", "scaled", "branching", "mixed", "forked", "library"])
def test_both_halves_of_every_cut_give_exactly_what_the_whole_gives(name: str):
    outline = outlined(name)
    found = cuts(outline)
    images = torch.rand(5, *IMAGE)
    whole = load_model(f"tests.own_models:{name}")(images)

    assert found
    for cut in found:
        edge, cloud = pieces(outline, [cut])
        features = edge(images)

        assert features.shape == (5, *cut.state_shape)
        assert torch.equal(cloud(features), whole)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"]
)
def test_torchvisions_models_fall_into_pieces_that_give_the_same(name: str):
    outline = outlined(f"torchvision.models:{name}", shape=(3, 32, 32))
    images = torch.rand(2, 3, 32, 32)
    found = worthwhile(cuts(outline))
    chosen = found[:: len(found) // 4]

    with torch.no_grad():
        state = images
        for piece in pieces(outline, chosen):
            state = piece(state)

        assert any(not cut.clean for cut in found)
        assert torch.equal(state, outline.graph(images))


def test_a_skip_connection_is_carried_and_counted():
    found = {cut.name: cut for cut in cuts(outlined("plain"))}

    assert found["stem"].shapes == ((8, 8, 8),)
    assert found["stem"].clean
    assert found["norm"].shapes == ((8, 8, 8), (8, 8, 8))
    assert not found["norm"].clean
    # magic, bits, dimensions, reserved, step, checksum; two dimensions; half a byte a number
    assert found["norm"].wire_bytes(4) == 16 + 2 * 2 + 2 * 8 * 8 * 8 // 2
    assert found["stem"].wire_bytes() == 16 + 3 * 2 + 4 * 8 * 8 * 8


def test_each_side_has_its_macs_weights_and_largest_layer():
    found = {cut.name: cut for cut in cuts(outlined("plain"))}
    edge, cloud = found["point"].edge, found["point"].cloud

    assert edge.macs == 8 * 8 * 8 * (27 + 9 + 8)
    assert cloud.macs == 4 * 4 * 16 * 72 + 16 * 10
    # the stem's filters stay at 32 bits, since it is the first layer
    assert edge.filters == 8 * 9 + 8 * 8
    # biases of stem and point, two norms of weight, bias, mean, variance and a count
    assert edge.other_weights == 8 * 27 + 8 + 8 + 2 * (4 * 8 + 1)
    assert edge.weight_bytes(4) == edge.filters // 2 + 4 * edge.other_weights
    assert edge.activations == 8 * 8 * 8 + 8 * 8 * 8
    assert edge.other_activations == 3 * 16 * 16 + 8 * 8 * 8
    assert edge.activation_bytes(4) == 4 * edge.other_activations
    assert cloud.activations == 8 * 8 * 8 + 16 * 4 * 4
    assert cloud.other_activations == 16 + 10
    assert cloud.filters == 16 * 72


@pytest.mark.parametrize("model", ["plain", "mixed", "forked", "library"])
@pytest.mark.parametrize("bits", [1, 4])
def test_the_edge_of_a_cut_has_the_bytes_of_the_layers_that_adapting_makes(model: str, bits: int):
    outline = outlined(model)
    *_, last = [cut for cut in cuts(outline) if cut.clean]
    stages, _, cut = stage_cuts(
        cuts(outline), cut=last.name, exits=(last.name,), reference=f"tests.own_models:{model}"
    )
    spec = Spec(
        architecture=f"tests.own_models:{model}",
        classes=10,
        channels=3,
        size=16,
        cut=cut,
        exits=(),
        bits=bits,
        static=False,
        reference=Reference(stages=tuple(stage.name for stage in stages)),
    )

    layers = [layer for layer in census(build(spec)) if layer.segment == "edge"]

    quantized = [layer for layer in layers if layer.weight_bits == bits]
    assert last.edge.filters == sum(layer.weights for layer in quantized)
    assert layers[0] not in quantized
    assert last.edge.activation_bytes(bits) == max(
        -(-(layer.inputs + layer.outputs) * layer.activation_bits // 8) for layer in layers
    )


def test_macs_on_both_sides_add_up_at_every_cut():
    outline = outlined("torchvision.models:mobilenet_v3_small", shape=(3, 32, 32))
    total = sum(seen.macs for seen in outline.seen.values())

    assert {cut.edge.macs + cut.cloud.macs for cut in cuts(outline)} == {total}


def test_the_worthwhile_cuts_send_least_of_those_with_the_same_layers_before():
    found = cuts(outlined("torchvision.models:resnet18", shape=(3, 64, 64)))

    chosen = worthwhile(found)

    names = [cut.name for cut in chosen]
    assert names[0] == "maxpool"  # a quarter of conv1, bn1 and relu
    assert {"layer1", "layer2", "layer3"} <= set(names)
    for cut in chosen:
        same = [one.wire_bytes() for one in found if one.edge.layers == cut.edge.layers]
        assert cut.wire_bytes() == min(same)


def test_a_module_that_ends_where_another_does_is_found_by_its_name_too():
    found = cuts(outlined("torchvision.models:resnet18", shape=(3, 32, 32)))

    assert find_cut(found, "layer1.1", reference="r").name == "layer1"
    assert find_cut(found, "layer1.1.relu@1", reference="r").name == "layer1"


def test_a_name_that_is_no_module_gets_the_nearest():
    found = cuts(outlined("plain"))

    with pytest.raises(ModelError, match=r"no module ends there; did you mean point?"):
        find_cut(found, "points", reference="plain")
    with pytest.raises(ModelError, match="`hybrid cuts plain` lists them"):
        find_cut(found, "zzzzzz", reference="plain")


def test_the_images_height_is_no_tensor_that_must_be_sent():
    found = {cut.name: cut for cut in cuts(outlined("counting"))}

    assert found["stem"].shapes == ((8, 8, 8),)
    assert found["stem"].exit_only.startswith("leaves only the first layer to the edge")
    assert found["depth"].exit_only == ""


def test_an_exit_is_refused_where_a_skip_connection_spans_it():
    found = cuts(outlined("plain"))

    with pytest.raises(ModelError, match=r"A skip connection spans norm.* the nearest is stem"):
        find_cut(found, "norm", reference="plain", clean=True)


@given(st.lists(st.tuples(*[st.integers(1, 300)] * 3), min_size=2, max_size=4))
def test_several_tensors_are_sent_as_one_that_a_payload_can_describe(shapes: list[tuple[int, ...]]):
    rows, columns = state_shape(shapes)

    assert rows * columns == sum(map(prod, shapes))
    assert columns <= 65_535
    assert all(prod(shape) % columns == 0 for shape in shapes)
