"""The `hybrid` command: words in, calls to the library, tables or JSON out.

JSON goes alone to stdout; progress and the one sentence of an error go to stderr. Every import
that costs time stands inside the command that needs it, so `evaluate` never waits for torch.
"""

import errno
import sys
from collections.abc import Sequence
from dataclasses import asdict
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hybrid import energy
from hybrid.cli import (
    choose,
    cloud,
    dashboard,
    edge,
    evaluate,
    export,
    fleet,
    former,
    freeze,
    images,
    measure,
    models,
    monitor,
    output,
    predict,
    train,
)
from hybrid.cli.options import (
    AsJson,
    Bits,
    CloudProfileName,
    Network,
    ProfileName,
    Scope,
    Static,
)
from hybrid.errors import HybridError
from hybrid.text import numbers

__all__ = ["app"]


_INTERRUPTED = 130  # as shells say it for SIGINT
_PACKAGES = (
    "torch", "torchvision", "lightning", "streamlit", "plotly", "pandas", "onnx", "onnxruntime",
    "cv2", "simpy", "uvicorn",
)  # fmt: skip


class _Commands(TyperGroup):
    """The one place where an error becomes a sentence and exit code 2."""

    def main(self, *args: Any, **named: Any) -> Any:
        """Run the program; letters that the terminal does not have are replaced."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **named)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command by its present or former name."""
        words, renamed = former.translated(args)
        for old, new in renamed.items():
            output.say(f"`{old}` is now `{new}`.", err=True)
        return super().resolve_command(ctx, words)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except HybridError as error:
            output.say(str(error), err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            output.say("Stopped.", err=True)
            raise typer.Exit(_INTERRUPTED) from None
        except ModuleNotFoundError as error:
            if error.name not in _PACKAGES:
                raise
            output.say(
                f"This command needs {error.name}, which is not installed; see docs/install.md.",
                err=True,
            )
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # click's to deal with
                raise
            place = error.filename2 or error.filename or "A file"
            why = error.strerror or error
            output.say(
                f"{place} cannot be read or written ({why}); name another path, or make room or "
                "allow it there.",
                err=True,
            )
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Early-exit networks split between a quantized edge device and a full-precision cloud.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from hybrid import __version__

        typer.echo(f"hybrid {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(epilog="Example: hybrid networks")
def networks(*, as_json: AsJson = False) -> None:
    """List the networks in pretrained/ with their bit widths and accuracy."""
    from hybrid import zoo

    cards, problems = zoo.cards()
    for problem in problems:
        output.say(problem, err=True)
    if not cards and not problems:
        output.say(
            f"There are no networks in {zoo.pretrained_folder()}; set HYBRID_PRETRAINED to another "
            "folder, or train one with `hybrid train`.",
            err=True,
        )
    if as_json:
        output.print_json([output.network_json(card) for card in cards])
        return
    for card in cards:
        output.say(f"{card.network}: {card.title}")
        for variant in card.variants.values():
            output.say(f"  {variant.name:<14} {output.accuracies(variant)}")


@app.command("energy", epilog="Example: hybrid energy digits-vgg --bits 4 --json")
def energy_(
    network: Network,
    *,
    bits: Bits,
    static: Static = False,
    profile: ProfileName = energy.DEFAULT_PROFILE,
    cloud_profile: CloudProfileName = "",
    scope: Scope = energy.SCOPES[0],
    as_json: AsJson = False,
) -> None:
    """List the layers with their MACs, bit widths and energy per image."""
    from hybrid import zoo

    device = energy.load_profile(profile)
    cloud = energy.load_profile(cloud_profile) if cloud_profile else None
    layers = zoo.variant(network, bits, static=static).layers
    rows = [
        asdict(layer) | {"energy_pj": energy.layer_energy_pj(layer, device, scope, cloud)}
        for layer in layers
    ]
    if as_json:
        output.print_json(rows)
        return
    output.say(f"{'layer':<24}{'segment':<9}{'MACs':>12}{'bits':>7}{'energy':>12}")
    for row in rows:
        width = f"{row['weight_bits']}/{row['activation_bits']}"
        name, joules = f"{row['name']:<24}{row['segment']:<9}", numbers.energy(row["energy_pj"])
        output.say(f"{name}{row['macs']:>12,}{width:>7}{joules:>12}")
    apart = f"; in the cloud, {cloud.title}" if cloud else ""
    output.say(f"Energy ({scope}) with {device.title}{apart}.")


@app.command(epilog="Example: hybrid profiles")
def profiles(*, as_json: AsJson = False) -> None:
    """List the hardware and link profiles with their sources."""
    found: dict[str, Sequence[energy.Profile | energy.Link]] = {
        "hardware": [energy.load_profile(name) for name in energy.profile_names()],
        "links": [energy.load_link(name) for name in energy.link_names()],
    }
    if as_json:
        output.print_json({kind: [asdict(one) for one in some] for kind, some in found.items()})
        return
    for kind, some in found.items():
        output.say(f"{kind.capitalize()}:")
        for one in some:
            output.say(f"  {one.name:<22} {one.title}\n{'':25}{one.source}")


@app.command(epilog="Example: hybrid published")
def published(*, as_json: AsJson = False) -> None:
    """Compare published early-exit figures with what the networks here reach."""
    from hybrid.choosing.published import rows
    from hybrid.text.published import COLUMNS, NOTE, table

    made = rows()
    if as_json:
        output.print_json([row.to_dict() for row in made])
    else:
        output.print_wide_table(COLUMNS, table(made))
        output.say(NOTE)


for module in (
    dashboard,
    evaluate,
    choose,
    train,
    images,
    predict,
    models,
    freeze,
    export,
    cloud,
    edge,
    measure,
    fleet,
    monitor,
):
    module.add_to(app)
