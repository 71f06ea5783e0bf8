"""The parts of an image's run that the page shows: boxes, a row, sentences; no widgets."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.data import images
from hybrid.inference.single import ExitSaid, ImageRun
from hybrid.text import glossary, intervals, numbers
from hybrid.text.point import against
from hybrid.ui import palette
from hybrid.ui.charts import Box
from hybrid.ui.explore.data import ExplorePrices
from hybrid.ui.try_image.sources import PickedImage
from hybrid.zoo import Card

__all__ = [
    "boxes",
    "enlarged",
    "exit_colour",
    "how_many_right",
    "how_many_stop",
    "ran",
    "row",
    "verdict",
]


def row(
    one: PickedImage, image_run: ImageRun, prices: ExplorePrices, *, energy: str
) -> dict[str, Any]:
    """One image in the table of all.

    Args:
        energy: name of the column of the energy, in µJ.
    """
    taken, costs = image_run.exit_taken, prices.costs
    cells = {
        "Input": images.data_url(Image.fromarray(one.pixels.squeeze())),
        "Image": one.name,
        "Answer": image_run.answer,
        "Probability": image_run.probability,
        "Stops at": image_run.said[taken].name,
        energy: costs.energy_pj[taken] / 1e6,
        "Uplink (B)": costs.uplink_bytes[taken],
        "Measured (ms)": image_run.measured_ms,
    }
    return cells | ({"Truth": one.label} if one.label else {})


def boxes(
    one: PickedImage,
    image_run: ImageRun,
    twin: ImageRun | None,
    *,
    prices: ExplorePrices,
    card: Card,
    scope: str,
) -> list[Box]:
    """Answer, exit taken, energy, uplink and time, each with the full-precision baseline's."""
    taken = image_run.exit_taken
    confident = _confident(image_run)
    time = f"twin {numbers.latency(twin.measured_ms)}" if twin else "on this machine"
    return [
        Box("Answer", image_run.answer, f"truth: {one.label}" if one.label else confident),
        Box(
            "Stops at",
            image_run.said[taken].name,
            f"{image_run.macs_run / 1e6:.2f} of {image_run.macs / 1e6:.2f} M MACs",
            glossary.define("MAC"),
        ),
        Box(
            f"Energy ({scope})",
            numbers.energy(prices.costs.energy_pj[taken]),
            f"{against(scope)} {numbers.energy(prices.twin_energy_pj)}",
            glossary.define("scope", "twin"),
        ),
        Box(
            "Uplink",
            numbers.kilobytes(prices.costs.uplink_bytes[taken]),
            f"raw image {numbers.kilobytes(card.image_bytes)}",
            glossary.define("uplink"),
        ),
        Box(
            "Measured here",
            numbers.latency(image_run.measured_ms),
            time,
            "Median of three runs on the machine that runs this page, without a radio link.",
        ),
        *([_baseline(twin)] if twin else []),
    ]


def _baseline(twin: ImageRun) -> Box:
    return Box(
        "Full-precision baseline",
        twin.answer,
        _confident(twin),
        glossary.define("baseline", "twin"),
    )


def _confident(image_run: ImageRun) -> str:
    return f"{numbers.percent(image_run.probability)} confident"


def how_many_right(given: Sequence[PickedImage], runs: Sequence[ImageRun]) -> str:
    """How many answers are correct, in a sentence; empty if no class is known."""
    known = [(one.label, run.answer) for one, run in zip(given, runs, strict=True) if one.label]
    if not known:
        return ""
    right = sum(label == answer for label, answer in known)
    between = intervals.between(right, len(known))
    words = f"; on images like these, with 95 % confidence, {between}" if between else ""
    return f"{right} of {len(known)} answers are correct{words}."


def how_many_stop(runs: Sequence[ImageRun]) -> str:
    """How many images are answered at the edge, in a sentence, and what a click does."""
    stayed = sum(one.exit_taken < len(one.said) - 1 for one in runs)
    return (
        f"{stayed} of {len(runs)} images are answered at the edge, {len(runs) - stayed} in the "
        "cloud. Choose a row to see one in detail."
    )


def ran(image_run: ImageRun) -> str:
    """How much of the network was run, in a sentence or two."""
    layers, called = sum(p.layers for p in image_run.ran), sum(p.called for p in image_run.ran)
    share = numbers.percent(image_run.macs_run / image_run.macs)
    rest = image_run.not_called
    return f"{called} of {layers} layers were called, {share} of the multiply-accumulates. " + (
        f"Never called: {', '.join(rest)}." if rest else "Every part was called."
    )


def verdict(said: ExitSaid) -> str:
    """One exit's part in a few words."""
    if said.confidence is None:
        return "Not run: the image had already been answered."
    confidence = f"confidence {numbers.fixed(said.confidence, 4)}"
    if said.threshold is None:
        return f"Answers the image: {confidence}."
    limit = numbers.fixed(said.threshold, 4)
    return f"Stops: {confidence} ≥ {limit}." if said.left else f"Continues: {confidence} < {limit}."


def exit_colour(image_run: ImageRun, number: int) -> str:
    """The exit's colour in every figure."""
    return palette.CLOUD if number == len(image_run.said) - 1 else palette.exit_colour(number)


def enlarged(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    """The network's input with every pixel as a crisp square."""
    return Image.fromarray(pixels.squeeze()).resize((side, side), Image.Resampling.NEAREST)
