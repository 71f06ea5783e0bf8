"""Arguments and options that several commands share, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

from hybrid import energy
from hybrid.traces.confidence import MEASURES

__all__ = [
    "AsJson",
    "Bits",
    "CloudProfileName",
    "Deployed",
    "Engine",
    "Fit",
    "LinkName",
    "Measure",
    "Network",
    "PointFile",
    "ProfileName",
    "Scope",
    "Split",
    "Static",
    "Thresholds",
]

Network = Annotated[str, typer.Argument(help="Name of a network, as listed by `hybrid networks`.")]
Bits = Annotated[int, typer.Option(help="Bit width of the layers on the device.")]
Fit = Annotated[
    str,
    typer.Option(
        help="How a picture that is not square becomes so: crop (its middle), stretch or letterbox "
        "(black bars)."
    ),
]
Static = Annotated[
    bool,
    typer.Option("--static", help="Use the static network of that bit width: no exits, no cut."),
]
Deployed = Annotated[
    bool,
    typer.Option(
        "--deployed",
        help="Use the deployment form of that bit width, made with `hybrid freeze`: what a device "
        "really answers.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What computes the deployment form: c, torch or numpy, all with the same answers. "
        "Implies --deployed. Default: c where there is a C compiler, else torch."
    ),
]
Thresholds = Annotated[
    str, typer.Option(help="One threshold per early exit, 0 to 1, separated by commas: 0.9,0.8.")
]
Measure = Annotated[str, typer.Option(help=f"Confidence measure: {', '.join(MEASURES)}.")]
Split = Annotated[
    str, typer.Option(help="tune, certify, test, or a user split made with `import-images`.")
]
ProfileName = Annotated[
    str,
    typer.Option(
        "--profile", help="Name of a hardware profile, or the path to your own TOML file."
    ),
]
CloudProfileName = Annotated[
    str,
    typer.Option(
        "--cloud-profile",
        help="Hardware profile of the cloud, as --profile. Default: the cloud is priced like the "
        "device. The twin keeps the prices of the device.",
    ),
]
LinkName = Annotated[
    str, typer.Option("--link", help="Name of a link profile, or the path to your own TOML file.")
]
Scope = Annotated[
    str,
    typer.Option(
        help=f"What the energy includes: {', '.join(energy.SCOPES)}. `compute` leaves out the "
        "radio."
    ),
]


def _read_point(context: typer.Context, path: Path | None) -> Path | None:
    """Take the defaults of all options that were not given from the point file."""
    if path is None:
        return None
    from hybrid.choosing import load_point

    point = load_point(path)
    context.default_map = {
        "network": point.network,
        "bits": point.bits,
        "thresholds": ",".join(map(repr, point.thresholds)),
        "static": point.static,
        "deployed": point.deployed,
        "measure": point.measure,
        "profile": point.profile,
        "cloud_profile": point.cloud_profile,
        "link": point.link,
        "scope": point.scope,
    } | ({"split": point.split} if point.split else {})
    return path


PointFile = Annotated[
    Path | None,
    typer.Option(
        "--point",
        help="File with network, bits, thresholds and prices, from `choose --out` (TOML) or from "
        "Explore (JSON).",
        is_eager=True,
        callback=_read_point,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
