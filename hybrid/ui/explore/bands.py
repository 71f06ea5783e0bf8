"""Certificates for Explore's sliders: bounds on a grid that all hold together.

band = bands.band(view)                                     # for every point of the grid
per_exit = bands.exit_certificates(view, band.comparisons)  # at the view's thresholds
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hybrid import certificates, zoo
from hybrid.data import user_splits
from hybrid.traces.trace import Trace
from hybrid.ui.cache import cached, card_file, offers, trace, trace_file
from hybrid.ui.view import DEFAULT_SPLIT, View

__all__ = ["DELTA", "band", "certify_split", "exit_certificates"]

DELTA = 0.05  # the chance that a bound does not hold


def certify_split(view: View) -> str | None:
    """The split used to certify the view's images; None if there is none."""
    if view.split == DEFAULT_SPLIT:
        return "certify"
    about = user_splits.split(view.network, view.split)
    if about.purpose == "certify":
        return view.split
    images = view.split.removesuffix("-tune")
    paired = about.purpose == "tune" and images in user_splits.halved(view.network)
    return f"{images}-certify" if paired else None


def band(view: View) -> certificates.Band:
    """Certificates on the sliders' grid, for the network, bit width and measure of a view.

    They hold for all networks, bit widths and measures on offer at once.

    Raises:
        DataMissingError, TraceError: no trace of the certify split, or a damaged one.
    """
    split = certify_split(view) or ""
    return _band(view.network, view.variant, split, view.measure, _count_choices())


def exit_certificates(view: View, comparisons: int) -> tuple[certificates.Certificate | None, ...]:
    """A certificate of the samples that take each early exit, at a point of the band.

    Args:
        comparisons: those of the band.

    Raises:
        DataMissingError, TraceError: as `band`.
    """
    # no price changes a certificate
    there = replace(view, profile="", cloud="", link="", scope="", split=certify_split(view) or "")
    return _exit_certificates(there, comparisons)


@cached(entries=64, files=trace_file)
def _band(network: str, variant: str, split: str, measure: str, choices: int) -> certificates.Band:
    recorded = trace(network, variant, split)
    grid = certificates.slider_grid(recorded.all_exits - 1)
    method = _method(recorded)
    return certificates.band(
        recorded, grid, delta=DELTA, offers=choices, method=method, measure=measure
    )


@cached(entries=256, files=lambda view, _: trace_file(view.network, view.variant, view.split))
def _exit_certificates(view: View, comparisons: int) -> tuple[certificates.Certificate | None, ...]:
    recorded = trace(view.network, view.variant, view.split)
    return certificates.certify_exits(
        recorded,
        view.thresholds,
        delta=DELTA,
        method=_method(recorded),
        measure=view.measure,
        comparisons=comparisons,
    )


def _method(recorded: Trace) -> str:
    """The bounded quantity: the accuracy lost or, without labels, the share of other answers."""
    return "betting" if recorded.labelled else "disagreement"


def _cards() -> Iterator[Path]:
    for network in zoo.networks():
        yield from card_file(network)


@cached(entries=8, files=_cards)
def _count_choices() -> int:
    """How many pairs of a network's bit width and a measure one can choose among here."""
    offered = offers()
    return sum(map(len, offered.early_exits.values())) * len(offered.measures)
