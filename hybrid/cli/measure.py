"""The command `measure`: edge and cloud as two processes over a split, beside what was promised."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid import energy
from hybrid.cli.options import AsJson, ProfileName, Split
from hybrid.cli.output import print_json, print_wide_table, progress, say
from hybrid.errors import ProfileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hybrid.deploy.edge.bundle import EdgeBundle
    from hybrid.monitor import AnswerLine
    from hybrid.zoo import Variant

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid measure bundle --split test --link wifi-esp32 --save-profile mine"
    )(measure)


def measure(
    bundle: Annotated[Path, typer.Argument(help="Folder that `hybrid export` wrote.")],
    *,
    split: Split = "test",
    link: Annotated[
        str,
        typer.Option(
            help="Link profile, or the path to your own: a proxy makes the line as slow as that "
            "radio. Without it, the line is as it is."
        ),
    ] = "",
    cloud: Annotated[
        str,
        typer.Option(help="Address of a cloud that runs. Default: one is started on this machine."),
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File with the token that the cloud asks for.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="PEM file of the authority to trust, in place of the system's."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(help="PEM file of this device's certificate, for a cloud with --client-ca."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM file of its key, without a password.")
    ] = None,
    max_images: Annotated[
        int, typer.Option(min=1, help="Measure the first so many images only.")
    ] = 1_000_000,
    deadline_ms: Annotated[
        float, typer.Option(min=1, max=3.6e6, help="Deadline of every image.")
    ] = 60_000.0,
    profile: ProfileName = energy.DEFAULT_PROFILE,
    save_profile: Annotated[
        Path | None,
        typer.Option(
            help="Write a hardware profile with the rates that were measured and the energies of "
            "--profile. A name puts it among your own, which Explore, Choose and --profile offer; "
            "a path that ends with .toml is that file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a split through edge and cloud, and compare with its trace and the profiles.

    Per exit: images, milliseconds on the device, the wire and in the cloud (median / 95th
    percentile), and bytes, beside what the trace and the profiles promise.

    Exit code 1 if an exit or an answer is not that of the trace.
    """
    from hybrid import evaluation, zoo
    from hybrid.deploy.edge.bundle import load_bundle
    from hybrid.deploy.measuring.measure import check_trace, measured
    from hybrid.text import measured as text

    place = None if save_profile is None else _place(save_profile)
    edge = load_bundle(bundle)
    radio = energy.load_link(link or energy.DEFAULT_LINK)
    variant = zoo.variant(edge.network, edge.bits, deployed=True)
    images = zoo.images(edge.network, split).images
    trace = zoo.trace(edge.network, variant.name, split)
    check_trace(trace, edge.weights, len(images))
    slow = radio if link else None
    secrets = {"--token-file": token_file, "--ca": ca, "--cert": cert, "--key": key}
    found, seconds = _answered(edge, images[:max_images], slow, cloud, secrets, deadline_ms)
    prices = evaluation.Prices(profile=energy.load_profile(profile), link=radio)
    result = measured(
        found, seconds, trace, edge.thresholds, edge.measure, evaluation.costs(variant, prices)
    )
    if place is not None:
        _save(place, found, variant, edge, prices.profile)
    if as_json:
        print_json(result.to_dict() | {"link": link, "profile": profile})
    else:
        print_wide_table(text.COLUMNS, text.table(result))
        say(text.sentence(result))
        say(f"Promised by {prices.profile.title} and {radio.title}.")
    if not result.as_promised:
        raise typer.Exit(1)


def _place(name: Path) -> Path:
    """Where a profile is written: a file that is named, or one among the user's own."""
    if name.suffix == ".toml":
        return name
    from hybrid.energy.profiles import FOLDER, own_folder

    if len(name.parts) != 1 or name.name.startswith("."):
        raise ProfileError(f"{name} is no name of a profile; give a plain name, or end in .toml.")
    if (FOLDER / "hardware" / f"{name}.toml").is_file():
        raise ProfileError(f"{name} is a profile that comes with hybrid; choose another name.")
    return own_folder() / f"{name}.toml"


def _answered(
    bundle: "EdgeBundle",
    images: Any,
    slow: "energy.Link | None",
    cloud: str,
    secrets: "Mapping[str, Path | None]",
    deadline_ms: float,
) -> "tuple[list[AnswerLine], float]":
    """All lines, from both processes and the line between them; and the seconds it took."""
    from hybrid.cli.edge import link_to
    from hybrid.deploy.measuring.asking import answered
    from hybrid.deploy.measuring.processes import cloud_of, slowed

    if cloud and (
        link := link_to(cloud, *secrets.values())
    ):  # its sentences come before any process
        link.close()
    words = [word for name, path in secrets.items() if path for word in (name, str(path))]
    with ExitStack() as stack:
        there = cloud or stack.enter_context(cloud_of(bundle.folder))
        url = stack.enter_context(slowed(there, slow))
        shown = stack.enter_context(progress("Measuring"))
        return answered(
            bundle.folder, images, url, deadline_ms=deadline_ms, words=words,
            report=lambda done: shown(done, len(images)),
        )  # fmt: skip


def _save(
    path: Path,
    lines: "list[AnswerLine]",
    variant: "Variant",
    bundle: "EdgeBundle",
    base: "energy.Profile",
) -> None:
    from hybrid.deploy.measuring.profile import measured_profile, save_profile

    made = measured_profile(
        lines, variant.layers, early=bundle.early, base=base, name=path.stem,
        network=bundle.network, bits=bundle.bits,
    )  # fmt: skip
    save_profile(made, path)
    say(f"The profile is in {path}.", err=True)
