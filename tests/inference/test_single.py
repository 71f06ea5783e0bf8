"""One image through a network: what the layers report is what the thresholds demand."""

import itertools
import pickle

import numpy as np
import pytest

from hybrid import data, zoo
from hybrid.data.preprocess import normalise
from hybrid.inference import single
from hybrid.inference.single import ImageRun

NETWORK, BITS = "digits-vgg", 2
NOBODY, EVERYBODY = (1.0, 1.0), (0.0, 0.0)


def run(position: int, thresholds: tuple[float, ...], *, static: bool = False) -> ImageRun:
    bits = 32 if static else BITS
    return single.run(
        zoo.load(NETWORK, bits=bits, static=static),
        data.load("digits", "test").images[position],
        card=zoo.card(NETWORK),
        variant=zoo.variant(NETWORK, bits, static=static),
        thresholds=thresholds,
        clock=itertools.count().__next__,
    )


def called(of: ImageRun) -> dict[str, bool]:
    return {part.name: part.called == part.layers for part in of.ran}


def test_an_image_that_leaves_at_the_first_exit_calls_nothing_behind_it() -> None:
    happened = run(0, EVERYBODY)

    assert happened.exit_taken == 0
    assert called(happened) == {
        "stem": True,
        "stage 1": True,
        "exit 1": True,
        "stage 2": False,
        "exit 2": False,
        "stage 3": False,
        "classifier": False,
    }
    assert happened.not_called == ("stage 2", "exit 2", "stage 3", "classifier")


def test_an_image_that_leaves_at_the_second_exit_never_reaches_the_cloud() -> None:
    happened = run(0, (1.0, 0.0))

    assert happened.exit_taken == 1
    assert happened.not_called == ("stage 3", "classifier")


def test_an_image_nobody_is_sure_of_calls_every_layer() -> None:
    happened = run(0, NOBODY)

    assert happened.exit_taken == 2
    assert happened.not_called == ()
    assert happened.macs_run == happened.macs
    assert sum(part.layers for part in happened.ran) == len(zoo.variant(NETWORK, BITS).layers)


def test_exits_behind_the_one_taken_say_nothing() -> None:
    happened = run(0, EVERYBODY)

    assert [said.left for said in happened.said] == [True, False, False]
    assert [said.confidence is None for said in happened.said] == [False, True, True]
    assert [len(said.top) for said in happened.said] == [single.TOP, 0, 0]


def test_the_multiply_accumulates_run_are_those_of_the_stages_passed() -> None:
    happened = run(0, EVERYBODY)

    by_hand = sum(
        layer.macs
        for layer in zoo.variant(NETWORK, BITS).layers
        if layer.name.startswith(("stages.0.", "stages.1.", "heads.1."))
    )
    assert happened.macs_run == by_hand
    assert happened.macs_run < happened.macs


@pytest.mark.parametrize("position", range(0, 350, 50))
def test_what_the_exits_say_is_what_the_trace_recorded(position: int) -> None:
    recorded = zoo.trace(NETWORK, f"hybrid-{BITS}bit")

    happened = run(position, NOBODY)

    classes = zoo.card(NETWORK).classes
    assert len(happened.said) == recorded.all_exits
    for number, said in enumerate(happened.said):
        assert said.top[0][0] == classes[recorded.classes[position, number]]
        assert said.confidence == pytest.approx(
            recorded.confidences["max_probability"][position, number], abs=1e-4
        )
        probabilities = [probability for _, probability in said.top]
        assert probabilities == sorted(probabilities, reverse=True)


def test_the_time_is_the_median_of_what_the_clock_says() -> None:
    ticks = iter([0.0, 0.9, 1.0, 1.1, 2.0, 2.3])  # runs of 0.9, 0.1 and 0.3 s

    happened = single.run(
        zoo.load(NETWORK, bits=BITS),
        data.load("digits", "test").images[0],
        card=zoo.card(NETWORK),
        variant=zoo.variant(NETWORK, BITS),
        thresholds=NOBODY,
        clock=ticks.__next__,
    )

    assert happened.measured_ms == pytest.approx(300)


def test_a_static_network_has_one_exit_and_calls_all_of_itself() -> None:
    happened = run(0, (), static=True)

    assert [said.name for said in happened.said] == ["Final exit"]
    assert happened.said[0].threshold is None
    assert happened.not_called == ()


def test_no_hook_is_left_behind_when_the_run_fails() -> None:
    network = zoo.load(NETWORK, bits=BITS)
    too_wide = np.zeros((9, 9, 3), dtype=np.uint8)

    with pytest.raises((RuntimeError, ValueError), match=r"channels|shape|size"):
        single.run(
            network,
            too_wide,
            card=zoo.card(NETWORK),
            variant=zoo.variant(NETWORK, BITS),
            thresholds=NOBODY,
        )

    pickle.dumps(network)  # a hook that was left could not be pickled


def test_the_pixels_are_normalised_as_for_the_trace() -> None:
    import torch

    pixels = data.load("digits", "test").images[3]
    network = zoo.load(NETWORK, bits=BITS)

    batch = torch.from_numpy(normalise(pixels[None], "digits"))
    direct = network.infer(batch, NOBODY)

    assert run(3, NOBODY).probability == pytest.approx(float(direct.probabilities[0, 2].max()))
