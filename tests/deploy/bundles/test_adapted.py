"""A user's model, which has no exact form, becomes a bundle of ONNX graphs that says so."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hybrid import zoo
from hybrid.cli.main import app
from hybrid.data.preprocess import normalise
from hybrid.deploy.bundles.writing import Point, bundle_files
from hybrid.deploy.edge.bundle import load_bundle
from hybrid.deploy.graphs.adapted import adapted_graphs
from hybrid.deploy.graphs.sessions import CloudSession, float_answers
from hybrid.errors import BundleError, FormError
from hybrid.models import Network
from hybrid.quant.packing import unpack
from tests.adaptation.test_adapt import NAME, asked, kept, weights

__all__ = ["asked", "kept", "weights"]

pytestmark = pytest.mark.slow  # a model is adapted


@pytest.fixture(scope="module")
def bundle(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the model that the fixtures adapt, written by the command."""
    out = tmp_path_factory.mktemp("adapted") / "bundle"
    words = ["export", NAME, "--bits", "8", "--thresholds", "0.9", "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(kept))
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert "no exact deployment form" in result.stdout
    return out


@pytest.fixture
def network(kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(kept))
    return zoo.load_variant(NAME, zoo.card(NAME).variants["hybrid-8bit"])


def test_the_manifest_says_what_is_not_promised(bundle: Path):
    manifest = json.loads((bundle / "manifest.json").read_text())

    assert manifest["exact"] is False
    assert "no certificate covers" in manifest["not_promised"]
    assert manifest["certificates"] == {"cloud_there": None, "cloud_down": None}
    assert not (bundle / "c").exists()


def test_check_compares_its_graphs_with_pytorch_and_repeats_the_limit(bundle: Path):
    result = CliRunner().invoke(app, ["export", "--check", str(bundle)])

    assert result.exit_code == 0, result.stderr
    assert "logits differ by at most" in result.stdout
    assert "Not promised: This model has no exact deployment form." in result.stdout


def test_its_graphs_answer_as_pytorch_in_any_batch(bundle: Path, network: Network):
    images = zoo.images(NAME, "test").images[:5]
    graphs = [(bundle / "onnx" / f"edge-{i}.onnx").read_bytes() for i in (1, 2)]

    (early,), packed = float_answers(graphs, images)

    cloud = CloudSession((bundle / "onnx" / "cloud.onnx").read_bytes()).run(packed)
    with torch.no_grad():
        real = [z.numpy() for z in network(torch.from_numpy(normalise(images, "digits")))]
        sent = network.edge(torch.from_numpy(normalise(images, "digits"))).features.numpy()
    assert early == pytest.approx(real[0], abs=1e-4)
    assert cloud == pytest.approx(real[1], abs=0.05)
    step = float(network.uplink.step.detach())
    codes = np.stack([unpack(row, bits=8, shape=network.feature_shape) for row in packed])
    assert codes == pytest.approx(np.rint(sent / step), abs=1)


def test_its_bytes_are_the_same_on_two_runs(bundle: Path, network: Network):
    files = bundle_files(NAME, 8, Point(thresholds=(0.9,)))

    assert {name: (bundle / name).read_bytes() for name in files} == files
    assert str(Path.cwd()).encode() not in b"".join(files.values())


def test_an_edge_that_needs_c_refuses_it(bundle: Path):
    with pytest.raises(BundleError, match="ONNX graphs alone"):
        load_bundle(bundle)


def test_a_network_without_exits_is_refused(network: Network):
    static = zoo.load_variant(NAME, zoo.card(NAME).variants[zoo.TWIN])

    with pytest.raises(FormError, match="with early exits can be exported"):
        adapted_graphs(static, dataset="digits")
