"""The certificates below the headlines: how much accuracy early exits cost at most.

The first follows every slider, so it holds for all settings at once (`hybrid.ui.explore.bands`).
Below it is the point's own, if it was asked for or if Choose certified the point; else a button
asks for it. That is a question to the images that certify, and a ledger on this machine counts it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import streamlit as st

from hybrid import evaluation, zoo
from hybrid.certificates import Band, Certificate, rounded_up
from hybrid.errors import DataMissingError, HybridError, TraceError
from hybrid.text import glossary, numbers
from hybrid.text.certificate import ALL_SETTINGS, band_sentence
from hybrid.text.plain import plain
from hybrid.ui.choose import certified
from hybrid.ui.explore import bands
from hybrid.ui.explore.follower import place
from hybrid.ui.guard import callback
from hybrid.ui.view import View
from hybrid.zoo import exit_labels

__all__ = ["by_exit", "explain", "export", "show"]

_REFUSED = "explore_certify_refused"  # why the last question got no answer


def show(view: View) -> None:
    """The bounds at the view's thresholds, or why there is none."""
    with st.container(key="explore_certificate"):
        if bands.certify_split(view) is None:
            st.caption(
                f":material/gpp_maybe: Nothing is certified for the images of {view.split}. A "
                "certificate needs images that no threshold was chosen on. Divide the split on the "
                "page Your data.",
                help=glossary.define("certificate", "split"),
            )
            return
        try:
            found = bands.band(view)
        except (DataMissingError, TraceError) as error:
            st.caption(
                f":material/gpp_maybe: Nothing is certified here. {plain(str(error))}",
                help=glossary.define("certificate"),
            )
            return
        with st.container(horizontal=True, vertical_alignment="center"):
            _show_bound(view, found)
            # the follower fades what is not of the point where the controls are
            with st.container(key=f"explore_own_at_{place(view)}", width="content"):
                _show_own(view, found)


def explain(view: View) -> None:
    """What the bounds rest on, where there are some."""
    if bands.certify_split(view) is None:
        return
    try:
        found = bands.band(view)
    except (DataMissingError, TraceError):
        return  # `show` says why
    with st.expander("How the bounds were computed", icon=":material/rule:"):
        st.caption(_rests_on(view, found))


def by_exit(certificates: Sequence[Certificate | None]) -> str:
    """A Markdown table: images, accuracy lost and its bound, for each early exit."""
    lines = [
        "| Exit | Images that stop there | Accuracy lost | Certified bound |",
        "|---|--:|--:|--:|",
        *_rows(certificates),
    ]
    return "\n".join(lines)


def export(view: View) -> dict[str, Any]:
    """The point's bound among all settings, and its own certificate, for JSON; None without."""
    try:
        found, own = bands.band(view), bands.certified(view)
    except HybridError:
        return {"bound_for_all_settings": None, "certificate": None}
    chosen = certified.at(view)
    return {
        "bound_for_all_settings": {
            "method": found.method,
            "bound": found.bound(view.thresholds),
            "confidence": round(1 - found.delta, 12),
            "samples": found.samples,
            "split": found.split,
            "sentence": band_sentence(found, view.thresholds),
        },
        "certificate": own and own.to_dict(),
    } | ({} if chosen is None else {"certified_when_chosen": dict(chosen.certificate)})


def _show_bound(view: View, found: Band) -> None:
    """The bound among all settings."""
    there = f"explore_certificate_at_{place(view)}"
    with st.container(key=there), st.container(key="explore_bound"):
        sentence = band_sentence(found, view.thresholds)
        about = glossary.define("certificate", "split", note=ALL_SETTINGS)
        st.caption(f":material/verified_user: {sentence}", help=about)


def _show_own(view: View, found: Band) -> None:
    """The point's own certificates, or a button that asks for one."""
    try:
        own, chosen = bands.certified(view), certified.at(view)
        asked = evaluation.ledger(view.network, found.split).asked
    except HybridError as error:
        st.caption(f":material/gpp_maybe: {plain(str(error))}")
        return
    if chosen is not None:
        st.caption(f":material/verified: Certified by Choose. {plain(chosen.sentence)}")
    if own is not None:
        st.caption(f":material/verified: {own.overall.sentence[:-1]}: {own.answer}.")
        with st.expander("Certificate by exit", icon=":material/rule:"):
            st.markdown(by_exit(own.exits))
    elif chosen is None:
        _offer(view, found, asked)


def _offer(view: View, found: Band, asked: int) -> None:
    images = f"{numbers.count(found.samples)} images"
    st.button(
        "Certify this point",
        key="explore_certify",
        icon=":material/verified:",
        type="tertiary",
        help="Gives these thresholds their own, tighter bound. Fix them before you ask: this is "
        f"question {numbers.count(asked + 1)} to these {images}, and each later one gets a wider "
        "answer.",
        on_click=_certify,
        args=(view, found.split),
    )
    if (refused := st.session_state.pop(_REFUSED, None)) is not None:
        st.caption(f":material/gpp_maybe: {plain(refused)}")


@callback
def _certify(view: View, split: str) -> None:
    """Ask the question; the page then finds its answer in the ledger."""
    try:
        evaluation.certified(
            view.network,
            zoo.variant(view.network, view.bits, deployed=view.deployed),
            view.thresholds,
            measure=view.measure,
            split=split,
            confidence=1 - bands.DELTA,
        )
    except HybridError as error:
        st.session_state[_REFUSED] = str(error)


def _rows(certificates: Sequence[Certificate | None]) -> Iterator[str]:
    names = exit_labels(len(certificates))
    for name, made in zip(names, certificates, strict=False):
        if made is None:
            yield f"| {name} | 0 | – | – |"
            continue
        lost, bound = numbers.fixed(100 * made.observed, 1), rounded_up(made.bound)
        leaving = numbers.count(made.samples)
        yield f"| {name} | {leaving} | {lost} points | {numbers.fixed(bound, 1)} points |"


def _rests_on(view: View, found: Band) -> str:
    confidence, together = numbers.percent(1 - found.delta, 0), bands.holds_together(view)
    return (
        f"From the {numbers.count(found.samples)} images of the {found.split} split, which were "
        f"not used for choosing. With {confidence} confidence the bounds for all settings hold at "
        f"every threshold, bit width and confidence measure of {together}, all at once. Where the "
        "sliders start, at a threshold shared by all exits and at the points of the frontier they "
        "are tightest. The certificates of single points, with their bounds by exit, hold together "
        f"with {confidence} confidence of their own: the i-th question to these images spends "
        f"6/(π²i²) of the {numbers.percent(found.delta, 0)} that may go wrong."
    )
