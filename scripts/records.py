"""Rows of benchmarks/results.txt, and tables of text. Files and rows in, Markdown out."""

from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["RESULTS", "last", "results", "table"]

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results.txt"


def results(kind: str = "benchmark=") -> list[str]:
    """The rows that start so, the oldest first."""
    lines = RESULTS.read_text().splitlines() if RESULTS.is_file() else []
    return [line for line in lines if line.startswith(kind)]


def last(kind: str, *keys: str) -> dict[tuple[str, ...], dict[str, str]]:
    """The last row of a kind for each combination of these fields."""
    lines = (line for line in results() if line.partition(",")[0] == kind)
    rows = [dict(pair.split("=", 1) for pair in line.split(", ")) for line in lines]
    return {tuple(row[key] for key in keys): row for row in rows}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; all columns but the first are aligned to the right."""
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, ruler, *rows))
