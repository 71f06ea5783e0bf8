"""The certificates of points that a session opened in Explore from Choose.

    certified.keep(point)           # Choose, before it opens Explore
    certified.at(view)              # Explore: the certificate of the point that it shows, or None

This module loads nothing that the first page would have to wait for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from hybrid.ui.guard import callback
from hybrid.ui.view import TRAINED, View

__all__ = ["CertifiedPoint", "at", "keep"]

_KEY = "choose_certified"


@dataclass(frozen=True, kw_only=True)
class CertifiedPoint:
    """A point that Choose certified.

    Args:
        splits: those of Explore whose images the certificate is about.
        sentence: the certificate in words.
        certificate: the fields of `choosing.Proof`.
        form: of the edge, as in a view.
    """

    network: str
    bits: int
    thresholds: tuple[float, ...]
    measure: str
    splits: tuple[str, ...]
    sentence: str
    certificate: Mapping[str, Any]
    form: str = TRAINED


@callback
def keep(point: CertifiedPoint | None) -> None:
    """Keep a point's certificate, if there is one, for the rest of the session."""
    if point is None:
        return
    kept: dict[tuple[Any, ...], CertifiedPoint] = st.session_state.setdefault(_KEY, {})
    for split in point.splits:
        kept[point.network, point.form, point.bits, point.thresholds, point.measure, split] = point


def at(view: View) -> CertifiedPoint | None:
    """The certificate that Choose gave to the point a view shows; None if it gave none."""
    kept: dict[tuple[Any, ...], CertifiedPoint] = st.session_state.get(_KEY, {})
    return kept.get((view.network, view.form, view.bits, view.thresholds, view.measure, view.split))
