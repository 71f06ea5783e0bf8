"""The certificate beside the accuracy: what leaving early costs at most, or where that is known.

Sliders are free, so what is shown comes from a grid whose bounds hold all at once, for every
network, bit width and measure on offer. Between its points nothing is certified.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import streamlit as st

from hybrid.certificates import Band, Certificate, nearest, rounded_up
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import numbers
from hybrid.ui import session
from hybrid.ui.explore import bands
from hybrid.ui.view import STEPS, View
from hybrid.zoo import exit_labels

__all__ = ["by_exit", "export", "show"]


def show(view: View) -> None:
    """The certificate at the view's thresholds, or the nearest point that has one."""
    with st.container(key="explore_certificate"):
        if bands.certify_split(view) is None:
            st.caption(
                f":material/gpp_maybe: Nothing is certified of the images of {view.split}: that "
                "takes images that no threshold was chosen on. Divide them on the page Your data."
            )
            return
        try:
            found = bands.band(view)
        except (DataMissingError, TraceError) as error:
            st.caption(f":material/gpp_maybe: Nothing is certified here. {error}")
            return
        made = found.certificate(view.thresholds)
        if made is None:
            _offer(view, found)
        else:
            with st.container(key=_key_at(view)):
                st.caption(f":material/verified_user: {made.sentence}")
        with st.expander("Certificate by exit, and what it rests on", icon=":material/rule:"):
            if made is not None:
                st.markdown(by_exit(bands.exit_certificates(view, found.comparisons)))
            st.caption(_rests_on(found))


def by_exit(certificates: Sequence[Certificate | None]) -> str:
    """A table in Markdown: for each early exit who leaves there, what is lost, and the bound."""
    lines = [
        "| Exit | Images that leave there | Accuracy they lose | Certified: at most |",
        "|---|--:|--:|--:|",
        *_rows(certificates),
    ]
    return "\n".join(lines)


def export(view: View) -> dict[str, Any]:
    """For JSON: the view's certificate with its words; None where there is none."""
    try:
        made = bands.band(view).certificate(view.thresholds)
    except (DataMissingError, TraceError):
        made = None
    return {"certificate": made and made.to_dict() | {"sentence": made.sentence}}


def _rows(certificates: Sequence[Certificate | None]) -> Iterator[str]:
    names = exit_labels(len(certificates))
    for name, made in zip(names, certificates, strict=False):
        if made is None:
            yield f"| {name} | 0 | – | – |"
            continue
        lost, bound = numbers.fixed(100 * made.observed, 1), rounded_up(made.bound)
        leaving = numbers.count(made.samples)
        yield f"| {name} | {leaving} | {lost} points | {numbers.fixed(bound, 1)} points |"


def _offer(view: View, found: Band) -> None:
    """Say that this point has no certificate, and move to the nearest that has one if asked."""
    there = nearest(found, view.thresholds, together=view.together)
    made = found.certificate(there)
    assert made is not None  # the nearest is one of the band's own
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(key=_key_at(view)):
            st.caption(
                f":material/gpp_maybe: Not certified at these thresholds. The nearest that are: "
                f"{_listed(view, there)}, where {made.claim}.",
                help="Points of a grid are certified all at once, against always going on to the "
                "final exit. A point from Choose has a certificate of its own, against the "
                "full-precision twin.",
            )
        st.button(
            f"Move to {_listed(view, there)}",
            key="explore_certified",
            icon=":material/verified_user:",
            type="tertiary",
            on_click=_move,
            args=(view, there),
        )


def _move(view: View, there: tuple[float, ...]) -> None:
    session.go_to(view.bits, there, together=view.together)
    st.rerun()  # the sliders too, where only a part of the page would run


def _listed(view: View, thresholds: tuple[float, ...]) -> str:
    return ", ".join(f"{one:g}" for one in (thresholds[:1] if view.together else thresholds))


def _key_at(view: View) -> str:
    """What the follower reads to know which thresholds these words are about."""
    at = "_".join(f"{round(STEPS * one)}" for one in view.thresholds)
    return f"explore_certificate_at_{at}"


def _rests_on(found: Band) -> str:
    points, confidence = len(found.thresholds), numbers.percent(1 - found.delta, 0)
    bounds, choices = numbers.count(found.comparisons), found.comparisons // points
    return (
        f"From the {numbers.count(found.samples)} images of the {found.split} split, by which "
        f"nothing was chosen. Sliders are free, and so are network, bit width and confidence "
        f"measure: with {confidence} confidence all {bounds} bounds hold at once, at {points} "
        f"points of each of the {choices} choices on offer. Those by exit are a promise of their "
        "own, which all exits share."
    )
