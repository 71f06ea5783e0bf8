"""Fitting a user's own model: quantizers set from images, exits trained, edge and exits tuned.

Datasets and networks in, history rows out; nothing here publishes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.data import Dataset
from hybrid.networks import Network
from hybrid.networks.blocks import PooledHead
from hybrid.preprocess import normalise
from hybrid.quant import calibrating
from hybrid.record import exit_logits

__all__ = [
    "BATCH",
    "HEAD_BATCH",
    "HEAD_EPOCHS",
    "HEAD_RATE",
    "fine_tune",
    "pixels",
    "quantize",
    "train_heads",
]

HEAD_EPOCHS = 30  # over features that are kept, so each takes a moment
BATCH, HEAD_BATCH = 64, 256
HEAD_RATE = 1e-2
NORM_IMAGES = 1_280  # from which batch norms are averaged anew
LEAST_NORM_IMAGES = 256
CALIBRATION_PIXELS = 500 * 32 * 32  # steps are set from so many, at least 32 images

Row = dict[str, float]


def pixels(split: Dataset, rows: np.ndarray) -> Tensor:
    """Images of a split, normalised, (n, channels, h, w)."""
    return torch.from_numpy(normalise(split.images[rows], split.name))


def quantize(network: Network, train: Dataset) -> None:
    """Set the quantizers from images, average the quantized stages' norms anew, and set again."""
    side = network.spec.size
    wanted = max(32, CALIBRATION_PIXELS // side**2)
    rows = np.linspace(0, len(train.labels) - 1, min(len(train.labels), wanted)).astype(np.int64)
    images = pixels(train, rows)
    with torch.no_grad(), calibrating(network):
        network(images)
    if _average_norms(network, train):
        with torch.no_grad(), calibrating(network):
            network(images)


def train_heads(network: Network, train: Dataset, tune: Dataset, *, seed: int) -> list[Row]:
    """Logistic regression on the exits' frozen features; a history row per epoch."""
    regression = _Regression(network, train, seed=seed)
    seen, labels = regression.standardised(_features(network, tune)), torch.from_numpy(tune.labels)
    final = float((exit_logits(network, tune)[-1].argmax(1) == tune.labels).mean())
    history = []
    for epoch in range(1, HEAD_EPOCHS + 1):
        losses = regression.epoch()
        right = [*regression.right(seen, labels), final]
        history.append(_row(epoch, losses, right))
    regression.finish()
    return history


class _Regression:
    """The heads' linear layers on standardised features that are kept in memory."""

    def __init__(self, network: Network, train: Dataset, *, seed: int) -> None:
        features = _features(network, train)
        self.means = [f.mean(0) for f in features]
        self.spreads = [f.std(0, correction=0) + 1e-3 * f.std() + 1e-6 for f in features]
        self.train, self.labels = self.standardised(features), torch.from_numpy(train.labels)
        self.linears = [_head(network, stage).linear for stage in network.exits]
        parameters = [p for linear in self.linears for p in linear.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=HEAD_RATE, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, 1.0, 1 / HEAD_EPOCHS, HEAD_EPOCHS
        )
        self.rng = torch.Generator().manual_seed(seed)

    def standardised(self, features: list[Tensor]) -> list[Tensor]:
        """Each exit's features with mean 0 and deviation 1 on train."""
        triples = zip(features, self.means, self.spreads, strict=True)
        return [(f - mean) / spread for f, mean, spread in triples]

    def epoch(self) -> list[float]:
        """One pass; the losses of its batches."""
        losses = []
        order = torch.randperm(len(self.labels), generator=self.rng)
        for rows in torch.split(order, HEAD_BATCH):
            pairs = zip(self.linears, self.train, strict=True)
            answers = [linear(f[rows]) for linear, f in pairs]
            parts = [functional.cross_entropy(z, self.labels[rows]) for z in answers]
            losses.append(_step(torch.stack(parts).sum(), self.optimizer))
        self.schedule.step()
        return losses

    @torch.no_grad()
    def right(self, features: list[Tensor], labels: Tensor) -> list[float]:
        """The share that each exit answers rightly."""
        pairs = zip(self.linears, features, strict=True)
        return [float((linear(f).argmax(1) == labels).float().mean()) for linear, f in pairs]

    @torch.no_grad()
    def finish(self) -> None:
        """Put what standardised the features into the weights."""
        for linear, mean, spread in zip(self.linears, self.means, self.spreads, strict=True):
            linear.weight.div_(spread)
            linear.bias.sub_(linear.weight @ mean)


def fine_tune(
    network: Network,
    train: Dataset,
    tune: Dataset,
    *,
    twin: np.ndarray,
    epochs: int,
    rate: float,
    exit_weight: float,
    seed: int,
) -> Iterator[Row]:
    """Edge and exits together, the final exit towards the twin; norms and cloud stay as they are.

    Args:
        twin: its logits on train, (n, classes), to which half of the final exit's loss goes.
        exit_weight: of each early exit's loss.

    Yields:
        a history row after each epoch, counted from 1.
    """
    network.requires_grad_(False)
    for part in (network.stages[: network.cut + 1], network.heads, network.uplink):
        part.requires_grad_(True)
    soft, labels = torch.from_numpy(twin).softmax(1), torch.from_numpy(train.labels)
    steps = epochs * -(-len(labels) // BATCH)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    rng = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        losses = []
        for images, rows in _batches(train, rng.permutation(len(labels))):
            *early, last = network(images)
            loss = 0.5 * functional.cross_entropy(last, labels[rows])
            loss = loss + 0.5 * functional.cross_entropy(last, soft[rows])
            for logits in early:
                loss = loss + exit_weight * functional.cross_entropy(logits, labels[rows])
            losses.append(_step(loss, optimizer))
            schedule.step()
        right = [float((z.argmax(1) == tune.labels).mean()) for z in exit_logits(network, tune)]
        yield _row(epoch, losses, right)
    network.requires_grad_(True)


def _step(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def _batches(
    split: Dataset, order: np.ndarray, *, batch: int = BATCH
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Images (b, channels, h, w) and their positions in the split."""
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        yield pixels(split, rows), rows


@torch.no_grad()
def _average_norms(network: Network, train: Dataset) -> bool:
    """Batch norm's statistics of the quantized stages anew; False where there is too little."""
    quantized = network.stages[1 : network.cut + 1]
    norms = [m for m in quantized.modules() if isinstance(m, nn.BatchNorm2d)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if len(train.labels) < LEAST_NORM_IMAGES or not norms:
        return False
    momenta = [norm.momentum for norm in norms]
    order = np.random.default_rng(0).permutation(len(train.labels))[:NORM_IMAGES]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average of all batches
            norm.train()
        for images, _ in _batches(train, order):
            network.edge(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return True


@torch.inference_mode()
def _features(network: Network, split: Dataset) -> list[Tensor]:
    """What every head's linear layer sees of a split, each (n, inputs)."""
    rows: list[list[Tensor]] = [[] for _ in network.exits]
    for images, _ in _batches(split, np.arange(len(split.labels))):
        x = images
        for index, stage in enumerate(network.stages[: network.exits[-1] + 1]):
            x = stage(x)
            if index in network.exits:
                rows[network.exits.index(index)].append(_head(network, index).pooled(x))
    return [torch.cat(parts) for parts in rows]


def _head(network: Network, stage: int) -> PooledHead:
    head = network.heads[str(stage)]
    assert isinstance(head, PooledHead)
    return head


def _row(epoch: int, losses: Sequence[float], right: Sequence[float]) -> Row:
    row = {"epoch": float(epoch), "loss": float(np.mean(losses))}
    return row | {f"tune_accuracy_exit{i}": round(value, 5) for i, value in enumerate(right)}
