"""The certificate below the headlines: an upper bound on the accuracy that early exits cost.

Users may move any slider, so bounds are computed on a grid and hold together for every network,
bit width and confidence measure on offer. Between the points of the grid nothing is certified.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import streamlit as st

from hybrid.certificates import Band, Certificate, nearest, rounded_up
from hybrid.errors import DataMissingError, TraceError
from hybrid.text import numbers
from hybrid.ui import session
from hybrid.ui.explore import bands
from hybrid.ui.explore.follower import place
from hybrid.ui.view import View
from hybrid.zoo import exit_labels

__all__ = ["by_exit", "export", "show"]


def show(view: View) -> None:
    """The certificate at the view's thresholds, or a button to the nearest certified point."""
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
        made = found.certificate(view.thresholds)
        if made is None:
            _offer(view, found)
        else:
            with st.container(key=_key_at(view)):
                st.caption(f":material/verified_user: {made.sentence}")
        with st.expander("Certificate by exit, and how it was computed", icon=":material/rule:"):
            if made is not None:
                st.markdown(by_exit(bands.exit_certificates(view, found.comparisons)))
            st.caption(_rests_on(found))


def by_exit(certificates: Sequence[Certificate | None]) -> str:
    """A Markdown table: images, accuracy lost and its bound, for each early exit."""
    lines = [
        "| Exit | Images that stop there | Accuracy lost | Certified bound |",
        "|---|--:|--:|--:|",
        *_rows(certificates),
    ]
    return "\n".join(lines)


def export(view: View) -> dict[str, Any]:
    """The view's certificate and its sentence for JSON; None if there is none."""
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
    """State that this point is not certified, with a button to the nearest one that is."""
    there = nearest(found, view.thresholds, together=view.together)
    made = found.certificate(there)
    assert made is not None  # the nearest is a point of the band
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(key=_key_at(view)):
            st.caption(
                ":material/gpp_maybe: Not certified at these thresholds. The nearest certified "
                f"thresholds are {_listed(view, there)}, where {made.claim}.",
                help="The points of a grid are certified together, compared with sending every "
                "image through the whole network. A point from Choose has its own certificate, "
                "compared with the full-precision twin.",
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
    st.rerun()  # redraws the sliders too, not only the fragment


def _listed(view: View, thresholds: tuple[float, ...]) -> str:
    return ", ".join(f"{one:g}" for one in (thresholds[:1] if view.together else thresholds))


def _key_at(view: View) -> str:
    """Key that tells the follower which point the text is about."""
    return f"explore_certificate_at_{place(view)}"


def _rests_on(found: Band) -> str:
    confidence, bounds = numbers.percent(1 - found.delta, 0), numbers.count(found.comparisons)
    return (
        f"From the {numbers.count(found.samples)} images of the {found.split} split, which were "
        "not used for choosing. Because you may move any slider and choose any network, bit width "
        f"and confidence measure, the bounds of all {bounds} settings of a grid hold together with "
        f"{confidence} confidence, and are therefore wide. A point from Choose has its own, "
        "usually tighter bound. The bounds by exit hold together, separately from these, with "
        f"{confidence} confidence."
    )
