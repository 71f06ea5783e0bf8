"""The command `predict`: images through a network, one row each, as they are read."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hybrid import energy
from hybrid.cli import output
from hybrid.cli.options import (
    AsJson,
    Bits,
    CloudProfileName,
    Deployed,
    Fit,
    LinkName,
    Measure,
    PointFile,
    ProfileName,
    Scope,
    Static,
    Thresholds,
)
from hybrid.errors import ImageError

if TYPE_CHECKING:
    from io import BufferedReader

    from hybrid.data.sources.inputs import ImageInput
    from hybrid.zoo import Card, Variant

__all__ = ["add_to"]

_BATCH = 32  # images that are run at once; a list of paths on stdin is answered line by line
COLUMNS = ("file", "exit", "exit_name", "class", "confidence", "energy_pj", "uplink_bytes")

Row = dict[str, Any]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid predict digits-vgg --bits 4 --thresholds 0.9,0.8 photos --csv"
    )(predict)


def predict(
    network: Annotated[str, typer.Argument(help="Name of a network; leave it out with --point.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files, folders and zips; - reads an image, a zip or a list of paths from "
            "stdin."
        ),
    ] = None,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    deployed: Deployed = False,
    measure: Measure = "max_probability",
    fit: Fit = "crop",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    cloud_profile: CloudProfileName = "",
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    point: PointFile = None,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help=f"Print a row per image as CSV: {', '.join(COLUMNS)}."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Classify images and show where each one exits; layers after that exit are not run.

    With --point, leave out the network and --bits: the file has them. Energy and uplink are those
    of the exit taken.

    Rows are printed as the images are read. Unreadable files are skipped and named; exit code 2
    if there were any.
    """
    from hybrid import evaluation, policy, zoo
    from hybrid.data.preprocess import check_fit
    from hybrid.data.sources import inputs

    network, given = _network_and_images(network, images or [], point)
    card = zoo.card(network)
    variant = zoo.variant(network, bits, static=static, deployed=deployed)
    limits = policy.check_thresholds(thresholds, variant.early_exits)
    check_fit(fit)
    prices = evaluation.Prices.named(profile=profile, link=link, scope=scope, cloud=cloud_profile)
    costs = evaluation.costs(variant, prices)
    refused: list[int] = []

    def say_refused(sentence: str) -> None:
        refused.append(1)
        typer.echo(sentence, err=True)

    def say_note(sentence: str) -> None:
        typer.echo(sentence, err=True)

    stdin = cast("BufferedReader", sys.stdin.buffer)
    read = inputs.each(given, stdin, note=say_note)
    seen = _pixels(read, card, fit, say_refused)
    batch = 1 if inputs.STDIN in given else _BATCH
    rows = _rows(_batches(seen, batch), (card, variant), limits, measure)
    if as_csv:
        _print_csv(rows, costs)
    elif as_json:
        _print_json(rows)
    else:
        _print_text(rows, variant)
    if refused:
        raise typer.Exit(2)


def _network_and_images(
    network: str, images: list[str], point: Path | None
) -> tuple[str, list[str]]:
    """With a point file, which names its network, the first argument is an image."""
    if point is not None:
        from hybrid.choosing import load_point

        chosen = load_point(point).network
        images = images if network == chosen else [network, *images]
        network = chosen
    if not images:
        raise ImageError("No image was named; give at least one file or folder, or - for stdin.")
    return network, images


def _pixels(
    read: "Iterable[ImageInput]", card: "Card", fit: str, say: Callable[[str], None]
) -> Iterator[tuple[str, Any]]:
    """Name and pixels of every image that can be read, uint8 (size, size, channels)."""
    from hybrid.data.preprocess import read_input

    for one in read:
        if one.sentence:
            say(one.sentence)
            continue
        try:
            yield (
                one.name,
                read_input(one.name, one.data, size=card.size, channels=card.channels, fit=fit),
            )
        except ImageError as error:
            say(str(error))


def _batches(seen: Iterator[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    batch: list[tuple[str, Any]] = []
    for one in seen:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _rows(
    batches: Iterator[list[tuple[str, Any]]],
    network: "tuple[Card, Variant]",
    limits: Sequence[float],
    measure: str,
) -> Iterator[Row]:
    """The answer for each image, as `--json` prints it."""
    from hybrid.deploy.network import load_variant

    card, variant = network
    loaded = None
    for batch in batches:
        loaded = loaded or load_variant(card.network, variant, engine="torch")
        pixels = _normalised([pixels for _, pixels in batch], card)
        answer = loaded.infer(pixels, limits, measure=measure)
        for sample, (name, _) in enumerate(batch):
            found = output.answer_json(answer, card, variant, sample=sample)
            yield {"image": name} | found


def _normalised(pixels: list[Any], card: "Card") -> Any:
    """Preprocessed pixels as a torch batch."""
    import numpy as np
    import torch

    from hybrid.data.preprocess import normalise

    return torch.from_numpy(normalise(np.stack(pixels), card.dataset))


def _print_csv(rows: Iterator[Row], costs: "energy.ExitCosts") -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for row in rows:
        taken = row["exit"]
        said = row["exits"][taken]
        cells = (row["image"], taken, row["exit_name"], row["class"], said["confidence"])
        out.writerow((*map(_plain, cells), costs.energy_pj[taken], costs.uplink_bytes[taken]))
        sys.stdout.flush()


def _plain(cell: Any) -> Any:
    """A name that is not UTF-8 is printed with replacements."""
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def _print_json(rows: Iterator[Row]) -> None:
    """One JSON list, written as it grows."""
    before = "[\n"
    for row in rows:
        text = json.dumps(row, indent=2, allow_nan=False, ensure_ascii=False)
        typer.echo(before + "\n".join(f"  {line}" for line in text.splitlines()), nl=False)
        before = ",\n"
    if before != "[\n":
        typer.echo("\n]")


def _print_text(rows: Iterator[Row], variant: "Variant") -> None:
    for row in rows:
        taken = output.exit_name(row["exit"], variant)
        typer.echo(f"{_plain(row['image'])}: {row['class']}, {taken}")
        for said in row["exits"]:
            name = output.exit_name(said["exit"], variant)
            typer.echo(f"  {name:<10}  {said['class']:<12} {said['confidence']:.4f}")
