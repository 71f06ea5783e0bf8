"""A form as a network: pages and live runs get the answers of its trace."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid import policy, zoo
from hybrid.data.preprocess import normalise
from hybrid.deploy.network import FormNetwork, load_form_network
from hybrid.errors import UnknownNameError
from hybrid.inference import live, single
from hybrid.inference.live import LiveRequest

NETWORK, VARIANT, THRESHOLDS = "digits-vgg", "deployed-4bit", (0.95, 0.9)


@pytest.fixture
def network(frozen: Path) -> FormNetwork:
    return load_form_network(NETWORK, zoo.card(NETWORK).forms[VARIANT], engine="torch")


def test_it_answers_as_its_trace_says_and_computes_nothing_after_the_exit(network: FormNetwork):
    recorded, images = zoo.trace(NETWORK, VARIANT), zoo.images(NETWORK, "test")

    given = network.infer(torch.from_numpy(normalise(images.images, "digits")), THRESHOLDS)

    sure = recorded.confidences["max_probability"]
    taken = policy.exits_taken(sure[:, :-1], THRESHOLDS)
    seen = np.arange(3) <= taken[:, None]
    assert np.array_equal(given.exit_taken, taken)
    assert np.array_equal(given.classes, recorded.classes[np.arange(len(taken)), taken])
    assert np.array_equal(np.isnan(given.confidences), ~seen)
    assert np.array_equal(given.confidences[:, :2][seen[:, :2]], sure[:, :2][seen[:, :2]])
    assert given.confidences[:, 2][seen[:, 2]] == pytest.approx(sure[:, 2][seen[:, 2]], abs=1e-5)
    reached = [len(taken), len(taken), int((taken > 0).sum()), int((taken > 1).sum())]
    assert list(given.stage_samples) == reached


def test_a_live_run_takes_the_exits_of_the_trace(network: FormNetwork):
    request = LiveRequest(
        network=NETWORK, variant=VARIANT, split="test", thresholds=THRESHOLDS,
        measure="max_probability", batch=256,
    )  # fmt: skip

    *_, progress = live.run(network, zoo.images(NETWORK, "test"), request)

    against = live.against_trace(progress, zoo.trace(NETWORK, VARIANT), request)
    assert (against.moved, against.counts) == (0, progress.exit_counts)


@pytest.mark.parametrize(
    "thresholds, rest", [((0.0, 0.0), ["stage 2", "exit 2"]), ((1.0, 0.0), [])]
)
def test_the_layers_that_a_single_image_needs_are_counted(
    network: FormNetwork, thresholds: tuple[float, float], rest: list[str]
):
    card, pixels = zoo.card(NETWORK), zoo.images(NETWORK, "test").images[0]

    run = single.run(network, pixels, card=card, variant=card.forms[VARIANT], thresholds=thresholds)

    assert list(run.not_called) == [*rest, "stage 3", "classifier"]


def test_an_unknown_engine_is_named(frozen: Path):
    with pytest.raises(UnknownNameError, match="there are: c, numpy, torch"):
        load_form_network(NETWORK, zoo.card(NETWORK).forms[VARIANT], engine="cuda")
