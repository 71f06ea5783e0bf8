"""Your own network and your own photos, from a torch.nn.Module to a certified operating point.

Run it as a whole (`python examples/own_network_own_photos.py`, under a minute on two cores), or
cell by cell in an editor that knows `# %%`. It downloads nothing: the photos are scikit-learn's
digits, written as image files, and the network is trained on them in seconds. Everything is
written to a temporary folder.
"""

# ruff: noqa: E402, T201

# %% A folder for everything: networks and user splits go there, and nowhere else
import os
import tempfile
from pathlib import Path

HERE = Path(tempfile.mkdtemp(prefix="hybrid-example-"))
os.environ["HYBRID_PRETRAINED"] = str(HERE / "networks")
os.environ["HYBRID_TRACES"] = str(HERE / "traces")

# %% Photos, a folder per class: some to train on, others that the network will meet later
from PIL import Image

from hybrid import data

SIZE = 32


def write_photos(folder: Path, splits: tuple[str, ...]) -> None:
    """One image file per digit, in a folder per class."""
    for split in splits:
        digits = data.load("digits", split)
        for number, (pixels, label) in enumerate(zip(digits.images, digits.labels, strict=True)):
            path = folder / digits.classes[label] / f"{split}-{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[..., 0]).convert("RGB").resize((SIZE, SIZE)).save(path)


write_photos(HERE / "photos", ("train", "tune"))
write_photos(HERE / "new-photos", ("certify", "test"))

# %% The network, trained as you would train it; hybrid only needs its weights as safetensors
import torch
from safetensors.torch import save_file
from small_network import small_network
from torch.nn import functional

from hybrid.data.preprocess import normalise

torch.manual_seed(0)
photos = data.load(HERE / "photos", "train", size=SIZE)
images = torch.from_numpy(normalise(photos.images, photos.name))  # (n, 3, 32, 32)
labels = torch.from_numpy(photos.labels)
network = small_network(len(photos.classes))
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
for _ in range(15):
    for rows in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        functional.cross_entropy(network(images[rows]), labels[rows]).backward()
        optimizer.step()
save_file(network.state_dict(), HERE / "weights.safetensors")

# %% Adapt it: cut after `middle`, one exit after `stem` and one at the cut, an edge of 4 bits
import hybrid

card = hybrid.adapt(
    small_network,
    HERE / "weights.safetensors",
    HERE / "photos",
    size=SIZE,
    cut="middle",
    exits=["stem", "middle"],
    bits=[4],
    epochs=0,  # quantizes and trains the exits; with more, edge and exits are trained together
    name="mine",
    say=print,
)
print(f"Variants: {', '.join(card.variants)}")

# %% Import the new photos: one half to choose thresholds on, one half to certify them on
hybrid.ingest(HERE / "new-photos", "mine", name="new", tune_certify=True)

# %% Choose the least energy that loses at most 3 points on photos like these, with 95 % confidence
limits = hybrid.Limits(max_loss_points=3, confidence=0.95)
answer = hybrid.choose("mine", limits, images="new")
if answer.best is None or answer.proof is None:
    raise SystemExit("No candidate can be certified to lose so little; allow more, or add photos.")
best = answer.best
print(f"Chosen: {best.network} {best.variant}, thresholds {best.thresholds}")
print(f"Certified to lose at most {answer.proof.bound_points} points with 95 % confidence")

# %% Evaluate the chosen point on photos that neither training nor choosing has seen
static = best.variant.startswith("static")
point = hybrid.evaluate("mine", bits=best.bits, thresholds=best.thresholds, static=static)
print(
    f"Test photos: {100 * point.outcome.edge_fraction:.1f} % answered at the edge, accuracy "
    f"{100 * point.outcome.accuracy:.1f} %, {point.energy_reduction:.1f} times less energy than "
    "at full precision"
)
