"""The cloud's graph unpacks its bytes and answers as the network's cloud segment."""

import numpy as np
import pytest
import torch
from torch import nn

from hybrid.deploy.graphs.cloud import cloud_graph
from hybrid.deploy.graphs.sessions import CloudSession
from hybrid.errors import FormError
from hybrid.quant.packing import pack
from tests.deploy.networks import FAMILIES, given, untrained


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("family", FAMILIES)
def test_packed_bytes_give_the_cloud_segments_logits(family: str, bits: int):
    network, images = untrained(family, bits)
    with torch.no_grad():
        features = network.edge(given(images)).features
        expected = network.cloud(features).numpy()
    codes = np.rint(features.numpy() / float(network.uplink.step.detach())).astype(np.int64)
    packed = np.stack(
        [np.frombuffer(pack(one, bits=network.uplink.bits), np.uint8) for one in codes]
    )

    logits = CloudSession(cloud_graph(network, title="cloud")).run(packed)

    assert logits == pytest.approx(expected, abs=1e-4)


def test_a_quantized_cloud_segment_answers_as_the_networks():
    network, images = untrained("wide7", 4, cloud_bits=8)
    with torch.no_grad():
        features = network.edge(given(images)).features
        expected = network.cloud(features).numpy()
    codes = np.rint(features.numpy() / float(network.uplink.step.detach())).astype(np.int64)
    packed = np.stack([np.frombuffer(pack(one, bits=4), np.uint8) for one in codes])

    logits = CloudSession(cloud_graph(network, title="cloud")).run(packed)

    # A rounding that goes the other way moves a logit by about a step of 8 bits.
    assert logits == pytest.approx(expected, abs=0.02)
    assert np.array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


def test_a_block_without_a_graph_is_refused():
    network, _ = untrained("digits-vgg", 4)
    network.stages[-1] = nn.Identity()

    with pytest.raises(FormError, match="Identity in the cloud segment has no ONNX graph"):
        cloud_graph(network, title="cloud")
