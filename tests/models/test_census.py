"""The census against arithmetic by hand and against torch's own counter."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid import energy
from hybrid.models import Network, Spec, build
from hybrid.models.census import census


def resnet32(*, bits: int = 1) -> Network:
    return build(Spec(architecture="resnet32", classes=10, cut=13, exits=(10, 13), bits=bits))


def static_resnet32(*, bits: int = 4) -> Network:
    return build(Spec(architecture="resnet32", classes=10, cut=15, bits=bits, static=True))


def digits_vgg(*, bits: int = 3) -> Network:
    return build(
        Spec(
            architecture="digits-vgg",
            classes=10,
            channels=1,
            size=8,
            cut=2,
            exits=(1, 2),
            bits=bits,
        )
    )


every_network = pytest.mark.parametrize("make", [resnet32, static_resnet32, digits_vgg])


def test_the_first_convolution_is_counted_as_by_hand() -> None:
    conv1 = census(resnet32())[0]

    assert conv1.name == "stages.0.conv"
    assert conv1.macs == 32 * 32 * 16 * (3 * 3 * 3)  # output pixels × filters × kernel
    assert conv1.fan_in == 3 * 3 * 3
    assert conv1.weights == 16 * 27
    assert conv1.inputs == 3 * 32 * 32
    assert conv1.outputs == 16 * 32 * 32
    assert conv1.output_shape == (16, 32, 32)
    assert conv1.packed_bytes == 16 * 27 * 4


def test_resnet32_has_69_million_macs_as_by_hand() -> None:
    total = sum(layer.macs for layer in census(static_resnet32()))

    stem = 32 * 32 * 16 * 27
    wide = 32 * 32 * 16 * (16 * 9)  # the same in every group: half the pixels, twice the channels
    first_of_group = wide // 2
    shortcuts = 16 * 16 * 32 * 16 + 8 * 8 * 64 * 32
    assert total == stem + 10 * wide + 2 * (first_of_group + 9 * wide) + shortcuts + 64 * 10
    assert total == pytest.approx(69.1e6, rel=0.001)


@every_network
def test_torchs_own_counter_agrees(make: Callable[[], Network]) -> None:
    network = make().eval()
    spec = network.spec

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, spec.channels, spec.size, spec.size))

    # torch counts a multiplication and an addition for each multiply-accumulate
    assert 2 * sum(layer.macs for layer in census(network)) == counter.get_total_flops()


def test_each_layer_lies_in_its_segment_and_stage() -> None:
    layers = census(digits_vgg())

    assert [(layer.name, layer.segment, layer.stage, layer.exit) for layer in layers] == [
        ("stages.0.conv", "edge", 0, None),
        ("stages.1.conv1", "edge", 1, None),
        ("stages.1.conv2", "edge", 1, None),
        ("heads.1.linear", "head", 1, 0),
        ("stages.2.conv1", "edge", 2, None),
        ("stages.2.conv2", "edge", 2, None),
        ("heads.2.linear", "head", 2, 1),
        ("stages.3.conv1", "cloud", 3, None),
        ("stages.3.conv2", "cloud", 3, None),
        ("classifier.linear", "cloud", -1, None),
    ]
    assert {layer.kind for layer in layers if layer.segment == "head"} == {"linear"}


def test_bits_are_those_of_the_quantized_layers() -> None:
    bits = {layer.name: layer.weight_bits for layer in census(resnet32(bits=1))}

    assert bits["stages.0.conv"] == 32
    assert bits["stages.6.conv1"] == bits["stages.13.conv2"] == 1
    assert bits["stages.6.shortcut.0"] == 32  # the paper leaves shortcuts at full precision
    assert bits["stages.14.conv1"] == bits["heads.10.linear"] == 32


def test_a_branch_of_two_blocks_is_counted_as_by_hand() -> None:
    network = build(
        Spec(
            architecture="resnet32",
            classes=10,
            cut=10,
            exits=(8, 10),
            bits=1,
            branch_blocks=(0, 2),
            branch_bits=(32, 2),
        )
    )
    plain = build(replace(network.spec, branch_blocks=(), branch_bits=()))

    layers = census(network)

    branch = [layer for layer in layers if layer.exit == 1]
    # 16×16×32 to 8×8×64: 3×3 with stride 2, three 3×3 of 64 to 64, a 1×1 shortcut, then the head
    macs = [64 * 64 * 9 * 32, 64 * 64 * 9 * 64, 64 * 64 * 32, 64 * 64 * 9 * 64, 64 * 64 * 9 * 64]
    head = 64 * 2 * 2 * 10
    assert sorted(layer.macs for layer in branch) == sorted([*macs, head])
    assert {layer.bits for layer in branch if layer.macs > 64 * 64 * 32} == {2}
    assert {(layer.segment, layer.stage) for layer in branch} == {("head", 10)}
    others = [layer for layer in layers if layer.exit != 1]
    assert others == [layer for layer in census(plain) if layer.exit != 1]
    # every image that reaches the exit pays for its branch, also if it goes on
    costs, without = (
        energy.costs(
            counted,
            exits=2,
            uplink_bytes=0,
            profile=energy.load_profile("purdue-45nm"),
            link=energy.load_link(energy.DEFAULT_LINK),
            scope="compute",
            radio=True,
        )
        for counted in (layers, census(plain))
    )
    more = [a - b for a, b in zip(costs.energy_pj, without.energy_pj, strict=True)]
    assert more[0] == 0
    assert more[1] == pytest.approx(more[2])
    assert more[1] > 2_000_000


def test_packed_weights_fill_whole_bytes_at_their_bit_width() -> None:
    packed = {layer.name: layer.packed_bytes for layer in census(digits_vgg(bits=3))}

    assert packed["stages.1.conv1"] == (24 * 16 * 9 * 3 + 7) // 8


def test_a_static_network_runs_wholly_at_the_edge() -> None:
    assert {layer.segment for layer in census(static_resnet32())} == {"edge"}


class GroupedConv2d(nn.Conv2d):
    """A quantized convolution that is none of ours."""

    weight_bits = 5
    activation_bits = 8


def test_any_subclass_of_a_convolution_is_counted_with_its_own_bits() -> None:
    network = digits_vgg()
    network.stages[1].conv2 = GroupedConv2d(24, 24, 3, padding=1, groups=24)

    (layer,) = [one for one in census(network) if one.name == "stages.1.conv2"]

    assert layer.macs == 8 * 8 * 24 * 9  # one input channel a filter
    assert (layer.weight_bits, layer.activation_bits) == (5, 8)
    assert layer.packed_bytes == 24 * 9 * 5 // 8


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_as_it_was(training: bool) -> None:
    network = digits_vgg().train(training)
    network.stages[0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}

    census(network)

    assert network.training is training
    assert not network.stages[0].training
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    pickle.dumps(network)  # a hook that was left could not be pickled


class Broken(nn.Conv2d):
    """Fails while it is counted."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's own name
        raise RuntimeError(f"broken at {tuple(input.shape)}")


def test_a_network_that_fails_keeps_its_mode_and_no_hooks() -> None:
    network = digits_vgg().train()
    network.stages[1].conv2 = Broken(24, 24, 3, padding=1)

    with pytest.raises(RuntimeError, match="broken at"):
        census(network)

    assert all(module.training for module in network.modules())
    pickle.dumps(network)  # a hook that was left could not be pickled


# Worked out by hand from the paper's description of its network: the stage the cut stands after,
# the cloud's share of the MACs, the reductions at 1 bit with 65 % and at 4 bits with 52 % exits.
PAPER = [
    (8, 0.46, 4.93, 3.22),
    (10, 0.33, 6.12, 3.76),
    (12, 0.20, 7.68, 4.38),
    (13, 0.14, 9.05, 4.86),
]


@pytest.mark.parametrize("cut, cloud_share, at_1_bit, at_4_bits", PAPER)
def test_the_reductions_known_of_the_papers_network_come_out(
    cut: int, cloud_share: float, at_1_bit: float, at_4_bits: float
) -> None:
    purdue, ble = energy.load_profile("purdue-45nm"), energy.load_link("ble-nrf52840")

    def reduction(bits: int, edge_fraction: float) -> float:
        spec = Spec(architecture="resnet32", classes=10, cut=cut, exits=(cut,), bits=bits)
        # heads are not counted in the published arithmetic
        layers = [replace(x, macs=0) if x.exit is not None else x for x in census(build(spec))]
        early, final = energy.costs(
            layers, exits=1, uplink_bytes=0, profile=purdue, link=ble, scope="compute", radio=True
        ).energy_pj
        twin = energy.twin_energy_pj(
            layers, profile=purdue, link=ble, scope="compute", image_bytes=0
        )
        return twin / (edge_fraction * early + (1 - edge_fraction) * final)

    network = build(Spec(architecture="resnet32", classes=10, cut=cut, exits=(cut,)))
    macs = [(layer.macs, layer.segment) for layer in census(network)]
    cloud = sum(count for count, segment in macs if segment == "cloud")
    assert cloud / sum(count for count, _ in macs) == pytest.approx(cloud_share, abs=0.005)
    assert reduction(1, 0.65) == pytest.approx(at_1_bit, abs=0.01)
    assert reduction(4, 0.52) == pytest.approx(at_4_bits, abs=0.01)
