"""The `hybrid` command: words in, calls to the library, tables or JSON out.

JSON goes alone to stdout; progress and the one sentence of an error go to stderr. Every import
that costs time stands inside the command that needs it, so `evaluate` never waits for torch.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hybrid import energy
from hybrid.errors import HybridError, RecipeError

if TYPE_CHECKING:
    from hybrid.evaluation import Certified
    from hybrid.matching import Match
    from hybrid.networks import Inference
    from hybrid.own_splits import OwnSplit
    from hybrid.policy import OperatingPoint
    from hybrid.zoo import Card, Variant

__all__ = ["app"]

_SHOWN = 20  # files that could not be read, of those that are listed


class _Commands(TyperGroup):
    """The one place where an error of the library becomes a sentence and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except HybridError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Early-exit networks cut between a quantized edge and a full-precision cloud.",
)

Network = Annotated[str, typer.Argument(help="A network, as `hybrid networks` lists them.")]
Bits = Annotated[int, typer.Option(help="Bit width of the edge's layers.")]
Static = Annotated[
    bool, typer.Option("--static", help="The static network of that width: no exit, no cut.")
]
Thresholds = Annotated[
    str, typer.Option(help="One per early exit, from 0 to 1, with commas: 0.9,0.8.")
]
Measure = Annotated[
    str, typer.Option(help="Confidence measure: max_probability, margin or entropy.")
]
Split = Annotated[
    str, typer.Option(help="tune, certify, test, or one of your own that `record` made.")
]
ProfileName = Annotated[
    str, typer.Option("--profile", help="Hardware profile, or the path of your own TOML file.")
]
LinkName = Annotated[
    str, typer.Option("--link", help="Link profile, or the path of your own TOML file.")
]
Scope = Annotated[str, typer.Option(help=f"What is counted: {', '.join(energy.SCOPES)}.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command(epilog="Example: hybrid networks")
def networks(*, as_json: AsJson = False) -> None:
    """List the networks that lie in pretrained/."""
    from hybrid import zoo

    cards = [zoo.card(name) for name in zoo.networks()]
    if as_json:
        _print_json([_network_json(card) for card in cards])
        return
    for card in cards:
        typer.echo(f"{card.network}: {card.title}")
        for variant in card.variants.values():
            typer.echo(f"  {variant.name:<14} {_accuracies(variant)}")


@app.command(
    epilog="Example: hybrid evaluate digits-vgg --bits 4 --thresholds 0.9,0.8 --json",
)
def evaluate(
    network: Network,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    measure: Measure = "max_probability",
    split: Split = "test",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    certify: Annotated[
        bool,
        typer.Option(
            "--certify",
            help="Add what leaving early costs at most; fix the thresholds before you look.",
        ),
    ] = False,
    confidence: Annotated[
        float, typer.Option(help="Of the certificate, above 0 and below 1.")
    ] = 0.95,
    as_json: AsJson = False,
) -> None:
    """What stays at the edge, how right it is and what it costs, at these thresholds.

    A certificate comes from the certify split, or from one of your own where --split names it.
    """
    from hybrid import zoo
    from hybrid.evaluation import Prices, certified, disagreement, evaluate

    prices = Prices(profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope)
    point = evaluate(
        network, bits, thresholds, static=static, measure=measure, split=split, prices=prices
    )
    about: dict[str, Any] = {"network": network, "bits": bits, "split": split}
    if not point.outcome.labelled:
        recorded = zoo.trace(network, zoo.variant_name(bits, static=static), split)
        about["disagreement"] = disagreement(recorded, point.outcome.thresholds, measure)
    made = None
    if certify:
        made = certified(
            network,
            bits,
            point.outcome.thresholds,
            static=static,
            measure=measure,
            split=split,
            confidence=confidence,
        )
    priced = {"scope": scope, "profile": prices.profile.name}
    if as_json:
        promised = {} if made is None else {"certificate": made.to_dict()}
        _print_json(_point_json(about, point, priced) | promised)
    else:
        _print_table(_point_rows(about | priced | {"link": prices.link.name}, point))
        _print_table(_certificate_rows(made))


@app.command("energy", epilog="Example: hybrid energy digits-vgg --bits 4 --json")
def energy_(
    network: Network,
    *,
    bits: Bits,
    static: Static = False,
    profile: ProfileName = energy.DEFAULT_PROFILE,
    scope: Scope = energy.SCOPES[0],
    as_json: AsJson = False,
) -> None:
    """The census: each layer with its MACs, its bits and its energy when a sample runs it."""
    from hybrid import zoo

    prices = energy.load_profile(profile)
    layers = zoo.variant(network, bits, static=static).layers
    rows = [
        asdict(layer) | {"energy_pj": energy.layer_energy_pj(layer, prices, scope)}
        for layer in layers
    ]
    if as_json:
        _print_json(rows)
        return
    typer.echo(f"{'layer':<24}{'segment':<9}{'MACs':>12}{'bits':>7}{'energy':>12}")
    for row in rows:
        width = f"{row['weight_bits']}/{row['activation_bits']}"
        name, joules = f"{row['name']:<24}{row['segment']:<9}", _joules(row["energy_pj"])
        typer.echo(f"{name}{row['macs']:>12,}{width:>7}{joules:>12}")
    typer.echo(f"Energy ({scope}) with {prices.title}.")


@app.command(epilog="Example: hybrid trace digits-vgg --bits 4 --split test --out test.parquet")
def trace(
    network: Network,
    *,
    bits: Bits,
    static: Static = False,
    split: Split = "test",
    out: Annotated[
        Path | None, typer.Option(help="Where the trace goes; without it, into pretrained/.")
    ] = None,
) -> None:
    """Run a network over a split once and write what every exit says of every sample."""
    from hybrid import data, own_splits, record, trace, zoo

    variant = zoo.variant(network, bits, static=static)
    loaded = zoo.load(network, bits=bits, static=static)
    if split in own_splits.names(network):
        _record_own(network, variant, split, out)
        return
    samples = data.load(zoo.card(network).dataset, split)
    with _progress(f"{network} {variant.name} on {split}") as progress:
        recorded = record.record(
            loaded,
            samples,
            name=network,
            variant=variant.name,
            weights_sha256=variant.files["weights.safetensors"],
            progress=progress,
        )
    path = out or zoo.trace_path(network, variant.name, split)
    trace.save(recorded, path)
    typer.echo(f"{recorded.samples:,} samples written to {path}.", err=True)


@app.command(epilog="Example: hybrid record digits-vgg --bits 4 --images photos --name mine")
def record(
    network: Network,
    *,
    bits: Bits,
    images: Annotated[
        Path, typer.Option(help="A folder or a zip; the folder an image lies in is its label.")
    ],
    name: Annotated[str, typer.Option(help="What the split is called from now on.")],
    labels: Annotated[
        Path | None, typer.Option(help="A CSV of file and label instead of folders.")
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(help="A label and its class, dog=canine; may be given several times."),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Do not look at labels: accuracy stays unknown.")
    ] = False,
    divide: Annotated[
        bool,
        typer.Option("--divide", help="Two splits, NAME-tune to choose on and NAME-certify."),
    ] = False,
    invert: Annotated[
        bool, typer.Option("--invert", help="Exchange light and dark, for ink on paper.")
    ] = False,
    static: Static = False,
) -> None:
    """Make a split of your own images and record what every exit says of them.

    What was killed goes on where it was, if the same is asked for again. Similar labels are
    proposed and not taken: confirm them with --match.
    """
    from hybrid import collect, sources, zoo
    from hybrid.matching import match as matches

    card, variant = zoo.card(network), zoo.variant(network, bits, static=static)
    table_of_labels = None if labels is None else _bytes(labels)
    with sources.opened(images, labels=table_of_labels) as source:
        words = () if no_labels else sources.label_words(source, card.classes)
        found = matches(words, card.classes)
        table = _match_table(found, match or (), card)
        whole = collect.plan(
            source,
            card,
            name=name,
            words=words,
            table=None if no_labels else table,
            inverted=invert,
        )
        plans = collect.divided(whole) if divide else (whole,)
        for plan in plans:
            with _progress(f"Reading {plan.about.name}") as progress:
                about = collect.collect(plan, source.read, progress=progress)
            _say_collected(about)
    _say_left_out(found, table)
    for plan in plans:
        _record_own(network, variant, plan.about.name)


@app.command(epilog="Example: hybrid predict digits-vgg --bits 4 --thresholds 0.9,0.8 seven.png")
def predict(
    network: Network,
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP, GIF, BMP or TIFF files.")],
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    measure: Measure = "max_probability",
    as_json: AsJson = False,
) -> None:
    """What each exit says of your images; the layers after the exit taken are not run."""
    from hybrid import policy, zoo

    card, variant = zoo.card(network), zoo.variant(network, bits, static=static)
    limits = policy.check_thresholds(thresholds, variant.exits)
    pixels = [_pixels(path, card) for path in images]
    loaded = zoo.load(network, bits=bits, static=static)
    rows: list[dict[str, Any]] = []
    for path, seen in zip(images, pixels, strict=True):
        answer = loaded.infer(_batch(seen, card), limits, measure=measure)
        rows.append({"image": str(path)} | _answer_json(answer, card, variant))
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        typer.echo(f"{row['image']}: {row['class']}, left at exit {row['exit']}")
        for said in row["exits"]:
            typer.echo(f"  exit {said['exit']}  {said['class']:<12} {said['confidence']:.4f}")


@app.command(epilog="Example: hybrid train digits-vgg --variant hybrid-4bit --runs runs")
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships, or the path of your own.")],
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; may be given several times.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints to resume from.")] = Path(
        "runs"
    ),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many training images, for a trial.")
    ] = None,
) -> None:
    """Train what is missing of a recipe's variants and put it into pretrained/, card and all.

    A run that was killed goes on from its last epoch and ends in the same weights.
    """
    from hybrid.training.recipe import load_recipe

    plans = load_recipe(recipe)
    chosen = tuple(plans.plan(name).name for name in variant or ())
    try:
        from lightning.pytorch.callbacks import RichProgressBar

        from hybrid.training.run import Run, train
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"Training needs {error.name}, which is not installed; "
            'install it with: pip install "hybrid[train]".'
        ) from None
    bar = RichProgressBar(console_kwargs={"stderr": True})
    train(plans, Run(folder=runs, limit=limit, callbacks=(bar,)), variants=chosen)


@app.command(epilog="Example: hybrid card digits-vgg")
def card(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships, or the path of your own.")],
) -> None:
    """Record all traces of a network anew and write its card from them; weights stay."""
    from hybrid.training.publish import renew
    from hybrid.training.recipe import load_recipe

    renew(load_recipe(recipe))


@app.command(epilog="Example: hybrid profiles")
def profiles(*, as_json: AsJson = False) -> None:
    """List the hardware and link profiles with their sources."""
    found: dict[str, Sequence[energy.Profile | energy.Link]] = {
        "hardware": [energy.load_profile(name) for name in energy.profile_names()],
        "links": [energy.load_link(name) for name in energy.link_names()],
    }
    if as_json:
        _print_json({kind: [asdict(one) for one in some] for kind, some in found.items()})
        return
    for kind, some in found.items():
        typer.echo(f"{kind.capitalize()}:")
        for one in some:
            typer.echo(f"  {one.name:<22} {one.title}\n{'':25}{one.source}")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def _print_table(rows: Iterable[tuple[str, str]]) -> None:
    for name, value in rows:
        typer.echo(f"{name:<24}{value}")


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; gives what is to be called with done and total."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _record_own(network: str, variant: "Variant", split: str, out: Path | None = None) -> None:
    """Record the trace of a variant on an own split, and say where it is."""
    from hybrid import own_splits, zoo
    from hybrid.record import record_own

    about = own_splits.split(network, split)
    loaded = zoo.load(network, bits=variant.bits, static=variant.kind == "static")
    with _progress(f"{network} {variant.name} on {split}") as progress:
        path = record_own(
            loaded,
            about,
            variant=variant.name,
            weights_sha256=variant.files[zoo.WEIGHTS],
            out=out,
            progress=progress,
        )
    typer.echo(f"{about.samples:,} samples written to {path}.", err=True)


def _match_table(
    found: Sequence["Match"], given: Sequence[str], card: "Card"
) -> dict[str, str | None]:
    """Word → class: what is sure, and what --match says."""
    from hybrid.errors import SourceError, UnknownNameError

    table = {one.word: None if one.proposed else one.class_name for one in found}
    for pair in given:
        word, _, class_name = pair.partition("=")
        if word not in table:
            raise UnknownNameError("label", word, table)
        if class_name not in card.classes:
            raise UnknownNameError("class", class_name, card.classes)
        table[word] = class_name
    guesses = [f"--match {one.word}={one.class_name}" for one in found if one.proposed]
    if found and not any(table.values()) and guesses:
        raise SourceError(
            f"No label is a class of {card.network}, but some are similar; if they are meant, "
            f"add: {' '.join(guesses)}."
        )
    return table


def _say_collected(about: "OwnSplit") -> None:
    from hybrid import own_splits

    typer.echo(f"{about.name}: {about.samples:,} images.", err=True)
    if about.skipped:
        typer.echo(f"{about.skipped:,} files could not be read:", err=True)
        for one in own_splits.skipped(about)[:_SHOWN]:
            typer.echo(f"  {one.sentence}", err=True)


def _say_left_out(found: Sequence["Match"], table: dict[str, str | None]) -> None:
    for one in found:
        if table[one.word] is None:
            guess = f"; if you mean {one.class_name}, --match does it" if one.class_name else ""
            were = "1 image" if one.images == 1 else f"{one.images:,} images"
            typer.echo(
                f"{were} labelled {one.word!r} {'was' if one.images == 1 else 'were'} left out: "
                f"no class has that name{guess}.",
                err=True,
            )


def _bytes(path: Path) -> bytes:
    from hybrid.errors import SourceError

    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}); name a CSV file.") from None


def _network_json(card: "Card") -> dict[str, Any]:
    return {
        "network": card.network,
        "title": card.title,
        "dataset": card.dataset,
        "bits": sorted(v.bits for v in card.variants.values() if v.kind == "hybrid"),
        "static_bits": sorted(v.bits for v in card.variants.values() if v.kind == "static"),
        "accuracy": {v.name: v.accuracy for v in card.variants.values()},
    }


def _accuracies(variant: "Variant") -> str:
    exits = zip(variant.exit_names, variant.accuracy.get("test", ()), strict=False)
    return "accuracy on test: " + ", ".join(f"{name} {100 * a:.1f} %" for name, a in exits)


def _point_json(
    about: dict[str, Any], point: "OperatingPoint", priced: dict[str, str]
) -> dict[str, Any]:
    values = point.to_dict()
    counted = ("samples", "thresholds", "measure", "exit_fractions", "edge_fraction")
    right = ("accuracy", "final_exit_accuracy", "twin_accuracy")
    spent = ("energy_pj", "twin_energy_pj", "energy_reduction", "uplink_bytes")
    before = {key: values[key] for key in counted + right}
    return about | before | priced | {key: values[key] for key in spent}


def _point_rows(about: dict[str, Any], point: "OperatingPoint") -> Iterator[tuple[str, str]]:
    outcome = point.outcome
    for name, value in about.items():
        yield name, f"{100 * value:.2f} %" if name == "disagreement" else str(value)
    yield "samples", f"{outcome.samples:,}"
    for i, fraction in enumerate(outcome.exit_fractions[:-1]):
        yield f"leave at exit {i}", f"{100 * fraction:.2f} %"
    yield "take the final exit", f"{100 * outcome.exit_fractions[-1]:.2f} %"
    if outcome.labelled:
        yield "accuracy", f"{100 * outcome.accuracy:.2f} %"
        yield "final exit's accuracy", f"{100 * outcome.final_exit_accuracy:.2f} %"
    else:
        yield "accuracy", "unknown: these images have no labels"
    if point.twin_accuracy is not None:
        yield "twin's accuracy", f"{100 * point.twin_accuracy:.2f} %"
    yield "energy per image", _joules(point.energy_pj)
    yield "twin's energy", _joules(point.twin_energy_pj)
    yield "energy reduction", f"{point.energy_reduction:.2f}x ({about['scope']})"
    yield "latency", f"{point.latency_ms:.3g} ms"
    yield "uplink", f"{point.uplink_bytes:.1f} bytes"


def _certificate_rows(made: "Certified | None") -> Iterator[tuple[str, str]]:
    if made is None:
        return
    yield "certificate", made.overall.sentence
    for i, one in enumerate(made.exits):
        words = "nobody leaves" if one is None else f"{one.claim} ({one.samples:,} images)"
        yield f"of those at exit {i}", words


def _joules(picojoules: float) -> str:
    """Energy with the unit that leaves one to three digits before the point.

    >>> _joules(221_000_000)
    '221 µJ'
    """
    for size, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if picojoules >= size:
            return f"{picojoules / size:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def _pixels(path: Path, card: "Card") -> Any:
    """What the network sees of a file: uint8 (size, size, channels)."""
    from hybrid.errors import ImageError
    from hybrid.images import read_image
    from hybrid.preprocess import preprocess

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); name an image file.") from None
    return preprocess(read_image(path.name, content), card.size, card.channels)


def _batch(pixels: Any, card: "Card") -> Any:
    """Preprocessed pixels as a torch batch of one."""
    import torch

    from hybrid.preprocess import normalise

    return torch.from_numpy(normalise(pixels[None], card.dataset))


def _answer_json(answer: "Inference", card: "Card", variant: "Variant") -> dict[str, Any]:
    """The exit taken, and what each exit that was computed said."""
    taken = int(answer.exits[0])
    said: Sequence[dict[str, Any]] = [
        {
            "exit": i,
            "exit_name": variant.exit_names[i],
            "class": card.classes[int(answer.probabilities[0, i].argmax())],
            "confidence": float(answer.confidences[0, i]),
        }
        for i in range(taken + 1)
    ]
    name = {"exit": taken, "exit_name": variant.exit_names[taken]}
    return name | {"class": said[taken]["class"], "exits": said}
