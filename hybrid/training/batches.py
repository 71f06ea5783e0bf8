"""A training split as shuffled, augmented batches; the order depends only on seed and epoch."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Batches"]


class Batches:
    """Batches of one epoch, held in memory.

    Random numbers come from a generator seeded by (seed, epoch), so a run that is killed and
    resumed at the start of an epoch sees the same as an unbroken run.

    Args:
        images: (n, channels, h, w) float32, preprocessed.
        labels: (n,).
        crop: pixels by which an image is shifted at most; the border is reflected.
        cutout: side in pixels of a square around a random pixel that is set to 0.
        flip: mirror a random half in even epochs and the other half in odd ones, so that two
            consecutive epochs see both forms of each image. Source: Jordan, arXiv 2404.00498,
            section 3.6.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        batch: int,
        seed: int,
        epoch: int = 0,
        crop: int = 0,
        cutout: int = 0,
        flip: bool = False,
        shuffle: bool = True,
    ) -> None:
        self.images = torch.from_numpy(images)
        if crop:
            self.images = functional.pad(self.images, (crop, crop, crop, crop), mode="reflect")
        self.labels = torch.from_numpy(labels)
        self.size = images.shape[-1]
        self.batch, self.seed, self.epoch = batch, seed, epoch
        self.crop, self.cutout, self.flip, self.shuffle = crop, cutout, flip, shuffle

    def __len__(self) -> int:
        """Number of batches; a training epoch drops the last incomplete one."""
        n = len(self.labels)
        return max(1, n // self.batch) if self.shuffle else -(-n // self.batch)

    def at_epoch(self, epoch: int) -> "Batches":
        """The split with the order and augmentation of `epoch`."""
        self.epoch = epoch
        return self

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (b, channels, h, w), labels (b,))."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        n = len(self.labels)
        order = torch.randperm(n, generator=rng) if self.shuffle else torch.arange(n)
        for index in range(len(self)):
            rows = order[index * self.batch : (index + 1) * self.batch]
            yield self._augment(rows, rng), self.labels[rows]

    def _augment(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        images = self._shift(rows, rng) if self.crop else self.images[rows]
        if self.flip:
            mirror = self._mirrored()[rows]
            images = torch.where(mirror[:, None, None, None], images.flip(3), images)
        if self.cutout:
            images = images.masked_fill(self._squares(len(rows), rng), 0)
        return images.contiguous(memory_format=torch.channels_last)

    def _mirrored(self) -> Tensor:
        """Whether this epoch mirrors each image, (n,)."""
        start = torch.Generator().manual_seed(self.seed)
        first = torch.rand(len(self.labels), generator=start) < 0.5
        return first ^ bool(self.epoch % 2)

    def _squares(self, count: int, rng: torch.Generator) -> Tensor:
        """True in one square of each image, (count, 1, h, w), clipped at the border."""
        pixels = torch.arange(self.size)
        starts = torch.randint(0, self.size, (2, count, 1), generator=rng) - self.cutout // 2
        rows, columns = (pixels >= starts) & (pixels < starts + self.cutout)
        squares: Tensor = rows[:, :, None] & columns[:, None, :]
        return squares[:, None]

    def _shift(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        windows = self.images.unfold(2, self.size, 1).unfold(3, self.size, 1)
        offsets = torch.randint(0, 2 * self.crop + 1, (2, len(rows)), generator=rng)
        # windows is a view (n, channels, 2c+1, 2c+1, h, w); the choice copies one per row
        return windows[rows, :, offsets[0], offsets[1]]
