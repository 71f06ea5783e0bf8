"""Fitting a user's model: quantizers set from images, exits trained, edge and exits tuned.

Takes data sets and networks and gives history rows; nothing is published here.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.data import Dataset
from hybrid.data.preprocess import normalise
from hybrid.inference.record import exit_logits
from hybrid.models import Network
from hybrid.models.blocks import PooledHead
from hybrid.quant.layers import calibrating, unquantized

__all__ = [
    "BATCH",
    "HEAD_BATCH",
    "HEAD_EPOCHS",
    "HEAD_RATE",
    "calibration_images",
    "fine_tune",
    "norm_images",
    "pixels",
    "quantize",
    "train_heads",
]

HEAD_EPOCHS = 30  # over features in memory, so each takes a moment
BATCH, HEAD_BATCH = 64, 256
HEAD_RATE = 1e-2
NORM_IMAGES = 1_280  # used to correct batch norms
LEAST_NORM_IMAGES = 32
CALIBRATION_PIXELS = 500 * 32 * 32  # used to set steps, from at least 32 images

Row = dict[str, float]


def pixels(split: Dataset, rows: np.ndarray) -> Tensor:
    """Images of a split, normalised, (n, channels, h, w)."""
    return torch.from_numpy(normalise(split.images[rows], split.name))


def quantize(network: Network, train: Dataset) -> None:
    """Set the quantizers from images and correct the quantized stages' norms if that helps.

    Nothing, the means, or means and variances are corrected: whichever brings the final answers
    closest to those without quantizers. Usually it is the last, but 4-bit inputs can silence a
    depthwise channel, whose variance is then meaningless.
    """
    count = calibration_images(len(train.labels), network.spec.size)
    rows = np.linspace(0, len(train.labels) - 1, count).astype(np.int64)
    images = pixels(train, rows)
    _calibrate(network, images)
    if moves := _norm_moves(network, train):
        _correct_norms(network, moves, images)


def calibration_images(train: int, size: int) -> int:
    """How many of the images to train on set the steps."""
    return min(train, max(32, CALIBRATION_PIXELS // size**2))


def norm_images(train: int) -> int:
    """How many of them correct the batch norms."""
    return min(train, NORM_IMAGES) if train >= LEAST_NORM_IMAGES else 0


@torch.inference_mode()
def _calibrate(network: Network, images: Tensor) -> None:
    with calibrating(network):
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
    """The heads' linear layers on standardised features in memory."""

    def __init__(self, network: Network, train: Dataset, *, seed: int) -> None:
        features = _features(network, train)
        self.means = [f.mean(0) for f in features]
        self.spreads = [f.std(0, correction=0) + 1e-3 * f.std() + 1e-6 for f in features]
        self.train, self.labels = self.standardised(features), torch.from_numpy(train.labels)
        self.linears = [_head(network, stage).linear for stage in network.exit_stages]
        parameters = [p for linear in self.linears for p in linear.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=HEAD_RATE, weight_decay=1e-2)
        self.schedule = torch.optim.lr_scheduler.LinearLR(
            self.optimizer, 1.0, 1 / HEAD_EPOCHS, HEAD_EPOCHS
        )
        self.rng = torch.Generator().manual_seed(seed)

    def standardised(self, features: list[Tensor]) -> list[Tensor]:
        """Each exit's features with mean 0 and std 1 on train."""
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
        """Each exit's accuracy."""
        pairs = zip(self.linears, features, strict=True)
        return [float((linear(f).argmax(1) == labels).float().mean()) for linear, f in pairs]

    @torch.no_grad()
    def finish(self) -> None:
        """Move the standardisation of the features into the weights."""
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
    exit_weights: Sequence[float],
    seed: int,
) -> Iterator[Row]:
    """Train edge and exits together, the final exit towards the twin; norms and cloud are frozen.

    Args:
        twin: its logits on train, (n, classes), the target of half of the final exit's loss.
        exit_weights: of each early exit's loss.

    Yields:
        A history row after each epoch, counted from 1.
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
            for logits, weight in zip(early, exit_weights, strict=True):
                loss = loss + weight * functional.cross_entropy(logits, labels[rows])
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Move:
    """How quantizing changes a norm's inputs, and the norm's present mean and variance."""

    norm: nn.BatchNorm2d
    kept: tuple[Tensor, Tensor]
    difference: Tensor
    ratio: Tensor

    def apply(self, *, means: bool, variances: bool) -> None:
        """Set mean and variance, each corrected or unchanged."""
        mean, variance = self.kept
        state = {
            "running_mean": mean + self.difference if means else mean,
            "running_var": variance * self.ratio if variances else variance,
        }
        self.norm.load_state_dict(state, strict=False)


@torch.inference_mode()
def _correct_norms(network: Network, moves: Sequence[_Move], images: Tensor) -> None:
    """Correct the norms in the way that brings the final answers nearest to the unquantized."""
    with unquantized(network):
        wanted = network(images)[-1]
    errors: dict[tuple[bool, bool], float] = {}
    for how in ((False, False), (True, False), (True, True)):
        if any(how):
            _move(network, moves, images, how)
        errors[how] = float((network(images)[-1] - wanted).square().sum())
    best = min(errors, key=lambda how: errors[how])
    if best != how:
        _move(network, moves, images, best)


def _move(network: Network, moves: Sequence[_Move], images: Tensor, how: tuple[bool, bool]) -> None:
    for move in moves:
        move.apply(means=how[0], variances=how[1])
    _calibrate(network, images)


@torch.inference_mode()
def _norm_moves(network: Network, train: Dataset) -> list[_Move]:
    """Corrections for the batch norms of the quantized stages; none if there are few images.

    The same images run with and without quantizers, each norm with its batches' own statistics;
    quantizing changes the means by their difference and the variances by their ratio. Differences
    between these images and those that the model was trained on cancel.
    """
    quantized = network.stages[1 : network.cut + 1]
    norms = [m for m in quantized.modules() if isinstance(m, nn.BatchNorm2d)]
    norms = [norm for norm in norms if norm.track_running_stats]
    count = norm_images(len(train.labels))
    if not count or not norms:
        return []
    rows = np.random.default_rng(0).permutation(len(train.labels))[:count]
    narrow = _batch_statistics(network, norms, train, rows)
    with unquantized(network):
        wide = _batch_statistics(network, norms, train, rows)
    return [
        _Move(
            norm=norm,
            kept=_mean_and_variance(norm),
            difference=mean - mean_32,
            ratio=(variance + norm.eps) / (variance_32 + norm.eps),
        )
        for norm, (mean, variance), (mean_32, variance_32) in zip(norms, narrow, wide, strict=True)
    ]


def _batch_statistics(
    network: Network, norms: Sequence[nn.BatchNorm2d], train: Dataset, rows: np.ndarray
) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each norm's inputs, averaged over whole batches; changes nothing."""
    whole = len(rows) // BATCH * BATCH or len(rows)
    before = [(norm.momentum, deepcopy(norm.state_dict())) for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average of all batches
            norm.train()
        for images, _ in _batches(train, rows[:whole]):
            network.edge(images)
        return [_mean_and_variance(norm) for norm in norms]
    finally:
        for norm, (momentum, kept) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.load_state_dict(kept)
            norm.eval()


def _mean_and_variance(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


@torch.inference_mode()
def _features(network: Network, split: Dataset) -> list[Tensor]:
    """The inputs of every head's linear layer for a split, each (n, inputs)."""
    rows: list[list[Tensor]] = [[] for _ in network.exit_stages]
    for images, _ in _batches(split, np.arange(len(split.labels))):
        x = images
        for index, stage in enumerate(network.stages[: network.exit_stages[-1] + 1]):
            x = stage(x)
            if index in network.exit_stages:
                rows[network.exit_stages.index(index)].append(_head(network, index).pooled(x))
    return [torch.cat(parts) for parts in rows]


def _head(network: Network, stage: int) -> PooledHead:
    head = network.heads[str(stage)]
    assert isinstance(head, PooledHead)
    return head


def _row(epoch: int, losses: Sequence[float], right: Sequence[float]) -> Row:
    row = {"epoch": float(epoch), "loss": float(np.mean(losses))}
    return row | {f"tune_accuracy_exit{i}": round(value, 5) for i, value in enumerate(right)}
