"""A user's model as a bundle of ONNX graphs alone, whose manifest says what is not promised."""

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

import hybrid
from hybrid import zoo
from hybrid.data.preprocess import CROP, mean_and_deviation, normalise
from hybrid.deploy.bundles import serving
from hybrid.deploy.bundles.manifest import MANIFEST, VECTORS, to_text
from hybrid.deploy.graphs.adapted import adapted_graphs, edge_parts
from hybrid.models import Network
from hybrid.quant.packing import packed_bytes

__all__ = ["NOT_PROMISED", "adapted_files"]

NOT_PROMISED = (
    "This model has no exact deployment form. Its graphs compute in float32 and in the runtime's "
    "order of sums, so an answer near a threshold, or near another class, may differ between "
    "runtimes, machines and PyTorch. There is no C, and no certificate covers what they answer."
)

Files = dict[str, bytes]


def adapted_files(
    card: zoo.Card,
    variant: zoo.Variant,
    *,
    thresholds: tuple[float, ...],
    measure: str,
    pixels: NDArray[np.uint8],
    split: str,
) -> Files:
    """All files of the bundle by name, the manifest too.

    Args:
        pixels: of the test vectors, (n, height, width, channels), and the split that they are of.

    Raises:
        FormError: see `adapted_graphs`.
    """
    network = zoo.load_variant(card.network, variant)
    graphs = adapted_graphs(network, dataset=card.dataset)
    sha256 = variant.files[zoo.WEIGHTS]
    name = serving.model_name(card.network, variant.bits, sha256)
    sent = packed_bytes(network.feature_shape, bits=network.uplink.bits)
    stored = serving.repository(
        name, graphs["cloud.onnx"], packed_bytes=sent, classes=len(card.classes)
    )
    files = {f"onnx/{file}": graph for file, graph in graphs.items()}
    files |= {f"serve/{file}": content for file, content in stored.items()}
    files[VECTORS] = _vectors(network, pixels, dataset=card.dataset)
    manifest = _manifest(card, variant, network, thresholds, measure) | {
        "vectors": {"images": len(pixels), "split": split},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return files | {MANIFEST: to_text(manifest).encode()}


@torch.no_grad()
def _vectors(network: Network, pixels: NDArray[np.uint8], *, dataset: str) -> bytes:
    """What PyTorch gives for some images."""
    *early, cloud = network(torch.from_numpy(normalise(pixels, dataset)))
    x: torch.Tensor = torch.from_numpy(pixels)
    for part in edge_parts(network, dataset=dataset):
        x = part(x)[-1]
    return save_tensors(
        {
            "cloud_logits": cloud.numpy(),
            "logits": torch.stack(early, dim=1).numpy(),
            "packed": x.numpy(),
            "pixels": np.ascontiguousarray(pixels),
        }
    )


def _manifest(
    card: zoo.Card,
    variant: zoo.Variant,
    network: Network,
    thresholds: tuple[float, ...],
    measure: str,
) -> dict[str, Any]:
    sha256, uplink = variant.files[zoo.WEIGHTS], network.uplink
    mean, deviation = mean_and_deviation(card.dataset, channels=card.channels)
    return {
        "network": card.network,
        "variant": variant.name,
        "bits": variant.bits,
        "version": hybrid.__version__,
        "weights": {"form": None, "trained": sha256, "of": variant.name},
        "exact": False,
        "not_promised": NOT_PROMISED,
        "input": {
            "shape": [card.size, card.size, card.channels],
            "type": "uint8",
            "order": "height, width, channel",
            "fit": card.fit or CROP,
            "normalised_inside": {"mean": list(mean), "deviation": list(deviation)},
        },
        "classes": list(card.classes),
        "measure": measure,
        "exits": [
            {
                "name": variant.exit_names[number],
                "stage": network.stage_names[stage],
                "graph": f"onnx/edge-{number + 1}.onnx",
                "threshold": threshold,
                "temperature": variant.temperatures[number],
            }
            for number, (stage, threshold) in enumerate(
                zip(network.exit_stages, thresholds, strict=True)
            )
        ],
        "cloud": {
            "graph": "onnx/cloud.onnx",
            "temperature": variant.temperatures[-1],
            "model": serving.model_name(card.network, variant.bits, sha256),
            "version": sha256,
        },
        "cut": network.stage_names[network.cut],
        "payload": {
            "bits": uplink.bits,
            "step": float(uplink.step.detach()),
            "shape": list(network.feature_shape),
            "bytes": packed_bytes(network.feature_shape, bits=uplink.bits),
        },
        "certificates": {"cloud_there": None, "cloud_down": None},
    }
