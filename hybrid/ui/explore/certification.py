"""The bound below the headlines: how much accuracy early exits cost at most.

It follows every slider, so it holds for all settings at once (see `hybrid.ui.explore.bands`).
"""

from typing import Any

import streamlit as st

from hybrid.certificates import Band
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import numbers
from hybrid.text.certificate import ALL_SETTINGS, band_sentence
from hybrid.ui.explore import bands
from hybrid.ui.view import STEPS, View

__all__ = ["export", "show"]


def show(view: View) -> None:
    """The bound at the view's thresholds, or why there is none."""
    with st.container(key="explore_certificate"):
        if bands.certify_split(view) is None:
            st.caption(
                f":material/gpp_maybe: Nothing is certified for the images of {view.split}. A "
                "certificate needs images that no threshold was chosen on. Divide the split on the "
                "page Your data."
            )
            return
        try:
            found = bands.band(view)
        except (DataMissingError, TraceError) as error:
            st.caption(f":material/gpp_maybe: Nothing is certified here. {error}")
            return
        with st.container(key=_key_at(view)), st.container(key="explore_bound"):
            sentence = band_sentence(found, view.thresholds)
            st.caption(f":material/verified_user: {sentence}", help=ALL_SETTINGS)
        with st.expander("How the bound was computed", icon=":material/rule:"):
            st.caption(_rests_on(view, found))


def export(view: View) -> dict[str, Any]:
    """The bound at the view's thresholds and its sentence for JSON; None if there is none."""
    try:
        found = bands.band(view)
    except (DataMissingError, TraceError):
        return {"bound_for_all_settings": None}
    return {
        "bound_for_all_settings": {
            "method": found.method,
            "bound": found.bound(view.thresholds),
            "confidence": round(1 - found.delta, 12),
            "samples": found.samples,
            "split": found.split,
            "sentence": band_sentence(found, view.thresholds),
        }
    }


def _key_at(view: View) -> str:
    """Key that tells the follower which thresholds the text is about."""
    at = "_".join(f"{round(STEPS * one)}" for one in view.thresholds)
    return f"explore_certificate_at_{at}"


def _rests_on(view: View, found: Band) -> str:
    confidence, together = numbers.percent(1 - found.delta, 0), bands.holds_together(view)
    return (
        f"From the {numbers.count(found.samples)} images of the {found.split} split, which were "
        f"not used for choosing. With {confidence} confidence the bounds hold at every threshold, "
        f"bit width and confidence measure of {together}, all at once. Where the sliders start, "
        "at a threshold shared by all exits and at the points of the frontier they are tightest. "
        "A point from Choose has its own, usually tighter bound."
    )
