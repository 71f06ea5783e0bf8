"""The training of one variant as a Lightning module: loss, optimizer, validation, history."""

import time
from collections.abc import Mapping, Sequence
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

__all__ = ["ExitTraining", "exits_loss"]


def exits_loss(
    logits: list[Tensor], labels: Tensor, plan: Plan, taught: Tensor | None = None
) -> Tensor:
    """The exits' losses, early ones weighted by `plan.exit_weight`, the final one by 1.

    Args:
        logits: one (n, classes) per exit, final last.
        labels: (n,).
        taught: the teachers' probabilities (n, classes), or None.
    """
    loss = torch.zeros((), device=labels.device)
    for index, exit_logits in enumerate(logits):
        scores = exit_logits.float()
        own = functional.cross_entropy(scores, labels, label_smoothing=plan.label_smoothing)
        if taught is not None:
            soft = functional.cross_entropy(scores, taught)
            own = (1 - plan.teacher_weight) * own + plan.teacher_weight * soft
        loss = loss + own * (1.0 if index == len(logits) - 1 else plan.exit_weight)
    return loss


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
        teachers: Sequence[Network],
        *,
        origins: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.network, self.plan, self.origins = network, plan, origins
        self.batches, self.tune = train, tune
        # in a list, so that its weights stay out of checkpoints and optimizers
        self.teachers = [teacher.eval() for teacher in teachers]
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    @property
    def about(self) -> dict[str, Any]:
        """What must be equal in a checkpoint for this training to resume from it."""
        return {
            "plan": asdict(self.plan),
            "seed": self.batches.seed,
            "images": len(self.batches.labels),
            "origins": self.origins,
        }

    def train_dataloader(self) -> Batches:
        """Batches of the current epoch (Lightning asks again in each one)."""
        return self.batches.at_epoch(self.current_epoch)

    def val_dataloader(self) -> Batches:
        """The tune split."""
        return self.tune

    def on_fit_start(self) -> None:
        """Move the teachers to the network's device, and start the clock."""
        self._since = time.monotonic()
        for teacher in self.teachers:
            teacher.to(self.device)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Loss of one batch."""
        images, labels = batch
        loss = exits_loss(self.network(images), labels, self.plan, self.taught(images))
        self._losses.append(loss.detach())
        return loss

    @torch.no_grad()
    def taught(self, images: Tensor) -> Tensor | None:
        """The mean of the teachers' probabilities, (n, classes); None without a teacher."""
        if not self.teachers:
            return None
        answers = [teacher(images)[-1].float().softmax(1) for teacher in self.teachers]
        return torch.stack(answers).mean(0)

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
        """The plan's optimizer, with a rate that rises and falls linearly in every cycle."""
        plan, steps = self.plan, int(self.trainer.estimated_stepping_batches)
        optimizer = _optimizer(self.network, plan)
        length = steps // plan.cycles
        rise = max(1, int(plan.warmup * length))

        def factor(step: int) -> float:
            step %= length
            return min((step + 1) / rise, (length - step) / max(1, length - rise))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _optimizer(network: Network, plan: Plan) -> torch.optim.Optimizer:
    module: nn.Module = network.heads if plan.heads_only else network
    learned = [p for p in module.parameters() if p.requires_grad]
    if plan.optimizer == "muon":
        filters = [p for p in learned if p.ndim == 4 and p.numel() > max(p.shape)]
        return Muon(
            filters,
            _without(learned, filters),
            filter_rate=plan.learning_rate,
            rest_rate=plan.rest_rate,
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
