"""What is asked of `adapt`: a model, its weights, images, and how to cut and quantize it."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["AdaptRequest"]


@dataclass(frozen=True, kw_only=True)
class AdaptRequest:
    """The model to adapt, and how.

    Args:
        model: "package.module:function".
        weights: a file of the model's state: safetensors, .pth, .pt, .bin or .ckpt.
        data: the name of a data set, or a folder or zip with a folder per class.
        tune, certify, test: a folder or zip for each of these splits, all of whose images are
            used for it; by default they are drawn from `data`.
        unseen: the model was not trained on the images that these splits are drawn from.
        cut: the last module of the edge.
        exit_modules: the modules with an exit after them.
        bits: of the edge, one variant each.
        epochs: of training edge and exits together; 0 only quantizes.
        name: of the network; by default made from data and function.
        size: of the model's input images, height and width if they differ; by default the data
            set's.
        mean, std: per channel, used in the model's training, for pixels in [0, 1]; by default
            the data set's.
        output: name of the logits in what the model returns; by default the first tensor.
        seed: of the order of images and the heads' first weights.
    """

    model: str
    weights: Path
    data: str
    cut: str
    exit_modules: tuple[str, ...]
    bits: tuple[int, ...]
    epochs: int = 0
    name: str = ""
    size: int | tuple[int, int] | None = None
    output: str = ""
    tune: str = ""
    certify: str = ""
    test: str = ""
    unseen: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    seed: int = 0
