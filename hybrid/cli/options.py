"""Arguments and options that several commands share, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

from hybrid import energy

__all__ = [
    "AsJson",
    "Bits",
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
    str, typer.Option(help="tune, certify, test, or one of your own made by `import-images`.")
]
ProfileName = Annotated[
    str, typer.Option("--profile", help="Hardware profile, or the path of your own TOML file.")
]
LinkName = Annotated[
    str, typer.Option("--link", help="Link profile, or the path of your own TOML file.")
]
Scope = Annotated[str, typer.Option(help=f"What is counted: {', '.join(energy.SCOPES)}.")]


def _read_point(context: typer.Context, path: Path | None) -> Path | None:
    """What a point file says becomes the default of every option that was not given."""
    if path is None:
        return None
    from hybrid.choosing import load_point

    point = load_point(path)
    context.default_map = {
        "network": point.network,
        "bits": point.bits,
        "thresholds": ",".join(map(repr, point.thresholds)),
        "static": point.static,
        "measure": point.measure,
        "profile": point.profile,
        "link": point.link,
        "scope": point.scope,
    }
    return path


PointFile = Annotated[
    Path | None,
    typer.Option(
        "--point",
        help="What `choose --out` wrote; it says network, bits, thresholds and prices.",
        is_eager=True,
        callback=_read_point,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
