"""A network's description as plain values that a card can hold."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from hybrid.errors import NetworkError

__all__ = ["Reference", "Spec"]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """How a user's model is divided into stages, and how its images are prepared.

    Args:
        stages: the module that ends each stage but the last.
        size, channels: of the images it sees, if they differ from the data set's; else 0.
        width: of these images, if it differs from their height, which is `size`; else 0.
        output: name of the logits in what it returns; empty for the first tensor.
        scale, shift: factor and then summand for the data set's normalised pixels, one per
            channel; empty if the model takes them unchanged.
    """

    stages: tuple[str, ...]
    size: int = 0
    channels: int = 0
    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    width: int = 0
    output: str = ""

    def __post_init__(self) -> None:
        """Refuse a scale without a shift."""
        if not self.stages or len(self.scale) != len(self.shift):
            raise NetworkError("A model needs stages, and a shift for every scale; adapt it again.")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """An architecture with its cut, exits and bit widths.

    Args:
        architecture: a name in `hybrid.models.ARCHITECTURES`, or "package.module:function".
        classes: number of classes.
        channels: colour channels of the input, 1 or 3.
        size: height and width of the input in pixels.
        cut: the last edge stage; stage 0 is the stem.
        exits: edge stages that carry an exit head, ascending; empty for a static network.
        bits: one bit width for every edge stage after the stem (which then stays at 32), or one
            per edge stage, stem included.
        cloud_bits: bit width of the stages after the cut.
        branch_blocks: for each exit, how many blocks its branch has before the head: the stages
            that follow the exit's, once more and for this exit alone; empty if no exit has any.
        branch_bits: bit width of each exit's branch; 32 for an exit without one.
        static: no exit and no cut; every layer but the first, shortcuts and the classifier at
            `bits` (in a user's model, every convolution but the first).
        reference: of a user's model.
    """

    architecture: str
    classes: int
    channels: int = 3
    size: int = 32
    cut: int
    exits: tuple[int, ...] = ()
    bits: int | tuple[int, ...] = 32
    cloud_bits: int = 32
    branch_blocks: tuple[int, ...] = ()
    branch_bits: tuple[int, ...] = ()
    static: bool = False
    reference: Reference | None = None

    def __post_init__(self) -> None:
        """Refuse a description that cannot be a network."""
        if min(self.classes, self.channels, self.size) < 1:
            raise NetworkError(
                f"{self.classes} classes, {self.channels} channels and {self.size} pixels do not "
                "make a network; each must be 1 or more."
            )
        if list(self.exits) != sorted(set(self.exits)):
            raise NetworkError(f"Exits must ascend without repeats, not {self.exits}; sort them.")
        if self.exits and not 0 <= self.exits[0] <= self.exits[-1] <= self.cut:
            raise NetworkError(f"Exits {self.exits} must be on edge stages 0 to {self.cut}.")
        if isinstance(self.bits, tuple) and len(self.bits) != self.cut + 1:
            raise NetworkError(
                f"{len(self.bits)} bit widths for {self.cut + 1} edge stages; give one per stage."
            )
        wanted = {len(self.branch_blocks), len(self.branch_bits)}
        if wanted not in ({0}, {len(self.exits)}) or min(self.branch_blocks, default=0) < 0:
            raise NetworkError(
                "branch_blocks and branch_bits need a number of 0 or more and a bit width for each "
                f"of {len(self.exits)} exits; give both, or leave both out."
            )

    @property
    def edge_bits(self) -> tuple[int, ...]:
        """Bit width of each edge stage, stem first.

        >>> Spec(architecture="resnet32", classes=10, cut=2, bits=4).edge_bits
        (32, 4, 4)
        """
        if isinstance(self.bits, tuple):
            return self.bits
        return (32, *[self.bits] * self.cut)

    def stage_bits(self, stages: int) -> tuple[int, ...]:
        """Bit width of each of `stages` stages."""
        if not 0 <= self.cut < stages:
            raise NetworkError(f"The cut must be a stage from 0 to {stages - 1}, not {self.cut}.")
        return self.edge_bits + (self.cloud_bits,) * (stages - self.cut - 1)

    def branch(self, exit_: int) -> tuple[int, int]:
        """Blocks and bit width of an exit's branch; no block without one."""
        if not self.branch_blocks:
            return 0, 32
        return self.branch_blocks[exit_], self.branch_bits[exit_]

    @property
    def uplink_bits(self) -> int:
        """Bit width of the features sent at the cut: that of the last edge stage, at least 2.

        At 1 bit the features are real numbers (only the next convolution would take their sign),
        and the cloud segment needs more than their signs.
        """
        return max(2, self.edge_bits[-1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for TOML; without `reference` and branches if there are none."""
        values = asdict(self)
        if self.reference is None:
            del values["reference"]
        if not self.branch_blocks:
            del values["branch_blocks"], values["branch_bits"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`; lists become tuples.

        Raises:
            NetworkError: unknown keys.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise NetworkError(f"A network has no {', '.join(unknown)}; remove it from the file.")
        plain = _tuples(values)
        if "reference" in plain:
            plain["reference"] = Reference(**_tuples(plain["reference"]))
        return cls(**plain)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
