"""Options that the commands for your own models share, and how their values are read."""

from pathlib import Path
from typing import Annotated, TypeVar

import typer

from hybrid.errors import ModelError

__all__ = [
    "Certify",
    "Epochs",
    "Mean",
    "Model",
    "ModelOption",
    "Output",
    "Size",
    "Std",
    "Test",
    "Tune",
    "Unseen",
    "Weights",
    "names_of",
    "numbers_of",
    "sides_of",
]

Number = TypeVar("Number", int, float)

Model = Annotated[str, typer.Argument(help="package.module:function that returns the model.")]

# of adapt and sweep
ModelOption = Annotated[str, typer.Option(help="package.module:function that returns the model.")]
Weights = Annotated[
    Path, typer.Option(help="The model's weights: safetensors, .pth, .pt, .bin or .ckpt.")
]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        help="Where the logits are in a tuple or dict that the model returns: a number or a name. "
        "Default: the first tensor.",
    ),
]
Tune = Annotated[
    str,
    typer.Option(help="Folder or zip whose images are all used to choose thresholds."),
]
Certify = Annotated[
    str, typer.Option(help="Folder or zip whose images are all used for certificates.")
]
Test = Annotated[str, typer.Option(help="Folder or zip whose images are all used to report.")]
Unseen = Annotated[
    bool,
    typer.Option(
        "--unseen",
        help="The model was not trained on the images of --data that tune, certify and test are "
        "drawn from. Without this, nothing is certified if --data has no val/.",
    ),
]
Epochs = Annotated[
    int, typer.Option(min=0, help="Epochs of training for edge and exits; 0 quantizes only.")
]
Size = Annotated[
    str,
    typer.Option(
        help="Image size of the model, in pixels: 224, or HEIGHTxWIDTH. Default: the data set's, "
        "or 224."
    ),
]
Mean = Annotated[
    str,
    typer.Option(help="Per-channel mean used in training (pixels 0 to 1), separated by commas."),
]
Std = Annotated[
    str,
    typer.Option(help="Per-channel standard deviation used in training. Default: the data set's."),
]


def sides_of(text: str) -> tuple[int, int] | None:
    """Height and width; None if they are not given."""
    if not text:
        return None
    given = text.lower().replace("×", "x").split("x")
    if len(given) > 2 or not all(one.strip().isdecimal() and int(one) for one in given):
        raise ModelError(
            f"--size takes pixels, such as 224, or HEIGHTxWIDTH, such as 49x10, not {text!r}."
        )
    height, width = given[0], given[-1]
    return int(height), int(width)


def names_of(text: str) -> tuple[str, ...]:
    """The names between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers_of(text: str, kind: type[Number], option: str) -> tuple[Number, ...]:
    """The numbers between commas."""
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ModelError(
            f"{option} takes numbers separated by commas, such as 4,8, not {text!r}."
        ) from None
