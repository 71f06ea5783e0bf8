"""A new user's path, by docs/own-network.md alone: photographs and a published model, to a point.

The commands are those of the document, in a process each as in a shell.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import squeezenet1_1

pytestmark = pytest.mark.slow

COUNTS = {"train": 20, "val": 160, "test": 20}  # of each class


def photographs(folder: Path) -> Path:
    """Dark and light pictures of uneven sizes, in train/, val/ and test/."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for shade, name in enumerate(("dark", "light")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(128 * shade, 128 * shade + 128, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number}.jpg")
    return folder


def weights(path: Path) -> Path:
    """Of a model whose last layer tells dark from light: the mean of its channels decides."""
    torch.manual_seed(0)
    model = squeezenet1_1(num_classes=2).eval()
    grey = torch.linspace(-2, 2, 9).reshape(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    last = model.classifier[1]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        features = model.features(grey).mean((2, 3))  # (9, 512)
        slope = features[-1] - features[0]
        last.weight.copy_(torch.stack([-slope, slope]).reshape(last.weight.shape))
        last.weight.div_(slope.norm() ** 2 / 8)
        middle = torch.einsum("oc,c->o", last.weight.flatten(1), features[4])
        last.bias.copy_(8 - middle)  # above zero, where the model's last ReLU leaves them
    torch.save(model.state_dict(), path)
    return path


def hybrid(*words: str | Path, at: Path) -> str:
    where = {
        "HYBRID_PRETRAINED": str(at / "networks"),
        "HYBRID_TRACES": str(at / "traces"),
        "XDG_CACHE_HOME": str(at / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from hybrid.cli.main import app; app()", *map(str, words)],
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_photographs_and_a_published_model_become_a_certified_point(tmp_path: Path):
    photos, pth = photographs(tmp_path / "photos"), weights(tmp_path / "mine.pth")
    model = "torchvision.models:squeezenet1_1"

    offered = json.loads(
        hybrid("cuts", model, "--size", "32", "--classes", "2", "--all", "--json", at=tmp_path)
    )
    names = {name for cut in offered["cuts"] for name in (cut["name"], *cut["also"])}
    adapted = hybrid(
        *("adapt", "--model", model, "--weights", pth, "--data", photos, "--size", "32"),
        *("--cut", "features.7", "--exits", "features.4", "--bits", "8", "--name", "mine"),
        at=tmp_path,
    )
    chosen = json.loads(hybrid("choose", "mine", "--max-loss", "5", "--json", at=tmp_path))

    assert {"features.4", "features.7"} <= names
    assert "hybrid-8bit" in adapted
    assert chosen["certificate"]["bound_points"] <= 5
