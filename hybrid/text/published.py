"""The table of published figures in words, for the command and the documents."""

from collections.abc import Sequence

from hybrid.choosing.published import PublishedRow

__all__ = ["COLUMNS", "NOTE", "table"]

NOTE = (
    "Thresholds and variant chosen on tune with 1 % of the budget to spare, figures of test; "
    "compute, purdue-45nm."
)
COLUMNS = (
    "bar", "published", "network", "at the edge", "energy", "reduction", "accuracy", "wanted",
    "verdict",
)  # fmt: skip


def table(made: Sequence[PublishedRow]) -> list[tuple[str, ...]]:
    """The rows in words, one tuple of `COLUMNS` each."""
    return [_words(row) for row in made]


def _words(row: PublishedRow) -> tuple[str, ...]:
    if row.point is None:
        return (row.bar.title, row.bar.published, *[""] * 6, "no network of this kind is trained")
    point, edge = row.point, row.point.outcome.edge_fraction
    return (
        row.bar.title,
        row.bar.published,
        f"{row.network} {row.variant}",
        f"{100 * edge:.1f} %" if len(point.outcome.exit_counts) > 1 else "all of it",
        f"{point.energy_pj / 1e6:.1f} µJ",
        f"{point.energy_reduction:.2f}x",
        f"{100 * point.outcome.accuracy:.2f} %",
        f"{100 * row.wanted:.2f} %",
        "met" if row.met else "misses " + ", ".join(row.missed),
    )
