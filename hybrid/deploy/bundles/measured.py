"""What edges took on emulated processors, as it was recorded. Numbers out; nothing is run here.

`python -m scripts.microcontrollers` in a clone runs them and writes the file.
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from importlib import resources
from pathlib import Path

__all__ = ["FILE", "Measured", "engine_of", "measured", "save"]

FILE = "microcontrollers.csv"


@dataclass(frozen=True, kw_only=True, order=True)
class Measured:
    """An edge on a processor.

    Args:
        code_bytes: of flash, for the engine.
        table_bytes: of flash, for the weights and all other tables.
        ram_bytes: of the arena and the engine's state, both static.
        stack_bytes: the most that a run used.
        instructions_per_mac: QEMU's instructions per multiply-accumulate of the form, all exits.
        engine: see `engine_of`.
    """

    network: str
    bits: int
    processor: str
    code_bytes: int
    table_bytes: int
    ram_bytes: int
    stack_bytes: int
    instructions_per_mac: float
    engine: str


def measured() -> list[Measured]:
    """Everything that was recorded, by network, bits and processor."""
    text = (resources.files("hybrid.deploy") / FILE).read_text("utf-8")
    kinds = {field.name: field.type for field in fields(Measured)}
    return [
        Measured(**{name: kinds[name](value) for name, value in row.items()})  # type: ignore[operator]
        for row in csv.DictReader(text.splitlines())
    ]


def save(rows: Iterable[Measured], path: Path) -> None:
    """Write rows, sorted; read back by `measured`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Measured))
        writer.writerows(astuple(row) for row in sorted(rows))


def engine_of(files: Mapping[str, str]) -> str:
    """Tells the C files of one version of the engine and one form from any others."""
    text = "\0".join(f"{name}\0{files[name]}" for name in sorted(files))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
