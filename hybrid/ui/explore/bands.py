"""Explore's free bound: at every setting of the sliders, all settings together.

    found = bands.band(view)       # for the view's network, bit width, measure and images
    bands.payload(view)            # the same for every bit width, for the script in the browser
    bands.along_common(view)       # its bound by common threshold, for a figure
    bands.certified(view)          # the point's own certificate, if it was asked for

The bounds of all networks that ship hold together, at every bit width, measure and threshold, with
a chance of DELTA that any does not. The same holds of all their deployment forms, with a DELTA of
their own. A network that was added, and images of the user's, have one each too, so they change
nothing for the others. The parts of DELTA are fixed numbers.
"""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hybrid import certificates, evaluation, zoo
from hybrid.data import user_splits
from hybrid.errors import HybridError
from hybrid.text.certificate import band_templates
from hybrid.traces.trace import Trace
from hybrid.ui.cache import cached, card_file, trace, trace_file
from hybrid.ui.explore import load
from hybrid.ui.explore.follower.payload import SWEEP_POINTS
from hybrid.ui.view import DEFAULT_BITS, DEFAULT_SPLIT, DEPLOYED, TRAINED, View

__all__ = [
    "DELTA",
    "SHIPPED",
    "along_common",
    "band",
    "certified",
    "certify_split",
    "holds_together",
    "packed",
    "payload",
]

DELTA = 0.05  # the chance that a bound does not hold
SHIPPED = (
    "cifar10-resnet32",
    "cifar10-wide9",
    "cifar100-resnet32",
    "cifar100-wide9",
    "digits-vgg",
)
_BIT_WIDTHS = 9  # 1 to 8 and 32, trained or not: training another changes no bound
_MEASURES = {"max_probability": 0.8, "margin": 0.1, "entropy": 0.1}  # parts of DELTA


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
    """Bounds at every threshold, for the network, bit width and measure of a view.

    Raises:
        DataMissingError, TraceError: no trace of the certify split or of `tune`, or a damaged one.
    """
    return _band(view.network, view.variant, certify_split(view) or "", view.measure)


def certified(view: View) -> evaluation.Certified | None:
    """The view's own certificate, if its question was asked before.

    Raises:
        CertificateError: the ledger cannot be read.
        DataMissingError, TraceError: as `band`.
    """
    split = certify_split(view) or ""
    return _certified(view.network, view.variant, split, view.thresholds, view.measure)


def payload(view: View) -> dict[str, Any]:
    """The bounds of every bit width that has them, for `certifying.js`; empty without any.

    | key       | type                      |                                                  |
    |-----------|---------------------------|--------------------------------------------------|
    | widths    | bits to a band            | see below                                        |
    | templates | kind of claim to sentence | with {tenths:tenths}, the bound without its sign |
    | method    | str                       | the quantity that is bounded                     |

    A band has `early`, the number of exits; `low` and `high`, base64 of uint16 (k, early), cells of
    whole-number thresholds by rising bound; `tenths`, base64 of int16 (k,), bounds in tenths of a
    point, rounded up.
    """
    found = dict(_all_widths(view))
    if not found:
        return {}
    one = next(iter(found.values()))
    return {
        "widths": {str(bits): packed(each) for bits, each in found.items()},
        "templates": band_templates(one),
        "method": one.method,
    }


def packed(one: certificates.Band) -> dict[str, Any]:
    """A band as the payload has it; see `payload`."""
    tenths = np.array([certificates.tenths_up(bound) for bound in one.bounds.tolist()])
    arrays = {"low": one.low, "high": one.high, "tenths": tenths}
    kinds = {"low": "<u2", "high": "<u2", "tenths": "<i2"}
    texts = {
        key: base64.b64encode(array.astype(kinds[key]).tobytes()).decode("ascii")
        for key, array in arrays.items()
    }
    return {"early": one.low.shape[1]} | texts


def holds_together(view: View) -> str:
    """The networks whose bounds hold together with those of a view, in words."""
    shipped = _shares_delta(view.network, certify_split(view) or "")
    whose = f"the {len(SHIPPED)} networks that ship" if shipped else view.network
    return f"the deployment forms of {whose}" if view.deployed else whose


def along_common(view: View) -> npt.NDArray[np.float64]:
    """(SWEEP_POINTS,): the bound where all thresholds are 0, 0.005, … 1; a fraction.

    Raises:
        DataMissingError, TraceError: as `band`.
    """
    found = band(view)
    grid = np.arange(SWEEP_POINTS) / (SWEEP_POINTS - 1)
    return np.array([found.bound((threshold,) * view.early_exits) for threshold in grid])


def _all_widths(view: View) -> Iterator[tuple[int, certificates.Band]]:
    split = certify_split(view)
    for variant in load.variants(view) if split else ():
        try:
            yield variant.bits, _band(view.network, variant.name, split or "", view.measure)
        except HybridError:
            continue  # this bit width has no trace; the others have bounds without it


def _files(network: str, variant: str, split: str, *_: str) -> tuple[Path, ...]:
    splits = ("tune", split)
    return card_file(network) + sum((trace_file(network, variant, one) for one in splits), ())


def _ledger_files(network: str, variant: str, split: str, *_: Any) -> tuple[Path, ...]:
    return (*trace_file(network, variant, split), evaluation.ledger(network, split).path)


@cached(entries=256, files=_ledger_files)
def _certified(
    network: str, variant: str, split: str, thresholds: tuple[float, ...], measure: str
) -> evaluation.Certified | None:
    return evaluation.certified_before(
        network,
        zoo.card(network).recorded[variant],
        thresholds,
        measure=measure,
        split=split,
        confidence=1 - DELTA,
        read=trace,
    )


@cached(entries=64, files=_files)
def _band(network: str, variant: str, split: str, measure: str) -> certificates.Band:
    recorded, tune = trace(network, variant, split), trace(network, variant, "tune")
    path = _path(network, zoo.card(network).recorded[variant], measure)
    return certificates.band(
        recorded,
        certificates.slider_cells(tune, path, measure),
        guide=tune,
        delta=DELTA,
        part=_part(network, split, measure),
        method=_method(recorded),
        measure=measure,
    )


def _part(network: str, split: str, measure: str) -> float:
    """The part of DELTA of one bit width and measure of a network."""
    shared = len(SHIPPED) if _shares_delta(network, split) else 1
    return _MEASURES[measure] / _BIT_WIDTHS / shared


def _shares_delta(network: str, split: str) -> bool:
    return network in SHIPPED and split in zoo.SPLITS


def _path(network: str, variant: zoo.Variant, measure: str) -> npt.NDArray[np.float64]:
    """Thresholds of the frontier of the data set's images at the default prices, if there is one.

    It was found on `tune`. A click in the chart of accuracy and energy leads to one of them.
    """
    deployed = variant.kind == "deployed"
    known = zoo.card(network)
    widths = {one.bits: one for one in (known.deployed if deployed else known.hybrids)}
    bits = DEFAULT_BITS if DEFAULT_BITS in widths else min(widths)
    start = View(
        network=network,
        bits=bits,
        thresholds=(0.0,) * widths[bits].early_exits,
        measure=measure,
        form=DEPLOYED if deployed else TRAINED,
    )  # the view that the page opens with, which has its frontiers already
    found = (one.thresholds for one in load.frontiers(start) if one.bits == variant.bits)
    return next(found, np.empty((0, variant.early_exits)))


def _method(recorded: Trace) -> str:
    """The bounded quantity: the accuracy lost or, without labels, the share of other answers."""
    return "betting" if recorded.labelled else "disagreement"
