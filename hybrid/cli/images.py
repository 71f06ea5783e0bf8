"""The commands about images: `download`, `trace` and `import-images`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli import output
from hybrid.cli.options import Bits, Deployed, Engine, Fit, Network, Split, Static
from hybrid.errors import UnknownNameError

if TYPE_CHECKING:
    from hybrid.data.labels import Match
    from hybrid.zoo import Card, Variant

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command(epilog="Example: hybrid download cifar10")(download)
    app.command(epilog="Example: hybrid trace digits-vgg --bits 4 --split test --out test.parquet")(
        trace
    )
    app.command(
        "import-images",
        epilog="Example: hybrid import-images digits-vgg --images photos --name mine",
    )(import_images)


def download(
    dataset: Annotated[str, typer.Argument(help="cifar10 or cifar100; digits needs no download.")],
) -> None:
    """Download a data set, to train networks on it and run them over its images.

    HYBRID_DATA names the folder; without it, the user's cache folder is used.
    """
    from hybrid import data

    there = dataset in data.DATASETS and data.available(dataset)
    with output.progress(f"Downloading {dataset}") as progress:
        data.download(dataset, progress=progress)
    if dataset == "digits":
        typer.echo("digits comes with scikit-learn; there is nothing to download.", err=True)
        return
    typer.echo(
        f"{dataset} {'was already' if there else 'is now'} in {data.data_folder()}.", err=True
    )


def trace(
    network: Network,
    *,
    bits: Bits,
    static: Static = False,
    deployed: Deployed = False,
    engine: Engine = "",
    split: Split = "test",
    out: Annotated[
        Path | None,
        typer.Option(help="File for the trace. Default: its place in pretrained/.", dir_okay=False),
    ] = None,
) -> None:
    """Run a network over a split and record every exit's prediction for every image."""
    from hybrid import data, zoo
    from hybrid.data import user_splits
    from hybrid.deploy.network import load_variant
    from hybrid.inference import record
    from hybrid.traces import trace

    if split not in (known := (*data.SPLITS, *user_splits.names(network))):
        raise UnknownNameError("split", split, known)
    variant = zoo.variant(network, bits, static=static, deployed=deployed or bool(engine))
    loaded = load_variant(network, variant, engine=engine)
    if split in user_splits.names(network):
        _record_user_split(network, variant, split, out, engine=engine)
        return
    samples = zoo.images(network, split)
    with output.progress(f"{network} {variant.name} on {split}") as progress:
        recorded = record.record(
            loaded,
            samples,
            name=network,
            variant=variant.name,
            weights_sha256=variant.files[zoo.WEIGHTS],
            progress=progress,
        )
    path = out or zoo.trace_path(network, variant.name, split)
    trace.save(recorded, path)
    typer.echo(f"{recorded.samples:,} samples written to {path}.", err=True)


def import_images(
    network: Network,
    *,
    images: Annotated[Path, typer.Option(help="A folder or a zip, with one folder per class.")],
    name: Annotated[str, typer.Option(help="Name of the new split.")],
    labels: Annotated[
        Path | None, typer.Option(help="A CSV with the columns file and label, instead of folders.")
    ] = None,
    map_label: Annotated[
        list[str] | None,
        typer.Option(help="Map a label to a class: canine=dog. Can be repeated."),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Ignore labels; accuracy stays unknown.")
    ] = False,
    tune_certify: Annotated[
        bool,
        typer.Option(
            "--tune-certify",
            help="Make two splits: NAME-tune to choose on and NAME-certify to certify on.",
        ),
    ] = False,
    invert: Annotated[
        bool, typer.Option("--invert", help="Invert the images, for dark ink on white paper.")
    ] = False,
    fit: Fit = "crop",
    bits: Annotated[
        int | None,
        typer.Option(help="Record only the variant of this bit width. Default: all variants."),
    ] = None,
    static: Static = False,
    deployed: Annotated[
        bool,
        typer.Option(
            "--deployed",
            help="Record the deployment forms, made with `hybrid freeze`, instead of the trained "
            "variants.",
        ),
    ] = False,
    engine: Engine = "",
) -> None:
    """Make a split from your own images and record every exit's predictions for them.

    `hybrid choose --images NAME` chooses on images imported with --tune-certify. Run the same
    command again to resume an interrupted import. Labels that are only similar to a class are
    suggested, not used: confirm them with --map-label.
    """
    from hybrid import zoo
    from hybrid.data import ingest, sources
    from hybrid.data.labels import match

    card = zoo.card(network)
    variants = _variants(card, bits, static=static, deployed=deployed or bool(engine))
    table_of_labels = None if labels is None else sources.table_bytes(labels)
    with sources.opened(images, labels=table_of_labels) as source:
        output.say_found(source)
        words = () if no_labels else sources.label_words(source, card.classes)
        found = match(words, card.classes)
        table = _map_labels(found, map_label or (), card)
        whole = ingest.plan_ingest(
            source,
            card,
            name=name,
            words=words,
            table=None if no_labels else table,
            inverted=invert,
            fit=fit,
        )
        plans = ingest.divided(whole) if tune_certify else (whole,)
        for plan in plans:
            with output.progress(f"Reading {plan.about.name}") as progress:
                about = ingest.ingest(plan, source.read, progress=progress)
            output.say_imported(about)
    output.say_left_out(found, table)
    for plan in plans:
        for variant in variants:
            _record_user_split(network, variant, plan.about.name, engine=engine)


def _variants(
    card: "Card", bits: int | None, *, static: bool, deployed: bool
) -> tuple["Variant", ...]:
    """The variant of a bit width; all trained ones or all deployment forms without one."""
    from hybrid import zoo
    from hybrid.errors import FormError

    if bits is not None:
        return (zoo.variant(card.network, bits, static=static, deployed=deployed),)
    if not deployed:
        return tuple(card.variants.values())
    if not card.deployed:
        raise FormError(
            f"{card.network} has no deployment form; make them with `hybrid freeze {card.network}`."
        )
    return card.deployed


def _record_user_split(
    network: str, variant: "Variant", split: str, out: Path | None = None, *, engine: str = ""
) -> None:
    """Record the trace of a variant on a user split, and print where it is."""
    from hybrid import zoo
    from hybrid.data import user_splits
    from hybrid.deploy.network import load_variant
    from hybrid.inference.record import record_user_split

    about = user_splits.split(network, split)
    loaded = load_variant(network, variant, engine=engine)
    with output.progress(f"{network} {variant.name} on {split}") as progress:
        path = record_user_split(
            loaded,
            about,
            variant=variant.name,
            weights_sha256=variant.files[zoo.WEIGHTS],
            out=out,
            progress=progress,
        )
    typer.echo(f"{about.samples:,} samples written to {path}.", err=True)


def _map_labels(
    found: Sequence["Match"], given: Sequence[str], card: "Card"
) -> dict[str, str | None]:
    """Word to class: certain matches, and what --map-label adds."""
    from hybrid.data.labels import class_table
    from hybrid.errors import SourceError

    pairs = (pair.partition("=") for pair in given)
    table = class_table(found, {word: name for word, _, name in pairs}, card.classes)
    guesses = [f"--map-label {one.word}={one.class_name}" for one in found if one.proposed]
    if found and not any(table.values()) and guesses:
        raise SourceError(
            f"No label is a class of {card.network}, but some are similar. If these are right, "
            f"add: {' '.join(guesses)}."
        )
    return table
