"""The commands about images: `download`, `trace`, `import-images` and `predict`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli import output
from hybrid.cli.options import AsJson, Bits, Measure, Network, PointFile, Split, Static, Thresholds
from hybrid.errors import ImageError, UnknownNameError

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
    app.command(
        epilog="Example: hybrid predict digits-vgg --bits 4 --thresholds 0.9,0.8 seven.png"
    )(predict)


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
    split: Split = "test",
    out: Annotated[
        Path | None,
        typer.Option(help="File for the trace. Default: its place in pretrained/.", dir_okay=False),
    ] = None,
) -> None:
    """Run a network over a split and record every exit's prediction for every image."""
    from hybrid import data, zoo
    from hybrid.data import user_splits
    from hybrid.inference import record
    from hybrid.traces import trace

    if split not in (known := (*data.SPLITS, *user_splits.names(network))):
        raise UnknownNameError("split", split, known)
    variant = zoo.variant(network, bits, static=static)
    loaded = zoo.load_variant(network, variant)
    if split in user_splits.names(network):
        _record_user_split(network, variant, split, out)
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
    bits: Annotated[
        int | None,
        typer.Option(help="Record only the variant of this bit width. Default: all variants."),
    ] = None,
    static: Static = False,
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
    variants = (
        tuple(card.variants.values())
        if bits is None
        else (zoo.variant(network, bits, static=static),)
    )
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
        )
        plans = ingest.divided(whole) if tune_certify else (whole,)
        for plan in plans:
            with output.progress(f"Reading {plan.about.name}") as progress:
                about = ingest.ingest(plan, source.read, progress=progress)
            output.say_imported(about)
    output.say_left_out(found, table)
    for plan in plans:
        for variant in variants:
            _record_user_split(network, variant, plan.about.name)


def predict(
    network: Annotated[str, typer.Argument(help="Name of a network; leave it out with --point.")],
    images: Annotated[
        list[Path] | None, typer.Argument(help="Image files: PNG, JPEG, WebP, GIF, BMP or TIFF.")
    ] = None,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    measure: Measure = "max_probability",
    point: PointFile = None,
    as_json: AsJson = False,
) -> None:
    """Classify images and show where each one exits; layers after that exit are not run.

    With --point, leave out the network and --bits: the file has them.

    Unreadable files are skipped; exit code 2 if there were any.
    """
    from hybrid import policy, zoo

    network, images = _network_and_images(network, images or [], point)
    card, variant = zoo.card(network), zoo.variant(network, bits, static=static)
    limits = policy.check_thresholds(thresholds, variant.early_exits)
    loaded = None
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for path in images:
        try:
            seen = _pixels(path, card)
        except ImageError as error:
            refused.append(str(error))
            continue
        loaded = loaded or zoo.load_variant(network, variant)
        answer = loaded.infer(_batch(seen, card), limits, measure=measure)
        rows.append({"image": str(path)} | output.answer_json(answer, card, variant))
    if as_json and rows:
        output.print_json(rows)
    for row in () if as_json else rows:
        taken = output.exit_name(row["exit"], variant)
        typer.echo(f"{row['image']}: {row['class']}, {taken}")
        for said in row["exits"]:
            name = output.exit_name(said["exit"], variant)
            typer.echo(f"  {name:<10}  {said['class']:<12} {said['confidence']:.4f}")
    for sentence in refused:
        typer.echo(sentence, err=True)
    if refused:
        raise typer.Exit(2)


def _network_and_images(
    network: str, images: list[Path], point: Path | None
) -> tuple[str, list[Path]]:
    """With a point file, which names its network, the first argument is an image."""
    if point is not None:
        from hybrid.choosing import load_point

        chosen = load_point(point).network
        images = images if network == chosen else [Path(network), *images]
        network = chosen
    if not images:
        raise ImageError("No image was named; give at least one file.")
    return network, images


def _record_user_split(
    network: str, variant: "Variant", split: str, out: Path | None = None
) -> None:
    """Record the trace of a variant on a user split, and print where it is."""
    from hybrid import zoo
    from hybrid.data import user_splits
    from hybrid.inference.record import record_user_split

    about = user_splits.split(network, split)
    loaded = zoo.load_variant(network, variant)
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


def _pixels(path: Path, card: "Card") -> Any:
    """A file as the network sees it: uint8 (size, size, channels)."""
    from hybrid.data.preprocess import read_input

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}); name an image file.") from None
    return read_input(path.name, content, size=card.size, channels=card.channels)


def _batch(pixels: Any, card: "Card") -> Any:
    """Preprocessed pixels as a torch batch of one."""
    import torch

    from hybrid.data.preprocess import normalise

    return torch.from_numpy(normalise(pixels[None], card.dataset))
