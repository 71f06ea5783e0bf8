"""Triton's own client asks our server and gets the logits of the test vectors."""

from pathlib import Path

import numpy as np
import pytest

from hybrid.deploy.edge.bundle import load_bundle
from tests.deploy.cloud.test_process import running

triton = pytest.importorskip(
    "tritonclient.http", reason="tritonclient is not installed; pip install 'tritonclient[http]'"
)
pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("ignore")  # of gevent
def test_tritonclient_gets_the_same_logits(bundle_folder: Path, vectors: dict[str, np.ndarray]):
    known = load_bundle(bundle_folder)

    with running(bundle_folder) as (_, port):
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(known.model, known.weights)
        about = client.get_model_metadata(known.model)
        found = [logits(client, known.model, vectors["packed"], way) for way in (True, False)]
        with pytest.raises(triton.InferenceServerException, match="This cloud has the weights"):
            logits(client, known.model, vectors["packed"], True, version="1")
        client.close()

    assert about["versions"] == [known.weights]
    for one in (*found,):
        np.testing.assert_allclose(one, vectors["cloud_logits"], rtol=0, atol=1e-4)
    assert len(found) == 2


def logits(
    client: "triton.InferenceServerClient",
    model: str,
    packed: np.ndarray,
    binary: bool,
    version: str = "",
) -> np.ndarray:
    """As its documentation has it; in and out as bytes, or as JSON."""
    given = triton.InferInput("packed", list(packed.shape), "UINT8")
    given.set_data_from_numpy(packed, binary_data=binary)
    wanted = triton.InferRequestedOutput("logits", binary_data=binary)
    result = client.infer(model, [given], model_version=version, outputs=[wanted], timeout=10**7)
    return result.as_numpy("logits")
