"""What a network offers to those who run it: a trained one, or one of a deployment form."""

from collections.abc import Iterable, Sequence, Sized
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from hybrid.data import Dataset
from hybrid.traces.trace import Trace

if TYPE_CHECKING:
    from hybrid.models import Inference

__all__ = ["CountsCalls", "Infers", "Logits", "Progress", "RecordsItself", "RunsLive"]

Logits = Sequence[NDArray[Any]]  # of every exit, final last


class Progress(Protocol):
    """Is told of images done and images in all."""

    def __call__(self, done: int, total: int, /) -> None:
        """Both numbers, after every batch."""


class Infers(Protocol):
    """A network that answers early."""

    def infer(self, images: Any, thresholds: Sequence[float], *, measure: str = ...) -> "Inference":
        """As `Network.infer`."""


class RunsLive(Infers, Protocol):
    """A network for a live run."""

    @property
    def stages(self) -> Sized:
        """Of edge and cloud."""

    @property
    def exit_stages(self) -> Sized:
        """Stages that carry an exit."""

    @property
    def __call__(self) -> Any:
        """Runs a batch of images to its end."""


@runtime_checkable
class CountsCalls(Infers, Protocol):
    """A network that is no module of torch's and counts its layers itself."""

    def calls(self, names: Sequence[str]) -> AbstractContextManager[set[str]]:
        """Record the names of the layers that are computed inside the block."""


@runtime_checkable
class RecordsItself(Protocol):
    """A network whose logits and confidences are its own: whole numbers."""

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Of each exit, final last."""

    def exit_logits(self, data: Dataset, *, progress: Progress | None = None) -> Logits:
        """Logits of every exit, in whatever numbers `trace_of` takes."""

    def trace_of(self, parts: Iterable[Logits], *, labels: NDArray[Any], **about: str) -> Trace:
        """As `trace.build_in_parts`."""
