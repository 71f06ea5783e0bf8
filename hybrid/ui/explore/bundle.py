"""The button of Explore that downloads the bundle of the present point."""

import streamlit as st

from hybrid import zoo
from hybrid.errors import CertificateError, DataMissingError
from hybrid.ui.explore import bands
from hybrid.ui.view import View

__all__ = ["button"]

_LABEL, _ICON = "This point as a bundle (zip)", ":material/memory:"


def button(view: View) -> None:
    """Offer the bundle of the view's point, if its bit width has a deployment form."""
    if view.bits not in zoo.bit_widths(view.network, deployed=True):
        st.button(
            _LABEL,
            disabled=True,
            icon=_ICON,
            key="explore_no_bundle",
            help=f"{view.network} has no deployment form at {view.bits} bits; make it with "
            f"`hybrid freeze {view.network} --bits {view.bits}`.",
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
