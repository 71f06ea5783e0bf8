"""Generate the marked blocks of README.md and docs/: tables and help texts.

`python -m scripts.documents` renews them all; tests/test_documents.py fails if one differs. A block
is between `<!-- begin: NAME -->` and `<!-- end: NAME -->`, in one document.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median

import click
import typer
from typer.testing import CliRunner

from benchmarks import questions
from hybrid import energy, evaluation, zoo
from hybrid.choosing.baselines import Comparison, PricedCurves, comparisons, priced_curves
from hybrid.choosing.published import rows as published_rows
from hybrid.cli.main import app
from hybrid.evaluation import evaluate_variant
from hybrid.policy import OperatingPoint
from hybrid.text import numbers
from hybrid.text import published as paper
from hybrid.text.glossary import TERMS
from hybrid.ui.networks import cards
from scripts.deploy_tables import ENGINES, engines, microcontrollers
from scripts.records import last, results, table

ROOT = Path(__file__).resolve().parent.parent
THRESHOLD = 0.8  # where the dashboard's sliders start
OVERVIEW_BITS = 4  # of the hybrid and the static network in the README's table
NOT_TRAINED = "not trained"
MARKED = re.compile(r"(<!-- begin: ([a-z_]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


def main() -> None:
    """Write every document with its blocks renewed."""
    for page in pages():
        page.write_text(renewed(page.read_text()))


def pages() -> list[Path]:
    """README.md and the documents in docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def renewed(text: str) -> str:
    """The same text with each marked block generated again."""
    return MARKED.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def overview() -> str:
    """A row per network: what it reaches, and how often a static network does better."""
    return table(OVERVIEW_COLUMNS, map(_overview_row, zoo.networks()))


def _overview_row(network: str) -> list[str]:
    named = (zoo.TWIN, f"hybrid-{OVERVIEW_BITS}bit", f"static-{OVERVIEW_BITS}bit")
    variants = zoo.card(network).variants
    points = [_point(network, variants[name]) if name in variants else None for name in named]
    twin, hybrid, static = map(_accuracy_and_energy, points)
    edge = numbers.percent(points[1].outcome.edge_fraction) if points[1] else NOT_TRAINED
    quantized = _quantized(_compared(network))
    won = sum(not one.static_wins for one in quantized)
    return [zoo.card(network).title, twin, hybrid, edge, static, f"{won} of {len(quantized)}"]


def _accuracy_and_energy(point: OperatingPoint | None) -> str:
    if point is None:
        return NOT_TRAINED
    return f"{numbers.percent(point.outcome.accuracy, 2)}, {numbers.energy(point.energy_pj)}"


def help_texts() -> str:
    """The output of `hybrid --help` and of every command's `--help`, 88 columns wide."""
    texts = [f"## hybrid\n\n{_help()}"]
    texts += [f"## hybrid {name}\n\n{_help(name)}" for name in commands()]
    return "\n".join(texts)


def commands() -> Mapping[str, click.Command]:
    """Every command of the command line by name, in the order of `hybrid --help`."""
    found: Mapping[str, click.Command] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return found


def glossary() -> str:
    """A row per term: its name and its meaning."""
    rows = (f"| {name} | {term.meaning} |\n" for name, term in TERMS.items())
    return "| term | meaning |\n| --- | --- |\n" + "".join(rows)


def points() -> str:
    """Every variant at the thresholds at which the dashboard opens, by network."""
    parts = []
    for network in zoo.networks():
        card = zoo.card(network)
        rows = [_point_row(network, variant) for variant in card.variants.values()]
        parts.append(f"**{card.title}** (`{network}`)\n\n" + table(POINT_COLUMNS, rows))
    return "\n".join(parts)


def published() -> str:
    """The published figures and what the networks here reach."""
    return table(paper.COLUMNS, paper.table(published_rows())) + f"\n{paper.NOTE}\n"


def baselines() -> str:
    """Hybrids compared with static networks of the same accuracy, by scope and profile."""
    parts = []
    for network in zoo.networks():
        found = _curves(network)
        names = [static.variant.name for static in found[0].statics]
        columns = ("scope, profile", *names)
        rows = [(f"{one.scope}, {one.profile}", *map(_verdict, comparisons(one))) for one in found]
        parts.append(f"**{zoo.card(network).title}**\n\n" + table(columns, rows))
        parts.append(_summary(_quantized(_compared(network))))
        parts.append(_beside(network))
        parts.append(_memory(network))
        parts.append(_epochs(network))
    return "\n".join(parts)


@cache
def _curves(network: str) -> Sequence[PricedCurves]:
    return priced_curves(network)


def _compared(network: str) -> list[Comparison]:
    return [one for curves in _curves(network) for one in comparisons(curves)]


def _quantized(compared: Iterable[Comparison]) -> list[Comparison]:
    return [one for one in compared if one.static != zoo.TWIN]


def _verdict(comparison: Comparison) -> str:
    static = numbers.energy(comparison.static_energy_pj)
    if not comparison.hybrid:
        return f"**static**, {static}: no hybrid is as accurate"
    hybrid = numbers.energy(comparison.hybrid_energy_pj)
    if comparison.static_wins:
        return f"**static**, {static} against {hybrid}"
    return f"{comparison.hybrid}, {hybrid} against {static}"


def _summary(quantized: Sequence[Comparison]) -> str:
    won = [1 - one.hybrid_energy_pj / one.static_energy_pj for one in quantized
           if not one.static_wins]  # fmt: skip
    if not quantized:
        return "It has no quantized static network yet.\n"
    saved = f"; the median win saves {numbers.percent(median(won), 0)}" if won else ""
    share = f"{len(won)} of its {len(quantized)} comparisons with quantized static networks"
    return f"A hybrid wins {share}{saved}.\n"


def _beside(network: str) -> str:
    """Other figures that may matter, at the prices with which the dashboard opens."""
    beside, _ = cards.baselines_table(network, evaluation.Prices())
    cells = [[str(cell).replace(" | ", " / ") for cell in row] for row in beside.to_numpy()]
    return (
        "Everything that may decide, the static network first, then the hybrid (`compute`, "
        f"`{energy.DEFAULT_PROFILE}`, `{energy.DEFAULT_LINK}`):\n\n"
        + table(list(beside.columns), cells)
    )


def _memory(network: str) -> str:
    held = [
        f"{cards.variant_title(one)} {numbers.kilobytes(energy.edge_weight_bytes(one.layers))}"
        for one in zoo.card(network).variants.values()
    ]
    return f"Weights on the device: {', '.join(held)}.\n"


def _epochs(network: str) -> str:
    """How long each variant was trained after the twin: longer training is an advantage."""
    variants = zoo.card(network).variants
    counted = [
        f"{cards.variant_title(one)} {_epochs_from_twin(one, variants)}"
        for one in variants.values()
        if one.name != zoo.TWIN
    ]
    twin = variants[zoo.TWIN]
    return f"Epochs of training, after the {twin.epochs} of the twin: {', '.join(counted)}.\n"


def _epochs_from_twin(variant: zoo.Variant, variants: Mapping[str, zoo.Variant]) -> str:
    """Its own epochs and those of the variants it started from, back to the twin.

    If a start was trained again later, some of the epochs were those of weights that are gone.
    """
    epochs, older = 0, False
    while variant.name != zoo.TWIN:
        epochs += variant.epochs
        start = variants[variant.recipe["start"]]
        kept = variant.origins.get(start.name)
        older = older or kept not in {None, start.files[zoo.WEIGHTS]}
        variant = start
    return f"{epochs} and those of an earlier start" if older else str(epochs)


def benchmarks() -> str:
    """The last row of each benchmark of speed."""
    others = (
        line
        for line in results()
        if not line.startswith((CERTIFICATES, MONITOR, FAULTS, MEASURED, ENGINES))
    )
    newest = {line.partition(",")[0]: line for line in others}
    return "".join(f"```\n{line.replace(', ', chr(10))}\n```\n" for line in newest.values())


def faults() -> str:
    """A row per kind of fault, the seldom answered by the cloud first, and their sum."""
    rows = [*last("benchmark=fault_kind", "kind").values()]
    rows.sort(key=lambda row: (int(row["cloud"]) / int(row["faults"]), row["kind"]))
    total = [{"kind": "all"} | row for row in last("benchmark=faults", "network").values()]
    return table(FAULT_COLUMNS, map(_fault_row, [*rows, *total]))


def _fault_row(row: dict[str, str]) -> list[str]:
    counts = [f"{int(row[key]):,}" for key in ("faults", "cloud", "fallback")]
    bad = [f"{int(row[key]):,}" for key in ("late", "wrong", "raised")]
    return [row["kind"], *counts, *bad, f"{float(row['worst_ms']):.1f}"]


def measured() -> str:
    """Both processes over a split, a row per line and exit."""
    rows = last(MEASURED, "network", "link", "exit").values()
    return table(MEASURED_COLUMNS, map(_measured_row, rows))


def _measured_row(row: dict[str, str]) -> list[str]:
    times = [
        f"{float(row[f'{part}_ms_median']):.2f} / {float(row[f'{part}_ms_p95']):.2f}"
        if f"{part}_ms_median" in row
        else ""
        for part in ("device", "wire", "cloud")
    ]
    counts = [f"{int(row[key]):,}" for key in ("answered", "in_trace")]
    line = "this machine" if row["link"] == "none" else f"`{row['link']}`"
    promised = f"{float(row['promised_ms']):.1f}"
    return [line, row["exit"], *counts, *times, promised, f"{float(row['sent_bytes']):,.0f}"]


def certificates() -> str:
    """How often each kind of certificate was violated, from each network's last row."""
    newest = last(CERTIFICATES, "network")
    rows = [
        _certificate_row(row, key, name)
        for row in newest.values()
        for key, name in KINDS.items()
        if f"{key}_broken" in row
    ]
    return table(CERTIFICATE_COLUMNS, rows)


def monitor_false_alarms() -> str:
    """Alarms of devices that keep the promise, as it was and with other exit shares."""
    kept = last(f"{MONITOR}_false_alarms", "network")
    moved = last(f"{MONITOR}_benign", "network", "change")
    rows = [
        _false_alarm_row(row, alpha, f"alarms_at_{alpha}", "as in the trace")
        for row in kept.values()
        for alpha in ("0.01", "0.05")
    ]
    rows += [_false_alarm_row(row, row["alpha"], "alarms", row["change"]) for row in moved.values()]
    return table(FALSE_ALARM_COLUMNS, rows)


def _false_alarm_row(row: dict[str, str], alpha: str, key: str, change: str) -> list[str]:
    often, error = (numbers.percent(float(row[name])) for name in (key, f"{key}_se"))
    return [
        row["network"],
        change,
        numbers.percent(float(row["promise"]), 2),
        f"{int(row['runs']):,} × {int(row['images']):,}",
        numbers.percent(float(alpha), 0),
        f"{often} ± {error}",
        numbers.percent(float(row["recent_alarms"])),
    ]


def monitor_delay() -> str:
    """Images to the alarm when the disagreement doubles, by share of audits."""
    found = last(f"{MONITOR}_delay", "network", "audited")
    return table(
        DELAY_COLUMNS,
        (
            [
                row["network"],
                numbers.percent(float(row["audited"]), 0),
                *(f"{float(row[key]):,.0f}" for key in ("images", "images_median", "goal")),
                f"{float(row['uniform']):,.0f}",
                f"{float(row['recent']):,.0f}",
            ]
            for row in found.values()
        ),
    )


def monitor_drift() -> str:
    """Corrupted images: how often answers differ, and how soon that is found."""
    found = last(f"{MONITOR}_drift", "network", "corruption", "strength")
    return table(DRIFT_COLUMNS, map(_drift_row, found.values()))


def _drift_row(row: dict[str, str]) -> list[str]:
    images = f"{float(row['images']):,.0f}" if "images" in row else ""
    return [
        row["network"],
        f"{row['corruption']} {row['strength']}",
        numbers.percent(float(row["exits_apart"])),
        numbers.percent(float(row["differ"]), 2),
        "broken" if row["broken"] == "True" else "kept",
        numbers.percent(float(row["found"]), 0),
        images,
        f"{float(row['suffered']):.2f}",
    ]


def monitor_mapie() -> str:
    """All labels, beside MAPIE."""
    found = last(f"{MONITOR}_mapie", "network")
    rows = (
        [row["network"], *(f"{float(row[key]):,.0f}" for key in ("images", "mapie"))]
        for row in found.values()
    )
    return table(("network", "monitor", "MAPIE"), rows)


def first_questions() -> str:
    """The answers to the first questions at the sliders' start, by the question's number."""
    return table(questions.COLUMNS, questions.rows())


OVERVIEW_COLUMNS = (
    "network", "full precision", f"hybrid, {OVERVIEW_BITS}-bit edge", "answered at the edge",
    f"static, {OVERVIEW_BITS} bit", "comparisons a hybrid wins",
)  # fmt: skip
POINT_COLUMNS = (
    "variant", "answered at the edge", "accuracy", "final exit alone", "energy per image",
    "energy reduction", "uplink per image", "weights",
)  # fmt: skip
CERTIFICATES = "benchmark=certificates"
CERTIFICATE_COLUMNS = (
    "network", "certificate", "images", "true figure", "bound, median", "violated",
    "above the bound on the rest",
)  # fmt: skip
MONITOR = "benchmark=monitor"
FAULTS = "benchmark=fault"
MEASURED = "benchmark=measure"
MEASURED_COLUMNS = [
    "line", "answered by", "images", "in trace", "device, ms", "wire, ms", "cloud, ms",
    "promised, ms", "bytes",
]  # fmt: skip
FAULT_COLUMNS = [
    "fault", "images", "cloud", "fallback", "late", "wrong", "errors", "slowest, ms",
]  # fmt: skip
FALSE_ALARM_COLUMNS = (
    "network", "exit shares", "promise", "runs × images", "alpha", "runs with an alarm",
    "with one of the restarting test",
)  # fmt: skip
DELAY_COLUMNS = (
    "network", "audited", "images to the alarm, mean", "median", "goal", "with uniform audits",
    "restarting test",
)  # fmt: skip
DRIFT_COLUMNS = (
    "network", "corruption", "exit shares apart", "answers that differ", "promise",
    "runs with an alarm", "images to it, median", "suffered by then, in promises",
)  # fmt: skip
KINDS = {
    "exact": "accuracy lost (exact)",
    "questions": "accuracy lost, ten questions of which each follows the answers (exact)",
    "betting": "accuracy lost (betting)",
    "regret": "final exit correct, exit taken incorrect (Clopper–Pearson)",
    "disagreement": "exit taken differs from the final exit (Clopper–Pearson)",
    "band": "accuracy lost, all settings together (fixed bets)",
    "fixed_sequence": "accuracy lost, chosen point (fixed sequence)",
}
BLOCKS: dict[str, Callable[[], str]] = {
    f.__name__: f
    for f in (
        overview,
        glossary,
        points,
        published,
        baselines,
        certificates,
        first_questions,
        benchmarks,
        monitor_false_alarms,
        monitor_delay,
        monitor_drift,
        monitor_mapie,
        faults,
        measured,
        engines,
        microcontrollers,
    )
} | {"help": help_texts}


def _certificate_row(row: dict[str, str], kind: str, name: str) -> list[str]:
    def percent(key: str, digits: int = 2) -> str:
        return numbers.percent(float(row[f"{kind}_{key}"]), digits)

    chosen = float(row.get(f"{kind}_certified", 1))
    if not chosen:
        return [row["network"], name, row["samples"], "", "nothing certified", "never", ""]
    broken = f"{percent('broken', 1)} ± {percent('se', 1)}"
    figures = [percent("truth"), percent("bound"), broken, percent("rest", 1)]
    return [row["network"], name, row["samples"], *figures]


def _point(network: str, variant: zoo.Variant) -> OperatingPoint:
    thresholds = (THRESHOLD,) * variant.early_exits
    return evaluate_variant(zoo.card(network), variant, thresholds)


def _point_row(network: str, variant: zoo.Variant) -> list[str]:
    point = _point(network, variant)
    weights = sum(layer.packed_bytes for layer in variant.layers)
    cells = _point_words(point, static=variant.is_static)
    return [cards.variant_title(variant), *cells, numbers.kilobytes(weights)]


def _point_words(point: OperatingPoint, *, static: bool) -> list[str]:
    outcome = point.outcome
    return [
        "all" if static else numbers.percent(outcome.edge_fraction),
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


if __name__ == "__main__":
    main()
