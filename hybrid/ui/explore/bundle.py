"""Explore's present point as a device answers: its figures, and the button for its bundle."""

import streamlit as st

from hybrid import policy, zoo
from hybrid.errors import CertificateError, DataMissingError, HybridError
from hybrid.quant.levels import FULL_PRECISION
from hybrid.text import glossary, numbers
from hybrid.ui.cache import counted, trace
from hybrid.ui.explore import bands
from hybrid.ui.view import View

__all__ = ["as_deployed", "button"]

_LABEL, _ICON = "This point as a bundle (zip)", ":material/memory:"


def as_deployed(view: View) -> None:
    """Accuracy and edge share at the view's point, as deployed and as trained, if known."""
    name = zoo.variant_name(view.bits, deployed=True)
    if name not in zoo.card(view.network).forms:
        return
    try:
        form, trained = _outcome(view, name), _outcome(view, view.trained_variant)
    except HybridError:
        return  # of your own images; `hybrid trace --deployed` records it
    labelled = trace(view.network, view.variant, view.split).labelled
    correct = "correct" if labelled else "answered like the cloud"
    st.caption(
        f"**As deployed**, in whole numbers on a device: {numbers.percent(form.accuracy, 2)} "
        f"{correct} (as trained {numbers.percent(trained.accuracy, 2)}), "
        f"{numbers.percent(form.edge_fraction, 2)} at the edge "
        f"(as trained {numbers.percent(trained.edge_fraction, 2)}).",
        help=glossary.define(
            "deployment form",
            note="Here it and the trained network have the same thresholds, each with its own "
            "trace. The figures above and below are those "
            f"{'as deployed' if view.deployed else 'as trained'}; the sidebar changes it.",
        ),
    )


def _outcome(view: View, variant: str) -> policy.Outcome:
    return policy.outcome(counted(view.network, variant, view.split), view.thresholds, view.measure)


def button(view: View) -> None:
    """Offer the bundle of the view's point, if its bit width has a deployment form."""
    if view.bits not in zoo.bit_widths(view.network, deployed=True):
        st.button(
            _LABEL,
            disabled=True,
            icon=_ICON,
            key="explore_no_bundle",
            help=_why_not(view),
        )
        return
    st.download_button(
        _LABEL,
        lambda: _zipped(view),
        file_name=f"{view.network}-{view.bits}bit-bundle.zip",
        mime="application/zip",
        icon=_ICON,
        on_click="ignore",
        key="explore_bundle",
        help="The edge in C and ONNX, the cloud in ONNX, thresholds and two certificates: with "
        "the cloud there, and with the cloud down. These are questions to the images that "
        "certify, like those of the button above.",
    )


def _why_not(view: View) -> str:
    """Why there is no bundle to download, and what to do."""
    words = f"{view.network} --bits {view.bits}"
    if view.bits == FULL_PRECISION:
        return "An edge of 32 bits has no deployment form; choose 8 bits or fewer."
    if ":" in zoo.card(view.network).architecture:  # a user's model
        return (
            f"{view.network} has no exact deployment form; `hybrid export {words} --out bundle` "
            "writes it as ONNX alone."
        )
    return (
        f"{view.network} has no deployment form at {view.bits} bits; make it with "
        f"`hybrid freeze {words}`."
    )


def _zipped(view: View) -> bytes:
    """The bundle; without certificates where nothing can be certified."""
    from hybrid.deploy.bundles.promises import promises
    from hybrid.deploy.bundles.writing import Point, bundle_files, zipped

    try:
        made = promises(
            view.network,
            view.bits,
            view.thresholds,
            measure=view.measure,
            confidence=1 - bands.DELTA,
        )
    except (CertificateError, DataMissingError):
        made = {}
    point = Point(thresholds=view.thresholds, measure=view.measure, certificates=made)
    return zipped(bundle_files(view.network, view.bits, point), folder=f"{view.network}-bundle")
