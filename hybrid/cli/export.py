"""The command `export`: a network at an operating point as a bundle, and bundles checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.options import AsJson, Measure, PointFile, Split, Thresholds
from hybrid.cli.output import print_json, say
from hybrid.errors import BundleError

if TYPE_CHECKING:
    from hybrid.deploy.bundles.writing import Point

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid export digits-vgg --bits 4 --thresholds 0.9,0.8 --out bundle"
    )(export)


def export(
    network: Annotated[
        str,
        typer.Argument(help="Name of a network; leave it out with --point or --check."),
    ] = "",
    *,
    bits: Annotated[int, typer.Option(help="Bit width of the layers on the device.")] = 0,
    thresholds: Thresholds = "",
    measure: Measure = "max_probability",
    split: Split = "test",
    confidence: Annotated[
        float, typer.Option(help="Confidence of the certificates, between 0 and 1.")
    ] = 0.95,
    point: PointFile = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; a bundle that is there is replaced."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Check this bundle instead: files, ONNX graphs and C library."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a bundle: the edge in C and ONNX, the cloud in ONNX, thresholds and certificates.

    The network must have been frozen at these bits (`hybrid freeze`). The certificates come from
    the traces of its deployment form: one with the cloud there, and one with the cloud down, where
    the most confident exit answers. Without thresholds every image is sent and nothing certified.

    Your own model has no exact form, so its bundle has ONNX graphs alone and no certificate; the
    manifest says what is not promised.
    """
    if check is not None:
        _check(check, as_json=as_json)
        return
    if out is None or not network or not bits:
        raise BundleError("Name a network, its --bits (or a --point) and a folder with --out.")
    from hybrid.deploy.bundles.manifest import read_manifest
    from hybrid.deploy.bundles.writing import write_bundle

    asked = _point(network, bits, thresholds, measure, split, confidence, point)
    files = write_bundle(network, bits, out, asked)
    if as_json:
        print_json(read_manifest(out))
        return
    say(f"{files} files written to {out}.", err=True)
    if words := read_manifest(out).get("not_promised"):
        say(words)
    for name, made in asked.certificates.items():
        if made is not None and "sentence" in made:
            say(f"{name.replace('_', ' ')}: {made['sentence']}")
        elif made is not None:
            say(f"{name.replace('_', ' ')}: at most {made['bound_points']:.1f} points, as chosen.")


def _point(
    network: str,
    bits: int,
    thresholds: str,
    measure: str,
    split: str,
    confidence: float,
    path: Path | None,
) -> "Point":
    """The operating point that was asked for, with its certificates."""
    from hybrid import policy, zoo
    from hybrid.choosing import load_point
    from hybrid.deploy.bundles.promises import check_point, promises
    from hybrid.deploy.bundles.writing import Point
    from hybrid.models.user_models import is_reference

    chosen = None if path is None else load_point(path)
    if chosen is not None:
        check_point(chosen, network, bits)
    if not thresholds:
        return Point(measure=measure)
    exact = not is_reference(zoo.card(network).architecture)
    early = zoo.variant(network, bits, deployed=exact).early_exits
    limits = policy.check_thresholds(thresholds, early)
    if not exact:
        return Point(thresholds=limits, measure=measure)  # no certificate covers its graphs
    if chosen is not None and chosen.answers[2:] != (limits, measure):
        chosen = None  # an option changed the point, so its certificate does not apply
    made = promises(
        network, bits, limits, measure=measure, confidence=confidence, split=split, chosen=chosen
    )
    return Point(thresholds=limits, measure=measure, certificates=made)


def _check(folder: Path, *, as_json: bool) -> None:
    from hybrid.deploy.bundles.checking import check_bundle

    compared: list[Any] = []
    for sentence in check_bundle(folder):
        compared.append(sentence)
        if not as_json:
            say(sentence)
    if as_json:
        print_json({"compared": compared})
