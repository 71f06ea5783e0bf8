"""Weights of a network before and after it is trained: its start, and batch norm's averages."""

import torch
from torch import Tensor, nn

from hybrid.models import Network
from hybrid.training.batches import Batches

__all__ = ["reestimate_norms", "take_weights"]


def take_weights(network: Network, theirs: dict[str, Tensor]) -> None:
    """Copy every tensor that both networks have, except the quantizers' steps.

    The blocks of an exit's branch that the weights lack start as the stages that they repeat.
    """
    theirs = _with_branches(network, theirs)
    ours = network.state_dict()
    shared = {
        name: value
        for name, value in theirs.items()
        if name in ours and ours[name].shape == value.shape and not name.endswith("step")
    }
    network.load_state_dict(shared, strict=False)


@torch.no_grad()
def reestimate_norms(
    network: Network, batches: Batches, *, count: int = 50, of: nn.Module | None = None
) -> None:
    """Average batch norm's statistics again, over `count` batches with the finished weights.

    Args:
        of: the part of the network whose norms these are; all of it by default.
    """
    part = network if of is None else of
    norms = [m for m in part.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average of all batches
        part.train()
        device = next(network.parameters()).device
        for index, (images, _) in enumerate(batches):
            if index == count:
                break
            network(images.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


def _with_branches(network: Network, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights, with those of a stage also for each block of a branch that repeats it.

    Blocks of a branch that the weights have already stay as they are.
    """
    repeated: dict[str, Tensor] = {}
    for number, index in enumerate(network.exit_stages):
        for block in range(network.spec.branch(number)[0]):
            stage, mine = f"stages.{index + 1 + block}.", f"heads.{index}.blocks.{block}."
            repeated |= {
                mine + name.removeprefix(stage): value
                for name, value in theirs.items()
                if name.startswith(stage)
            }
    return repeated | theirs
