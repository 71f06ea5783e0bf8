"""A live run against a loop over single images, its trace and hand calculations."""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hybrid import data, zoo
from hybrid.data import Dataset
from hybrid.data.preprocess import normalise
from hybrid.energy import ExitCosts, Layer
from hybrid.inference import live, record
from hybrid.inference.live import LiveRequest, Progress
from hybrid.models import Network, Spec, build
from hybrid.traces.trace import Trace

SAMPLES = 50


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = data.load("digits", "test")
    chosen = np.random.default_rng(0).permutation(len(whole.labels))[:SAMPLES]
    return replace(whole, images=whole.images[chosen], labels=whole.labels[chosen])


@pytest.fixture(scope="module")
def network() -> Network:
    """Untrained, with exits that are made sure of different things."""
    torch.manual_seed(0)
    made = build(
        Spec(architecture="digits-vgg", classes=10, channels=1, size=8, cut=2, exits=(1, 2), bits=4)
    )
    made.temperatures = (0.05, 0.02, 1.0)
    return made.eval()


@pytest.fixture(scope="module")
def trace(network: Network, digits: Dataset) -> Trace:
    return record.record(network, digits, name="toy", variant="hybrid-4bit", weights_sha256="0")


@pytest.fixture(scope="module")
def request_(trace: Trace) -> LiveRequest:
    """Thresholds of which each lets about a third of all go."""
    sure = trace.confidences["max_probability"]
    first = float(np.quantile(sure[:, 0], 0.66))
    second = float(np.quantile(sure[sure[:, 0] < first, 1], 0.5))
    return LiveRequest(
        network="toy",
        variant="hybrid-4bit",
        split="test",
        thresholds=(first, second),
        measure="max_probability",
        batch=8,
    )


def last(network: Network, digits: Dataset, request: LiveRequest, **options: Any) -> Progress:
    *_, progress = live.run(network, digits, request, **options)
    return progress


def single_runs(network: Network, digits: Dataset, request: LiveRequest):
    """Exit and answer of each image, run on its own to its end: the exits decide afterwards."""
    for image in digits.images:
        with torch.inference_mode():
            logits = network(torch.from_numpy(normalise(image[None], digits.name)))
        for exit_, (scores, temperature) in enumerate(
            zip(logits, network.temperatures, strict=True)
        ):
            probabilities = torch.softmax(scores[0].double() / temperature, 0)
            final = exit_ == len(logits) - 1
            if final or np.float32(probabilities.max()) >= np.float32(request.thresholds[exit_]):
                yield exit_, int(probabilities.argmax())
                break


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_counts_and_answers_are_those_of_every_image_run_alone(
    network: Network, digits: Dataset, request_: LiveRequest, batch: int
):
    alone = list(single_runs(network, digits, request_))

    progress = last(network, digits, replace(request_, batch=batch))

    assert progress.exit_taken.tolist() == [alone[row][0] for row in live.order(SAMPLES)]
    assert progress.correct == sum(
        answer == label for (_, answer), label in zip(alone, digits.labels, strict=True)
    )
    assert min(progress.exit_counts) > 0  # each exit is taken, else this test shows little


def test_a_run_through_a_split_that_is_sorted_by_class_sees_them_mixed():
    labels = np.repeat(np.arange(10), 1000)

    seen = labels[live.order(len(labels))]

    assert sorted(seen) == labels.tolist()
    assert np.bincount(seen[:500], minlength=10).min() > 25  # half of what would be even


def test_progress_grows_batch_by_batch_and_earlier_ones_do_not_change(
    network: Network, digits: Dataset, request_: LiveRequest
):
    seen = list(live.run(network, digits, request_))

    assert [progress.done for progress in seen] == [8, 16, 24, 32, 40, 48, 50]
    for progress in seen:
        assert sum(progress.exit_counts) == progress.done == len(progress.exit_taken)
        assert np.bincount(progress.exit_taken, minlength=3).tolist() == list(progress.exit_counts)
    assert seen[0].exit_taken.tolist() == seen[-1].exit_taken[:8].tolist()


def test_stages_after_an_exit_do_not_see_the_images_that_left(
    network: Network, digits: Dataset, request_: LiveRequest
):
    progress = last(network, digits, request_)

    first, second, stayed = progress.exit_counts
    assert progress.stage_samples == (SAMPLES, SAMPLES, second + stayed, stayed)
    computed = ~np.isnan(progress.confidences)
    assert computed.sum(axis=0).tolist() == [SAMPLES, second + stayed, stayed]
    assert first > 0


def test_the_images_that_left_last_are_kept_by_exit_the_newest_first(
    network: Network, digits: Dataset, request_: LiveRequest
):
    progress = last(network, digits, request_)

    assert len(progress.recent) == 3
    for exit_, recent in enumerate(progress.recent):
        newest = live.order(SAMPLES)[
            np.flatnonzero(progress.exit_taken == exit_)[::-1][: live.SHOWN]
        ]
        assert [seen.position for seen in recent] == newest.tolist()
        assert [seen.label for seen in recent] == digits.labels[newest].tolist()
        assert all(
            np.array_equal(seen.image, digits.images[position])
            for seen, position in zip(recent, newest, strict=True)
        )


def test_only_the_forward_pass_is_timed_and_one_batch_in_four_also_to_its_end(
    network: Network, digits: Dataset, request_: LiveRequest
):
    ticks = iter(range(10_000))  # every look at the clock is one second after the one before

    progress = last(network, digits, request_, clock=lambda: float(next(ticks)))

    assert progress.seconds == 7  # batches
    assert progress.full_images == 8 + 8  # the first and the fifth
    assert progress.full_seconds == progress.full_images_seconds == 2
    assert progress.images_per_second == pytest.approx(50 / 7)


def test_the_gate_is_held_in_each_forward_pass_and_free_between_batches(
    network: Network, digits: Dataset, request_: LiveRequest
):
    lock = threading.Lock()
    held_while: list[bool] = []
    handle = network.stages[0].register_forward_hook(lambda *_: held_while.append(lock.locked()))
    try:
        for _ in live.run(network, digits, request_, gate=lock):
            assert not lock.locked()
    finally:
        handle.remove()

    assert all(held_while)
    assert len(held_while) == 2 + 7 + 2  # warming up both ways, the batches, two to their end


def test_a_run_that_nobody_asks_on_stops_there(
    network: Network, digits: Dataset, request_: LiveRequest
):
    passes: list[int] = []
    handle = network.stages[0].register_forward_hook(lambda *_: passes.append(1))
    try:
        going = live.run(network, digits, request_)
        next(going)
        before = len(passes)
        going.close()
        rest = list(going)
    finally:
        handle.remove()

    assert rest == []
    assert len(passes) == before == 2 + 2  # warming up both ways; the first batch both ways


def test_a_run_does_what_its_trace_promised(
    network: Network, digits: Dataset, request_: LiveRequest, trace: Trace
):
    progress = last(network, digits, request_)

    against = live.against_trace(progress, trace, request_)

    assert against.counts == progress.exit_counts == live.promised(trace, request_)
    assert against.moved == 0
    assert against.moved_distance == 0
    assert against.largest_difference < 1e-4


def test_a_stopped_run_is_compared_with_the_images_it_saw(
    network: Network, digits: Dataset, request_: LiveRequest, trace: Trace
):
    going = live.run(network, digits, request_)
    next(going)
    second = next(going)

    against = live.against_trace(second, trace, request_)

    assert sum(against.counts) == 16
    assert against.counts == live.promised(trace, request_, 16) == second.exit_counts


def test_an_image_that_took_another_exit_is_counted_with_its_distance_from_the_threshold(
    network: Network, digits: Dataset, request_: LiveRequest, trace: Trace
):
    progress = last(network, digits, request_)
    sure = trace.confidences["max_probability"][:, 0]
    left = live.order(SAMPLES)[np.flatnonzero(progress.exit_taken == 0)]
    nearest = left[sure[left].argmin()]
    # A trace whose first exit was a little less sure of that image than the threshold asks for.
    changed = sure.copy()
    changed[nearest] = request_.thresholds[0] - 0.001
    shifted = {
        name: np.column_stack([changed, values[:, 1:]])
        for name, values in trace.confidences.items()
    }

    against = live.against_trace(progress, replace(trace, confidences=shifted), request_)

    assert against.moved == 1
    assert against.moved_distance == pytest.approx(0.001, rel=1e-3)
    assert against.largest_difference == pytest.approx(sure[nearest] - changed[nearest], rel=1e-3)


def layer(name: str, stage: int, macs: int, exit_: int | None = None) -> Layer:
    return Layer(
        name=name, stage=stage, segment="edge", exit=exit_, kind="conv", macs=macs, fan_in=1,
        weight_bits=1, activation_bits=1, weights=1, inputs=1, outputs=1, output_shape=(1,),
        packed_bytes=1,
    )  # fmt: skip


def test_what_leaving_early_saved_by_hand(network: Network, digits: Dataset, request_: LiveRequest):
    progress = replace(
        last(network, digits, request_),
        done=10,
        exit_counts=(6, 3, 1),
        stage_samples=(10, 10, 4, 1),
        full_seconds=3.0,
        full_images_seconds=2.0,
    )
    layers = (
        layer("stem", 0, 100),
        layer("one", 1, 1000),
        layer("head one", 1, 5, exit_=0),
        layer("two", 2, 2000),
        layer("head two", 2, 7, exit_=1),
        layer("three", 3, 4000),
        layer("classifier", -1, 9),
    )
    costs = ExitCosts(
        energy_pj=(1.0, 2.0, 5.0), latency_ms=(0.0,) * 3, uplink_bytes=(0.0, 0.0, 80.0)
    )

    against = live.against_everything(progress, layers, costs)

    assert against.macs == 10 * (100 + 1000 + 5) + 4 * (2000 + 7) + 1 * (4000 + 9)
    assert against.everything_macs == 10 * (100 + 1000 + 5 + 2000 + 7 + 4000 + 9)
    assert against.energy_pj == pytest.approx(6 * 1.0 + 3 * 2.0 + 1 * 5.0)
    assert against.everything_pj == pytest.approx(10 * 5.0)
    assert against.uplink_bytes == pytest.approx(80.0)
    assert against.everything_bytes == pytest.approx(800.0)
    assert against.time_ratio == pytest.approx(3.0 / 2.0)


@pytest.mark.parametrize("bits", [1, 4])
def test_the_shipped_network_keeps_the_promise_of_its_shipped_trace(bits: int):
    request = LiveRequest(
        network="digits-vgg",
        variant=zoo.variant_name(bits),
        split="test",
        thresholds=(0.9, 0.9),
        measure="entropy",
        batch=64,
    )
    network, dataset = live.load(request)
    progress = last(network, dataset, request)

    against = live.against_trace(progress, zoo.trace("digits-vgg", request.variant), request)

    assert progress.done == len(dataset.labels)
    assert against.moved == 0
    assert against.counts == progress.exit_counts
