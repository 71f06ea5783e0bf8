"""The tables of docs/deploying.md: exactness of all engines, and edges on emulated processors."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from hybrid.deploy.bundles.measured import Measured, measured
from scripts.records import last, table

__all__ = ["ENGINES", "engines", "microcontrollers"]

ENGINES = "benchmark=engines"
ENGINES_COLUMNS = ("network", "bits", "images", "engines", "numbers from each", "that differ")
PROCESSOR_COLUMNS = (
    "edge", "processor", "code, bytes", "tables, bytes", "RAM, bytes", "stack, bytes",
    "instructions per MAC",
)  # fmt: skip


def engines() -> str:
    """How many numbers of all engines differ from the specification, a row per network."""
    rows = last(ENGINES, "network", "bits").values()
    by_network = groupby(sorted(rows, key=itemgetter("network")), key=itemgetter("network"))
    return table(ENGINES_COLUMNS, (_engines_row(name, list(forms)) for name, forms in by_network))


def _engines_row(network: str, forms: Sequence[dict[str, str]]) -> list[str]:
    different = sum(int(one[key]) for one in forms for key in one if key.endswith("_different"))
    images, compared = (sum(int(one[key]) for one in forms) for key in ("images", "numbers"))
    bits = ", ".join(sorted(one["bits"] for one in forms))
    each = "/".join(sorted({one["engines"] for one in forms}))
    return [f"`{network}`", bits, f"{images:,}", each, f"{compared:,}", f"{different:,}"]


def microcontrollers() -> str:
    """What edges take on emulated processors; what every bundle's REPORT.md shows too."""
    return table(PROCESSOR_COLUMNS, map(_processor_row, measured()))


def _processor_row(one: Measured) -> list[str]:
    sizes = (one.code_bytes, one.table_bytes, one.ram_bytes, one.stack_bytes)
    name, each = f"`{one.network}`, {one.bits} bit", f"{one.instructions_per_mac:.2f}"
    return [name, one.processor, *(f"{size:,}" for size in sizes), each]
