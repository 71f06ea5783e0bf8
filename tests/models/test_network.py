"""Networks in two segments: any cut, any exits, and samples that really stop."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from hybrid.errors import HybridError, NetworkError, ThresholdError, UnknownNameError
from hybrid.models import ARCHITECTURES, Network, Spec, build
from hybrid.models.architectures import architecture
from hybrid.models.blocks import DenseLayers, ExitHead, WhiteningStem, WideConv
from hybrid.models.census import census
from hybrid.models.network import quantized_layers
from hybrid.policy import exits_taken
from hybrid.quant.layers import QuantConv2d, calibrating
from hybrid.quant.levels import BITS
from hybrid.traces import confidence

STAGES = {
    "resnet20": 10,
    "resnet32": 16,
    "wide7": 7,
    "wide9": 9,
    "wide9-teacher": 9,
    "dense18": 7,
    "dense30": 7,
    "digits-vgg": 4,
}
EARLY = (1, 2)


def digits_vgg(*, bits: int | tuple[int, ...] = 32, cut: int = 2, **about: object) -> Network:
    """A small network whose batch norms have seen data, so that exits differ between samples."""
    torch.manual_seed(0)
    values = {"classes": 10, "channels": 1, "size": 8, "exits": EARLY} | about
    network = build(
        Spec.from_dict({"architecture": "digits-vgg", "cut": cut, "bits": bits, **values})
    )
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0  # one batch sets the statistics
    with torch.no_grad(), calibrating(network):
        network(images(64))
    return network.eval()


def images(count: int, *, channels: int = 1, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, channels, size, size, generator=generator)


def any_input(spec: Spec, count: int = 2) -> Tensor:
    return images(count, channels=spec.channels, size=spec.size)


every_width = pytest.mark.parametrize("bits", BITS)


# ---------------------------------------------------------------- stages, cuts and exits


def test_every_architecture_is_tested_here():
    assert set(STAGES) == set(ARCHITECTURES)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Any architecture with any cut, any exits on edge stages and any bit widths."""
    name = draw(st.sampled_from(["digits-vgg", "resnet20"]))
    cut = draw(st.integers(0, STAGES[name] - 1))
    widths = st.sampled_from(BITS)
    exits = tuple(sorted(draw(st.sets(st.integers(0, cut)))))
    size = draw(st.sampled_from([8, 16]))
    blocks = [draw(st.integers(0, min(2, STAGES[name] - 1 - at))) for at in exits]
    branched = bool(blocks) and draw(st.booleans())
    return Spec(
        architecture=name,
        classes=draw(st.integers(2, 12)),
        channels=draw(st.sampled_from([1, 3])),
        size=size,
        cut=cut,
        exits=exits,
        branch_blocks=tuple(blocks) if branched else (),
        branch_bits=tuple(draw(widths) for _ in exits) if branched else (),
        bits=draw(widths | st.tuples(*[widths] * (cut + 1))),
        cloud_bits=draw(widths),
    )


@settings(max_examples=25)
@given(specs())
def test_any_stage_can_be_the_cut_and_any_edge_stage_can_carry_an_exit(spec: Spec):
    network = build(spec).eval()
    x = any_input(spec)

    with torch.inference_mode():
        edge = network.edge(x)
        final = network.cloud(edge.features)
        together = network(x)

    assert len(edge.logits) == len(spec.exits)
    assert edge.features.shape[1:] == network.feature_shape
    assert [z.shape for z in together] == [(2, spec.classes)] * (len(spec.exits) + 1)
    assert all(torch.equal(a, b) for a, b in zip([*edge.logits, final], together, strict=True))


@settings(max_examples=25)
@given(specs())
def test_every_stage_has_the_bit_width_it_was_given(spec: Spec):
    network = build(spec)

    assert len(network.stages) > spec.cut
    for index, stage in enumerate(network.stages):
        expected = spec.edge_bits[index] if index <= spec.cut else spec.cloud_bits
        convolutions = {
            name: layer.weight_bits
            for name, layer in stage.named_modules()
            if isinstance(layer, QuantConv2d) and not name.startswith("shortcut")
        }
        assert set(convolutions.values()) == {expected}, index


@settings(max_examples=50)
@given(specs())
def test_a_spec_is_kept_as_plain_values(spec: Spec):
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in spec.to_dict().items()}

    assert Spec.from_dict(values) == spec


def test_one_bit_width_leaves_the_stem_at_full_precision():
    spec = Spec(architecture="resnet32", classes=10, cut=3, bits=2, cloud_bits=8)

    assert spec.stage_bits(6) == (32, 2, 2, 2, 8, 8)


def test_features_are_sent_at_the_bits_of_the_last_edge_stage_and_at_two_at_least():
    sent = {bits: digits_vgg(bits=bits).edge(images(4)).features for bits in (1, 2, 3)}

    # an unsigned level is a multiple of the step
    assert sent[1].unique().numel() <= 4
    assert sent[2].unique().numel() <= 4
    assert 4 < sent[3].unique().numel() <= 8
    assert min(features.min() for features in sent.values()) >= 0


@pytest.mark.parametrize(
    "about, sentence",
    [
        ({"exits": (2, 1)}, "Exits must ascend without repeats"),
        ({"exits": (1, 1)}, "Exits must ascend without repeats"),
        ({"exits": (1, 3)}, "must be on edge stages 0 to 2"),
        ({"exits": (-1,)}, "must be on edge stages 0 to 2"),
        ({"cut": 4, "exits": ()}, "The cut must be a stage from 0 to 3, not 4"),
        ({"cut": -1, "exits": ()}, "The cut must be a stage from 0 to 3, not -1"),
        ({"bits": (32, 4)}, "2 bit widths for 3 edge stages; give one per stage"),
        ({"size": 0}, "10 classes, 1 channels and 0 pixels do not make a network"),
        ({"width": 3}, "A network has no width; remove it from the file"),
    ],
)
def test_what_makes_no_network_is_refused(about: dict[str, object], sentence: str):
    with pytest.raises(NetworkError, match=sentence):
        digits_vgg(**about)  # type: ignore[arg-type]


@pytest.mark.parametrize("about", [{"bits": 9}, {"cloud_bits": 0}, {"bits": (32, 4, 33)}])
def test_bit_widths_that_there_are_not_are_refused(about: dict[str, object]):
    with pytest.raises(HybridError, match="bits are not offered here"):
        digits_vgg(**about)  # type: ignore[arg-type]


def test_an_unknown_architecture_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match=r"No architecture is called 'resnet33'.*resnet32\?"):
        build(Spec(architecture="resnet33", classes=10, cut=1))


# ---------------------------------------------------------------- the paper's network


def test_resnet32_is_the_papers():
    network = build(Spec(architecture="resnet32", classes=10, cut=12, exits=(2, 5, 8, 10, 12)))
    convolutions = [m for m in network.stages.modules() if isinstance(m, nn.Conv2d)]

    assert network.stage_names == (
        "stem",
        *(f"{group}.{block}" for group in (1, 2, 3) for block in range(1, 6)),
    )
    # 6n + 2 weighted layers, n = 5: the stem, 30 in blocks, the classifier; two 1x1 shortcuts
    assert sum(m.kernel_size == (3, 3) for m in convolutions) == 31
    assert sum(m.kernel_size == (1, 1) for m in convolutions) == 2
    assert [m.out_channels for m in convolutions if m.stride == (2, 2)] == [32, 32, 64, 64]
    assert network.classifier.linear.weight.shape == (10, 64)
    # heads: 3x3 average pooling, then one linear layer
    assert [head.linear.in_features for head in network.heads.values()] == [
        16 * 10 * 10,  # 32 // 3 = 10
        16 * 10 * 10,
        32 * 5 * 5,  # 16 // 3 = 5
        32 * 5 * 5,
        64 * 2 * 2,  # 8 // 3 = 2
    ]


def test_resnet32_has_as_many_weights_as_published():
    network = build(Spec(architecture="resnet32", classes=10, cut=15, static=True))
    shortcuts = 16 * 32 + 32 * 64 + 2 * (32 + 64)  # He et al. count the version without them

    count = sum(p.numel() for p in network.parameters()) - shortcuts

    assert count == pytest.approx(0.46e6, abs=0.005e6)


def wide(architecture: str = "wide7", **about: object) -> Network:
    torch.manual_seed(0)
    values = {"classes": 10, "cut": 4, "exits": (2, 4), "bits": 4, "cloud_bits": 4} | about
    return build(Spec.from_dict({"architecture": architecture, **values}))


# output pixels × filters × kernel: whitening, then what both have alike
WIDE_MACS = 31**2 * 24 * (2 * 2 * 3)
WIDE_MACS += 31**2 * 64 * (9 * 24) + 15**2 * 64 * (9 * 64)
WIDE_MACS += 15**2 * 192 * (9 * 64) + 7**2 * 192 * (9 * 192)


@pytest.mark.parametrize(
    "architecture, sides, macs",
    [
        (
            "wide7",
            [31, 31, 15, 15, 7, 7, 3],
            7**2 * 384 * (9 * 192) + 3**2 * 384 * (9 * 384) + 384 * 10,
        ),
        (
            "wide9",
            [31, 31, 15, 15, 7, 7, 7, 3, 3],
            7**2 * (192 + 320) * (9 * 192) + 2 * 3**2 * 320 * (9 * 320) + 320 * 10,
        ),
    ],
)
def test_wide_networks_have_the_sides_and_macs_of_a_hand_count(
    architecture: str, sides: list[int], macs: int
):
    layers = [x for x in census(wide(architecture)) if x.segment != "head"]

    assert [x.output_shape[-1] for x in layers][:-1] == sides
    assert sum(x.macs for x in layers) == WIDE_MACS + macs


def test_a_dense_network_has_the_macs_of_a_hand_count():
    network = build(Spec(architecture="dense18", classes=10, cut=4, bits=4, exits=(2, 4)))
    stem, channels = 32**2 * 16 * (9 * 3), 16
    macs = stem
    for side, growth in ((32, 8), (16, 16), (8, 32)):
        for _ in range(6):
            macs += side**2 * (channels * 2 * growth + 2 * growth * 9 * growth)
            channels += growth

    layers = [x for x in census(network) if x.segment != "head"]

    assert sum(x.macs for x in layers) == macs + channels * 10
    assert channels == 16 + 6 * (8 + 16 + 32)


@torch.no_grad()
def test_dense_layers_append_to_what_they_read():
    stage = DenseLayers(4, layers=2, growth=3, bits=32, pools=True).eval()
    x = images(2, channels=4)

    out = stage(x)

    pooled = functional.avg_pool2d(x, 2)
    assert torch.equal(out[:, :4], pooled)
    assert torch.equal(out[:, 4:7], stage.grow[0](stage.squeeze[0](pooled)))
    assert torch.equal(out[:, 7:], stage.grow[1](stage.squeeze[1](out[:, :7])))


def test_images_that_shrink_to_nothing_are_refused():
    with pytest.raises(NetworkError, match="Images of 8 pixels are too small for Wide-7"):
        wide(size=8)


def test_whitened_patches_are_uncorrelated_and_of_equal_size():
    stem = WhiteningStem(3)
    smooth = functional.avg_pool2d(torch.randn(200, 3, 18, 18), 3, stride=1)  # neighbours alike

    stem.fit(smooth, floor=0.0)

    out = stem.conv(smooth).transpose(0, 1).flatten(1)  # (24, samples)
    covariance = out[:12] @ out[:12].T / out.shape[1]
    assert torch.allclose(covariance, torch.eye(12), atol=1e-3)
    assert torch.equal(out[:12], -out[12:])
    assert not stem.conv.weight.requires_grad


def test_a_fresh_wide_convolution_hands_its_input_on():
    x = images(2, channels=8)

    out = WideConv(8, 12, bits=32).conv(x)

    assert torch.allclose(out[:, :8], x, atol=1e-6)


def test_the_first_convolution_the_shortcuts_and_all_classifiers_are_at_full_precision():
    network = build(Spec(architecture="resnet32", classes=10, cut=12, exits=(8, 12), bits=1))

    full = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, QuantConv2d) and layer.weight_bits == 32
    ]

    cloud = [f"stages.{stage}.conv{i}" for stage in (13, 14, 15) for i in (1, 2)]
    assert full == ["stages.0.conv", "stages.6.shortcut.0", "stages.11.shortcut.0", *cloud]
    assert all(type(head.linear) is nn.Linear for head in network.heads.values())


# ---------------------------------------------------------------- static


def test_a_static_network_has_every_layer_but_first_shortcuts_and_classifier_at_k_bits():
    network = build(Spec(architecture="resnet32", classes=10, cut=15, bits=4, static=True))

    assert len(quantized_layers(network)) == 30
    assert len(network(torch.zeros(2, 3, 32, 32))) == 1


def test_a_static_network_gives_every_sample_its_one_answer():
    network = digits_vgg(cut=3, exits=(), bits=4, static=True)
    x = images(16)

    answer = network.infer(x, [])

    assert set(answer.exit_taken) == {0}
    assert answer.classes.tolist() == network(x)[-1].argmax(1).tolist()
    assert answer.stage_samples == (16, 16, 16, 16)


# ---------------------------------------------------------------- exits with branches


def branched(**changes: object) -> Network:
    """Exit 0 is linear; exit 1 has the next block, at 2 bits."""
    about: dict[str, object] = {"branch_blocks": (0, 1), "branch_bits": (32, 2)}
    return digits_vgg(bits=1, **(about | changes))


def test_a_branch_is_the_next_stage_at_its_own_bits_and_then_the_papers_head():
    network = branched()
    x = torch.randn(3, 32, 2, 2)
    branch = network.heads["2"]

    logits = branch(x)

    stage = architecture("digits-vgg").plan(1)[3].build(2).eval()
    stage.load_state_dict(branch.blocks[0].state_dict())
    expected = branch.head.linear(stage(x.clamp_min(0)).flatten(1))
    assert torch.equal(logits, expected)
    assert {layer.weight_bits for layer in quantized_layers(branch).values()} == {2}
    assert isinstance(network.heads["1"], ExitHead)


def test_with_branches_the_answers_equal_the_full_run_bit_for_bit():
    network, x = branched(), images(24)
    thresholds = middling_thresholds(network, x, "max_probability")

    answers = [network.infer(one, thresholds) for one in x.split(1)]

    full = [selected_afterwards(network, one, thresholds, "max_probability") for one in x.split(1)]
    assert {int(exits[0]) for exits, _, _ in full} == {0, 1, 2}
    for answer, (exits, classes, _) in zip(answers, full, strict=True):
        assert (answer.exit_taken, answer.classes) == (exits, classes)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"branch_blocks": (0, 2)}, "After stage 2 follow 1 stages"),
        ({"branch_blocks": (1,)}, "for each of 2 exits"),
        ({"branch_blocks": ()}, "give both, or leave both out"),
        ({"branch_blocks": (0, -1)}, "0 or more"),
        ({"branch_bits": (32, 9)}, "9"),
    ],
)
def test_branches_that_there_cannot_be_are_refused(changes: dict[str, object], sentence: str):
    with pytest.raises(HybridError, match=sentence):
        branched(**changes)


# ---------------------------------------------------------------- samples that stop


@contextmanager
def counted(network: Network) -> Iterator[Counter[str]]:
    """Within, how many samples each convolution and linear layer computes."""
    seen: Counter[str] = Counter()

    def hook_for(name: str) -> object:
        def count(_module: nn.Module, given: tuple[Tensor, ...], _result: Tensor) -> None:
            seen[name] += len(given[0])

        return count

    layers = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [m.register_forward_hook(hook_for(n)) for n, m in layers]  # type: ignore[arg-type]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def selected_afterwards(
    network: Network, x: Tensor, thresholds: tuple[float, ...], measure: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run everything on everything, then apply the leaving rule: exits, classes, confidences."""
    with torch.inference_mode():
        logits = [z.numpy() for z in network(x)]
    tempered = [confidence.softmax(z, t) for z, t in zip(logits, network.temperatures, strict=True)]
    sure = np.stack([confidence.MEASURES[measure](p) for p in tempered], 1).astype(np.float32)
    exits = exits_taken(sure[:, :-1], thresholds)
    answers = np.stack([p.argmax(1) for p in tempered], axis=1)
    return exits, answers[np.arange(len(exits)), exits], sure


def middling_thresholds(network: Network, x: Tensor, measure: str) -> tuple[float, ...]:
    """Thresholds at which about a third leaves at each early exit."""
    _, _, sure = selected_afterwards(network, x, (1.0, 1.0), measure)
    first = np.quantile(sure[:, 0], 0.66)
    return float(first), float(np.median(sure[sure[:, 0] < first, 1]))


@pytest.mark.parametrize("measure", list(confidence.MEASURES))
@every_width
def test_one_by_one_the_answers_equal_the_full_run_bit_for_bit(bits: int, measure: str):
    network, x = digits_vgg(bits=bits), images(24)
    network.temperatures = (1.3, 0.8, 2.0)
    thresholds = middling_thresholds(network, x, measure)

    seen = set()
    for one in x.split(1):
        answer = network.infer(one, thresholds, measure=measure)
        exits, classes, sure = selected_afterwards(network, one, thresholds, measure)
        computed = ~np.isnan(answer.confidences)
        assert (answer.exit_taken, answer.classes) == (exits, classes)
        assert np.array_equal(answer.confidences[computed], sure[computed])
        assert computed[0].tolist() == [i <= exits[0] for i in range(3)]
        seen.add(int(exits[0]))

    assert seen == {0, 1, 2}


@every_width
def test_a_batch_in_which_nobody_leaves_equals_the_full_run_bit_for_bit(bits: int):
    network, x = digits_vgg(bits=bits), images(24)

    answer = network.infer(x, [1.0, 1.0])

    exits, classes, sure = selected_afterwards(network, x, (1.0, 1.0), "max_probability")
    assert set(exits) == {2}
    assert answer.classes.tolist() == classes.tolist()
    assert np.array_equal(answer.confidences, sure)


@every_width
def test_a_batch_that_thins_out_equals_the_full_run_within_a_tolerance(bits: int):
    """Another batch shape may sum in another order; the last bits of a float32 are free."""
    network, x = digits_vgg(bits=bits), images(200)
    thresholds = middling_thresholds(network, x, "max_probability")

    answer = network.infer(x, thresholds)

    _, _, sure = selected_afterwards(network, x, thresholds, "max_probability")
    computed = ~np.isnan(answer.confidences)
    apart = np.abs(answer.confidences[computed] - sure[computed])
    # below 32 bits a last bit can move a value to the next level: rare, and seldom seen after it
    assert np.quantile(apart, 0.95) < 1e-5
    assert apart.max() < (1e-5 if bits == 32 else 0.1)
    assert set(answer.exit_taken) == {0, 1, 2}


def test_layers_after_an_exit_do_not_see_the_samples_that_left():
    network, x = digits_vgg(bits=4), images(60)
    thresholds = middling_thresholds(network, x, "max_probability")

    with counted(network) as seen:
        answer = network.infer(x, thresholds)

    stays = [60, 60 - (answer.exit_taken == 0).sum(), (answer.exit_taken == 2).sum()]
    assert 0 < stays[2] < stays[1] < 60
    assert answer.stage_samples == (60, 60, stays[1], stays[2])
    assert seen["stages.1.conv2"] == seen["heads.1.linear"] == 60
    assert seen["stages.2.conv1"] == seen["heads.2.linear"] == stays[1]
    assert seen["stages.3.conv1"] == seen["classifier.linear"] == stays[2]


def test_where_all_leave_nothing_more_is_run():
    network = digits_vgg()

    with counted(network) as seen:
        answer = network.infer(images(10), [0.0, 0.0])

    assert answer.stage_samples == (10, 10, 0, 0)
    assert set(answer.exit_taken) == {0}
    assert np.isnan(answer.confidences[:, 1:]).all()
    assert np.isnan(answer.probabilities[:, 1:]).all()
    assert seen["stages.2.conv1"] == seen["classifier.linear"] == 0


def test_a_sample_exactly_at_the_threshold_leaves():
    network, one = digits_vgg(), images(1)
    at = float(network.infer(one, [1.0, 1.0]).confidences[0, 0])
    above = float(np.nextafter(np.float32(at), np.float32(2)))

    assert network.infer(one, [at, 1.0]).exit_taken.tolist() == [0]
    assert network.infer(one, [above, 1.0]).exit_taken.tolist() == [2]


def test_the_answer_is_that_of_the_exit_taken():
    network, x = digits_vgg(), images(30)
    answer = network.infer(x, middling_thresholds(network, x, "max_probability"))

    taken = answer.probabilities[np.arange(30), answer.exit_taken]

    assert np.allclose(taken.sum(1), 1)
    assert taken.argmax(1).tolist() == answer.classes.tolist()


def test_no_image_gives_no_answer():
    answer = digits_vgg().infer(images(0), [0.5, 0.5])

    assert answer.exit_taken.shape == answer.classes.shape == (0,)
    assert answer.stage_samples == (0, 0, 0, 0)


def test_exits_and_cut_may_be_the_same_stage_or_the_stem():
    network = digits_vgg(cut=0, exits=(0,))

    assert network.infer(images(4), [0.0]).stage_samples == (4, 0, 0, 0)
    assert network.infer(images(4), [1.0]).stage_samples == (4, 4, 4, 4)


@pytest.mark.parametrize(
    "thresholds, sentence",
    [([0.5], "Too few"), ([0.5] * 3, "Too many"), ([0.5, 1.2], "outside 0 to 1")],
)
def test_thresholds_that_are_none_are_refused(thresholds: list[float], sentence: str):
    with pytest.raises(ThresholdError, match=sentence):
        digits_vgg().infer(images(1), thresholds)


def test_an_unknown_measure_is_refused():
    with pytest.raises(UnknownNameError, match=r"No confidence measure is called 'margins'"):
        digits_vgg().infer(images(1), [0.5, 0.5], measure="margins")
