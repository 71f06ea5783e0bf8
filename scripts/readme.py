"""The README's generated blocks: help texts and tables, written between markers.

`python scripts/readme.py` writes them anew; tests/test_readme.py fails where they differ. A block
stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import typer
from typer.testing import CliRunner

from hybrid import energy, evaluation, zoo
from hybrid.choosing import published as paper
from hybrid.choosing.baselines import Comparison, comparisons, priced_curves
from hybrid.cli.main import app
from hybrid.evaluation import evaluate_variant
from hybrid.policy import OperatingPoint
from hybrid.text import numbers
from hybrid.ui.networks import cards

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results.txt"
THRESHOLD = 0.8  # where the dashboard's sliders start
MARKED = re.compile(r"(<!-- begin: ([a-z]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def main() -> None:
    """Write the README with every block renewed."""
    README.write_text(renewed(README.read_text()))


def renewed(text: str) -> str:
    """The same text with each marked block made anew."""
    return MARKED.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def help_texts() -> str:
    """What `hybrid --help` and every command's `--help` say, on 88 columns."""
    commands = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    texts = [_help()]
    texts += [f"<details><summary><code>hybrid {c}</code></summary>\n\n{_help(c)}\n</details>\n"
              for c in commands]  # fmt: skip
    return "\n".join(texts)


def points() -> str:
    """Every variant at the thresholds at which the dashboard opens, by network."""
    parts = []
    for network in zoo.networks():
        card = zoo.card(network)
        rows = [_point_row(network, variant) for variant in card.variants.values()]
        parts.append(f"**{card.title}** (`{network}`)\n\n" + _table(POINT_COLUMNS, rows))
    return "\n".join(parts)


def published() -> str:
    """The published figures and what the networks here reach."""
    return _table(paper.COLUMNS, paper.table(paper.rows())) + f"\n{paper.NOTE}\n"


def rivals() -> str:
    """Who needs less energy for a static network's accuracy, by scope and profile."""
    parts = []
    for network in zoo.networks():
        found = priced_curves(network)
        names = [static.variant.name for static in found[0].statics]
        columns = ("scope, profile", *names)
        rows = [(f"{one.scope}, {one.profile}", *map(_verdict, comparisons(one))) for one in found]
        parts.append(f"**{zoo.card(network).title}**\n\n" + _table(columns, rows))
        parts.append(_summary([comparison for one in found for comparison in comparisons(one)]))
        parts.append(_beside(network))
        parts.append(_memory(network))
        parts.append(_epochs(network))
    return "\n".join(parts)


def _verdict(comparison: Comparison) -> str:
    static = numbers.energy(comparison.static_energy_pj)
    if not comparison.hybrid:
        return f"**static**, {static}: no hybrid is as accurate"
    hybrid = numbers.energy(comparison.hybrid_energy_pj)
    if comparison.static_wins:
        return f"**static**, {static} against {hybrid}"
    return f"{comparison.hybrid}, {hybrid} against {static}"


def _summary(fought: Sequence[Comparison]) -> str:
    quantized = [comparison for comparison in fought if comparison.static != zoo.TWIN]
    won = [1 - comparison.hybrid_energy_pj / comparison.static_energy_pj for comparison in quantized
           if not comparison.static_wins]  # fmt: skip
    if not quantized:
        return "No quantized static network of it is trained yet.\n"
    saved = f"; the median win saves {numbers.percent(median(won), 0)}" if won else ""
    share = f"{len(won)} of its {len(quantized)} comparisons with quantized static networks"
    return f"A hybrid wins {share}{saved}.\n"


def _beside(network: str) -> str:
    """What else may decide, at the prices that the dashboard opens with."""
    table, _ = cards.baselines_table(network, evaluation.Prices())
    cells = [[str(cell).replace(" | ", " / ") for cell in row] for row in table.to_numpy()]
    return (
        "All that may decide, the static network first and the hybrid after it (`compute`, "
        f"`{energy.DEFAULT_PROFILE}`, `{energy.DEFAULT_LINK}`):\n\n"
        + _table(list(table.columns), cells)
    )


def _memory(network: str) -> str:
    held = [
        f"{cards.variant_title(one)} {numbers.kilobytes(energy.edge_weight_bytes(one.layers))}"
        for one in zoo.card(network).variants.values()
    ]
    return f"Weights that the device holds: {', '.join(held)}.\n"


def _epochs(network: str) -> str:
    """How long each variant was trained, counted from the twin on: an edge for who had more."""
    variants = zoo.card(network).variants
    told = [
        f"{cards.variant_title(one)} {_epochs_from_twin(one, variants)}"
        for one in variants.values()
        if one.name != zoo.TWIN
    ]
    twin = variants[zoo.TWIN]
    return f"Epochs of training, after the {twin.epochs} of the twin: {', '.join(told)}.\n"


def _epochs_from_twin(variant: zoo.Variant, variants: Mapping[str, zoo.Variant]) -> str:
    """Its own epochs and those of what it started from, as far as the twin.

    Where a start was trained again since, the variant has epochs of weights that are gone.
    """
    epochs, older = 0, False
    while variant.name != zoo.TWIN:
        epochs += variant.epochs
        start = variants[variant.recipe["start"]]
        kept = variant.origins.get(start.name)
        older = older or kept not in {None, start.files[zoo.WEIGHTS]}
        variant = start
    return f"{epochs} and those of an earlier start" if older else str(epochs)


def speed() -> str:
    """The last row that each benchmark of speed wrote."""
    last = {line.partition(",")[0]: line for line in _results() if PROMISES not in line}
    return "".join(f"```\n{line.replace(', ', chr(10))}\n```\n" for line in last.values())


def promises() -> str:
    """How often each kind of certificate broke its promise, from each network's last row."""
    rows = [dict(pair.split("=", 1) for pair in line.split(", ")) for line in _results(PROMISES)]
    last = {row["network"]: row for row in rows}
    table = [_promise_row(row, key, name) for row in last.values() for key, name in KINDS.items()]
    return _table(PROMISE_COLUMNS, table)


POINT_COLUMNS = (
    "variant", "stays at the edge", "accuracy", "final exit alone", "energy an image",
    "energy reduction", "uplink an image", "weights",
)  # fmt: skip
PROMISES = "benchmark=certificates"
PROMISE_COLUMNS = (
    "network", "certificate", "images", "true figure", "bound, median", "promise broken",
    "above the bound on the rest",
)  # fmt: skip
KINDS = {
    "betting": "accuracy lost (betting)",
    "regret": "right in the cloud, wrong where it left (Clopper–Pearson)",
    "disagreement": "another answer than the cloud's (Clopper–Pearson)",
    "band": "accuracy lost, whole grid at once (betting)",
    "fixed_sequence": "accuracy lost, point chosen (fixed sequence)",
}
BLOCKS: dict[str, Callable[[], str]] = {
    "help": help_texts,
    "points": points,
    "promises": promises,
    "published": published,
    "rivals": rivals,
    "speed": speed,
}


def _results(kind: str = "benchmark=") -> list[str]:
    lines = RESULTS.read_text().splitlines() if RESULTS.is_file() else []
    return [line for line in lines if line.startswith(kind)]


def _promise_row(row: dict[str, str], kind: str, name: str) -> list[str]:
    def percent(key: str, digits: int = 2) -> str:
        return numbers.percent(float(row[f"{kind}_{key}"]), digits)

    chosen = float(row.get(f"{kind}_certified", 1))
    if not chosen:
        return [row["network"], name, row["samples"], "", "nothing certified", "never", ""]
    broken = f"{percent('broken', 1)} ± {percent('se', 1)}"
    figures = [percent("truth"), percent("bound"), broken, percent("rest", 1)]
    return [row["network"], name, row["samples"], *figures]


def _point_row(network: str, variant: zoo.Variant) -> list[str]:
    thresholds = (THRESHOLD,) * variant.early_exits
    point = evaluate_variant(zoo.card(network), variant, thresholds)
    weights = sum(layer.packed_bytes for layer in variant.layers)
    return [
        cards.variant_title(variant),
        *_point_words(point, variant.is_static),
        numbers.kilobytes(weights),
    ]


def _point_words(point: OperatingPoint, static: bool) -> list[str]:
    outcome = point.outcome
    return [
        "all of it" if static else numbers.percent(outcome.edge_fraction),
        numbers.percent(outcome.accuracy, 2),
        "" if static else numbers.percent(outcome.final_exit_accuracy, 2),
        numbers.energy(point.energy_pj),
        numbers.ratio(point.energy_reduction),
        numbers.kilobytes(point.uplink_bytes),
    ]


def _help(*command: str) -> str:
    plain = {"COLUMNS": "88", "TERM": "dumb", "NO_COLOR": "1"}
    shown = CliRunner().invoke(app, [*command, "--help"], prog_name="hybrid", env=plain).output
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    return "```\n" + "\n".join(lines) + "\n```\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (columns, ruler, *rows))


if __name__ == "__main__":
    main()
