"""The training of one variant as a Lightning module: loss, optimizer, validation, history."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import lightning as lightning_
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybrid.models import Network
from hybrid.training.batches import Batches
from hybrid.training.muon import Muon
from hybrid.training.recipe import Plan
from hybrid.training.teaching import Teaching

__all__ = ["ExitTraining", "blockwise_loss", "exits_loss"]


def exits_loss(
    logits: list[Tensor],
    labels: Tensor,
    plan: Plan,
    taught: Tensor | None = None,
    *,
    final: bool = True,
) -> Tensor:
    """The sum of the exits' losses, weighted by the plan; that of the final exit by 1.

    Args:
        logits: one (n, classes) per exit, final last.
        labels: (n,).
        taught: the teachers' probabilities (n, classes), or None.
        final: False if the logits are those of the early exits only.
    """
    loss = torch.zeros((), device=labels.device)
    weights = plan.exit_weights(len(logits) - final)
    for exit_logits, weight in zip(logits, weights, strict=final):
        scores = exit_logits.float()
        own = functional.cross_entropy(scores, labels, label_smoothing=plan.label_smoothing)
        if taught is not None:
            soft = functional.cross_entropy(scores, taught)
            own = (1 - plan.teacher_weight) * own + plan.teacher_weight * soft
        loss = loss + own * weight
    return loss


def blockwise_loss(
    network: Network,
    reference: Network,
    images: Tensor,
    labels: Tensor,
    plan: Plan,
    taught: Tensor | None,
) -> Tensor:
    """Each edge stage's error against the reference's, on its own features, plus the heads' loss.

    The stem's output is the reference's, and no gradient flows from one stage to the one before,
    so every stage learns alone. An error is the mean square over the variance of its target.

    Args:
        reference: the same stages at full precision, in evaluation mode.
        images, labels, taught: as in `exits_loss`.
    """
    with torch.no_grad():
        wanted = [reference.stages[0](images)]
        for stage in reference.stages[1 : network.cut + 1]:
            wanted.append(stage(wanted[-1]))
    features, logits = wanted[0], []
    loss = torch.zeros((), device=labels.device)
    for index in range(1, network.cut + 1):
        features = network.stages[index](features.detach())
        target = wanted[index].float()
        loss = loss + (features.float() - target).square().mean() / target.var()
        if index in network.exit_stages:
            logits.append(network.heads[str(index)](features.detach()))
    return loss + exits_loss(logits, labels, plan, taught, final=False) if logits else loss


class ExitTraining(lightning_.LightningModule):
    """A network being trained by a plan.

    Attributes:
        origins: see `hybrid.zoo.Variant`.
        history: one row per finished epoch.
        seconds: of training so far, including before it was resumed.
    """

    def __init__(
        self,
        network: Network,
        plan: Plan,
        train: Batches,
        tune: Batches,
        teaching: Teaching | None = None,
        *,
        reference: Network | None = None,
        origins: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.network, self.plan, self.origins = network, plan, origins
        self.batches, self.tune = train, tune
        self.teaching = teaching
        # in a list, so that its weights stay out of checkpoints and optimizers
        self.references = [reference.eval()] if reference is not None else []
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    @property
    def about(self) -> dict[str, Any]:
        """The values that must match a checkpoint for this training to resume from it."""
        return {
            "plan": asdict(self.plan),
            "seed": self.batches.seed,
            "images": len(self.batches.labels),
            "origins": self.origins,
        }

    def train_dataloader(self) -> Batches:
        """Batches of the current epoch (Lightning asks again in each one)."""
        return self.batches.at_epoch(self._view)

    def val_dataloader(self) -> Batches:
        """The tune split."""
        return self.tune

    def on_fit_start(self) -> None:
        """Move the teachers to the network's device, and start the clock."""
        self._since = time.monotonic()
        if self.teaching is not None:
            self.teaching.to(self.device)
        for reference in self.references:
            reference.to(self.device)

    @property
    def _view(self) -> int:
        """The epoch whose batches are used: they come again after `plan.views` epochs."""
        return self.current_epoch % self.plan.views if self.plan.views else self.current_epoch

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch."""
        images, labels = batch
        taught = self.taught(images, batch_idx)
        if self.current_epoch < self.plan.blockwise:
            (reference,) = self.references
            loss = blockwise_loss(self.network, reference, images, labels, self.plan, taught)
        else:
            loss = exits_loss(self.network(images), labels, self.plan, taught)
        self._losses.append(loss.detach())
        return loss

    def taught(self, images: Tensor, step: int) -> Tensor | None:
        """The mean of the teachers' probabilities, (n, classes); None without a teacher."""
        if self.teaching is None:
            return None
        steps = len(self.batches)
        return self.teaching.answers(images, epoch=self._view, step=step, steps=steps)

    def validation_step(self, batch: tuple[Tensor, Tensor]) -> None:
        """Count every exit's correct answers on tune."""
        images, labels = batch
        answers = torch.stack([logits.argmax(1) for logits in self.network(images)], dim=1)
        self._right.append(answers == labels[:, None])

    def on_validation_epoch_end(self) -> None:
        """Add the epoch's row to the history."""
        accuracy = torch.cat(self._right).float().mean(0).tolist()
        row = {"epoch": float(self.current_epoch + 1)}
        row["loss"] = float(torch.stack(self._losses).mean())
        row |= {f"tune_accuracy_exit{i}": round(value, 5) for i, value in enumerate(accuracy)}
        self.history.append(row)
        self._losses, self._right = [], []
        self.log_dict({k: v for k, v in row.items() if k != "epoch"}, prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save history and time with the weights."""
        now = time.monotonic()
        self.seconds, self._since = self.seconds + now - self._since, now
        checkpoint |= {"history": self.history, "seconds": self.seconds, "about": self.about}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore history and time."""
        self.history, self.seconds = checkpoint["history"], checkpoint.get("seconds", 0.0)

    def configure_optimizers(self) -> Any:
        """The plan's optimizer; its rate rises and falls linearly: blockwise, then by cycle."""
        plan, steps = self.plan, int(self.trainer.estimated_stepping_batches)
        half = str(self.trainer.precision).startswith("bf16")
        products = torch.bfloat16 if half else torch.float32
        optimizer = _optimizer(self.network, plan, products)
        start = steps * plan.blockwise // max(1, plan.epochs)
        length = max(1, (steps - start) // plan.cycles)

        def factor(step: int) -> float:
            if step < start:
                return _rise_and_fall(step, start, plan.warmup)
            return _rise_and_fall((step - start) % length, length, plan.warmup)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _rise_and_fall(step: int, length: int, warmup: float) -> float:
    """Linear up to 1 over a share `warmup` of the steps, then linear down to 0.

    >>> [_rise_and_fall(step, 4, 0.25) for step in range(4)]
    [1.0, 1.0, 0.6666666666666666, 0.3333333333333333]
    """
    rise = max(1, int(warmup * length))
    return min((step + 1) / rise, (length - step) / max(1, length - rise))


def _optimizer(network: Network, plan: Plan, products: torch.dtype) -> torch.optim.Optimizer:
    module: nn.Module = network.heads if plan.heads_only else network
    learned = [p for p in module.parameters() if p.requires_grad]
    if plan.optimizer == "muon":
        filters = [p for p in learned if p.ndim == 4 and p.numel() > max(p.shape)]
        return Muon(
            filters,
            _without(learned, filters),
            filter_rate=plan.learning_rate,
            rest_rate=plan.rest_rate,
            dtype=products,
        )
    # No weight decay on norms, shifts and steps (LSQ: none on steps).
    decayed = [p for p in learned if p.ndim >= 2 and p.numel() > max(p.shape)]
    groups = [
        {"params": decayed, "weight_decay": plan.weight_decay},
        {"params": _without(learned, decayed), "weight_decay": 0.0},
    ]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum, nesterov=True)
    return torch.optim.Adam(groups, lr=plan.learning_rate)


def _without(parameters: list[nn.Parameter], taken: list[nn.Parameter]) -> list[nn.Parameter]:
    ids = {id(p) for p in taken}
    return [p for p in parameters if id(p) not in ids]
