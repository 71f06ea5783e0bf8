"""Recording runs every exit on every image once; temperatures come from the images given."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybrid import data, zoo
from hybrid.data.preprocess import normalise
from hybrid.inference import record
from hybrid.traces import confidence

NETWORK, VARIANT = "digits-vgg", "hybrid-32bit"


@pytest.fixture(scope="module")
def few() -> data.Dataset:
    split = data.load("digits", "test")
    return replace(split, images=split.images[:70], labels=split.labels[:70])


def test_a_trace_says_what_the_network_says(few: data.Dataset):
    network = zoo.load(NETWORK, bits=32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(normalise(few.images, "digits")))

    trace = record.record(network, few, name=NETWORK, variant=VARIANT, weights_sha256="0" * 64)

    assert (trace.network, trace.variant, trace.split) == (NETWORK, VARIANT, "test")
    assert trace.temperatures == network.temperatures
    assert np.array_equal(trace.labels, few.labels)
    for i, scores in enumerate(logits):
        sure = confidence.softmax(scores.numpy(), network.temperatures[i]).max(axis=1)
        assert np.array_equal(trace.classes[:, i], scores.argmax(1).numpy())
        assert np.allclose(trace.confidences["max_probability"][:, i], sure, atol=1e-5)


def test_batches_do_not_change_what_is_said_and_progress_is_told(few: data.Dataset):
    network = zoo.load(NETWORK, bits=32)
    told: list[tuple[int, int]] = []

    together = record.exit_logits(network, few)
    in_parts = record.exit_logits(network, few, batch=32, progress=lambda *a: told.append(a))

    assert told == [(32, 70), (64, 70), (70, 70)]
    for one, other in zip(together, in_parts, strict=True):
        assert one.shape == (70, 10)
        assert np.allclose(one, other, atol=1e-4)


def test_temperatures_are_fitted_to_the_logits_of_each_exit(few: data.Dataset):
    network = zoo.load(NETWORK, bits=32)

    used = record.fit_temperatures(network, few)

    logits = record.exit_logits(network, few)
    assert all(np.array_equal(one, other) for one, other in zip(used, logits, strict=True))
    assert network.temperatures == pytest.approx(
        [confidence.fit_temperature(z, few.labels) for z in logits]
    )
