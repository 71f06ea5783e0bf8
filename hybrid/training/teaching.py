"""Teachers' probabilities for training batches, computed once and kept on disk.

A batch is a function of seed, epoch and step, and so is a teacher's answer to it. Every student of
the same teacher on the same batches reads the answers that the first one saved. Answers are rounded
to float16 whether they are read or computed, so a cached run and a live one have the same loss to
the bit.
Source: Shen and Xing, "A Fast Knowledge Distillation Framework for Visual Recognition", ECCV 2022,
which keeps the answers for many crops per image; a single view per image overfits (Beyer et al.,
arXiv 2106.05237).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid.files import replacing
from hybrid.models import Network
from hybrid.training.batches import Batches

__all__ = ["Teaching", "about_batches", "cache_key"]

Answers = NDArray[np.float16]  # (steps, batch, classes) of one epoch


def cache_key(**about: Any) -> str:
    """A folder name for the answers of these teachers to these batches.

    >>> cache_key(teachers=["ab"], seed=0) == cache_key(seed=0, teachers=["ab"])
    True
    """
    text = json.dumps(about, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Teaching:
    """The mean of the teachers' probabilities for one batch after another.

    Args:
        teachers: networks in evaluation mode; their final exits answer.
        folder: of the answers, one file per epoch; None keeps nothing.
        mirrored: answer with the mean over each image and its mirror image.

    Attributes:
        computed: how many batches the teachers were actually run on.
    """

    def __init__(
        self, teachers: Sequence[Network], folder: Path | None = None, *, mirrored: bool = False
    ) -> None:
        self.teachers = [teacher.eval() for teacher in teachers]
        self.folder = folder
        self.mirrored = mirrored
        self.computed = 0
        self._kept: Answers | None = None
        self._new: list[Answers] = []

    def to(self, device: torch.device | str) -> None:
        """Move the teachers to where the images are."""
        for teacher in self.teachers:
            teacher.to(device)

    def answers(self, images: Tensor, *, epoch: int, step: int, steps: int) -> Tensor:
        """Probabilities (n, classes), float32, for step `step` of the `steps` of an epoch.

        Epochs are asked for in any order, the steps of each from 0 upwards. An epoch is written
        once its last step has been computed.
        """
        if step == 0:  # the same epoch may come again, and is kept by then
            self._new, self._kept = [], self._read(epoch)
        if self._kept is not None:
            return torch.from_numpy(self._kept[step].astype(np.float32)).to(images.device)
        answers = self._compute(images)
        self._new.append(answers.cpu().numpy())
        if step == steps - 1 and len(self._new) == steps:
            self._write(epoch)
        return answers.float()

    @torch.no_grad()
    def _compute(self, images: Tensor) -> Tensor:
        """float16 (n, classes)."""
        self.computed += 1
        views = [images, images.flip(3)] if self.mirrored else [images]
        each = [t(view)[-1].float().softmax(1) for t in self.teachers for view in views]
        return torch.stack(each).mean(0).half()

    def _read(self, epoch: int) -> Answers | None:
        if self.folder is None or not (path := self._path(epoch)).is_file():
            return None
        kept: Answers = np.load(path, mmap_mode="r", allow_pickle=False)
        return kept

    def _write(self, epoch: int) -> None:
        if self.folder is None:
            return
        # through an open file: numpy would add a suffix to the draft's name
        with replacing(self._path(epoch)) as draft, draft.open("wb") as file:
            np.save(file, np.stack(self._new), allow_pickle=False)

    def _path(self, epoch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"epoch-{epoch}.npy"


def about_batches(batches: Batches) -> Mapping[str, Any]:
    """Everything that determines which images a batch contains, for `cache_key`."""
    return {
        "seed": batches.seed,
        "batch": batches.batch,
        "crop": batches.crop,
        "cutout": batches.cutout,
        "flip": batches.flip,
        "images": len(batches.labels),
    }
