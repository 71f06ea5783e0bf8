"""A model to try `hybrid adapt` with: torchvision's ResNet-18, trained on the digits in minutes.

    python scripts/own_model.py resnet18.safetensors

The 8×8 digits come with scikit-learn, so nothing is downloaded; they are enlarged to 32 pixels.
Another torchvision model, such as mobilenet_v3_small, may be named as a second argument.
"""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional

from hybrid import data
from hybrid.data.preprocess import normalise
from hybrid.models.user_models import load_model

SIZE, EPOCHS, BATCH, RATE = 32, 12, 64, 1e-3


def images(split: data.Dataset) -> torch.Tensor:
    """(n, 3, SIZE, SIZE): grey as three channels, enlarged."""
    grey = torch.from_numpy(normalise(split.images, split.name))
    size = (SIZE, SIZE)
    large = functional.interpolate(grey, size, mode="bilinear", align_corners=False)
    return large.expand(-1, 3, -1, -1)


def main(path: Path, name: str = "resnet18") -> None:
    """Train, print the accuracy on tune, and write the weights."""
    torch.manual_seed(0)
    started = time.monotonic()
    train, tune = data.load("digits", "train"), data.load("digits", "tune")
    model = load_model(f"torchvision.models:{name}", classes=len(train.classes))
    pixels, labels = images(train), torch.from_numpy(train.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)
    steps = EPOCHS * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (steps + 1))
    for _ in range(EPOCHS):
        model.train()
        for rows in torch.randperm(len(labels)).split(BATCH)[: len(labels) // BATCH]:
            optimizer.zero_grad()
            functional.cross_entropy(model(pixels[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        right = (model(images(tune)).argmax(1).numpy() == tune.labels).mean()
    save_file(model.state_dict(), path)
    seconds = time.monotonic() - started
    print(f"{name}: {100 * right:.2f} % on tune after {seconds:.0f} s; weights in {path}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
