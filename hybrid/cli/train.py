"""The commands `train` and `refresh`: recipes to published networks, traces and cards."""

from pathlib import Path
from typing import Annotated

import typer

from hybrid.errors import RecipeError

__all__ = ["add_to"]

RecipeName = Annotated[
    str, typer.Argument(help="Name of a shipped recipe, or the path to your own.")
]
Variants = Annotated[
    list[str] | None, typer.Option("--variant", help="Only this variant. Can be repeated.")
]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command(epilog="Example: hybrid train digits-vgg --variant hybrid-4bit --checkpoints runs")(
        train
    )
    app.command(epilog="Example: hybrid refresh digits-vgg")(refresh)


def train(
    recipe: RecipeName,
    *,
    variant: Variants = None,
    checkpoints: Annotated[
        Path, typer.Option(help="Folder of checkpoints; an interrupted run resumes from it.")
    ] = Path("runs"),
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Use at most this many training images; nothing is published."),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile/--no-compile",
            help="Compile quantizers and norms if there is a compiler: about 2.5 times faster.",
        ),
    ] = True,
) -> None:
    """Train a recipe's missing variants and publish them with their card in pretrained/.

    Run the same command again to resume an interrupted run; it ends in the same weights.
    """
    from hybrid import zoo
    from hybrid.training.recipe import load_recipe

    plans = load_recipe(recipe)
    chosen = tuple(plans.plan(name).name for name in variant or ())
    try:
        from lightning.pytorch.callbacks import RichProgressBar

        from hybrid.training.run import TrainingRun, train
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"Training needs {error.name}, which is not installed; "
            'install it with: pip install "hybrid[train]".'
        ) from None
    bar = RichProgressBar(console_kwargs={"stderr": True})
    how = TrainingRun(folder=checkpoints, limit=max_images, callbacks=(bar,), compiled=compiled)
    done = train(plans, how, variants=chosen)
    if not done:
        typer.echo(f"{plans.network} is complete: nothing to train.")
    elif max_images is None:
        typer.echo(f"Published in {zoo.pretrained_folder() / plans.network}: {', '.join(done)}.")
    else:
        typer.echo(f"Trial finished, nothing published: {', '.join(done)}.")


def refresh(
    recipe: RecipeName,
    *,
    variant: Variants = None,
) -> None:
    """Re-record all traces of a network and rebuild its card; weights are unchanged.

    Weights that repeat the network their heads were trained on are stored once.
    """
    from hybrid.training.publish import renew
    from hybrid.training.recipe import load_recipe

    renew(load_recipe(recipe), variants=tuple(variant or ()))
