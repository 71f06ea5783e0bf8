"""The command `freeze`: trained variants to deployment forms with traces of their own."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.options import AsJson, Network
from hybrid.cli.output import print_json

if TYPE_CHECKING:
    from hybrid.deploy.freezing import Frozen

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(epilog="Example: hybrid freeze digits-vgg --bits 4")(freeze)


def freeze(
    network: Network,
    *,
    bits: Annotated[
        int | None, typer.Option(help="Only this bit width. Default: all from 1 to 8.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a network's deployment forms, record their traces and add them to its card.

    A form computes the edge in whole numbers, with the same bits on every machine. It is a
    variant of its own, deployed-4bit beside hybrid-4bit.
    """
    from hybrid.deploy.freezing import freeze as run
    from hybrid.deploy.freezing import widths

    made = []
    for width in widths(network, bits):
        made.append(run(network, width, say=partial(_say, width)))
        if not as_json:
            _print(made[-1])
    if as_json:
        print_json([_row(one) for one in made])


def _say(bits: int, text: str) -> None:
    typer.echo(f"{bits} bit: {text}", err=True)


def _print(one: "Frozen") -> None:
    typer.echo(f"{one.deployed.name}   test accuracy, trained and as deployed; answers changed")
    rows = zip(
        one.deployed.exit_names,
        one.trained.accuracy["test"],
        one.deployed.accuracy["test"],
        one.different,
        strict=True,
    )
    for name, trained, deployed, different in rows:
        typer.echo(f"  {name:<8}{trained:>9.2%}{deployed:>9.2%}{different:>9.2%}")


def _row(one: "Frozen") -> dict[str, object]:
    return {
        "variant": one.deployed.name,
        "exits": one.deployed.exit_names,
        "trained_accuracy": one.trained.accuracy["test"],
        "deployed_accuracy": one.deployed.accuracy["test"],
        "different": one.different,
        "sha256": one.deployed.files["weights.safetensors"],
    }
