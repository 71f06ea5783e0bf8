"""Answers kept in memory once for all sessions, bounded, every input in the key.

Traces count by their time of change, so a trace recorded meanwhile is chosen from at the next run.
"""

import streamlit as st

from hybrid import choose, energy, zoo
from hybrid.choose import Answer, Considered, Field, Limits, Survival
from hybrid.evaluation import Prices
from hybrid.ui import report
from hybrid.ui.state import View
from hybrid.ui.wishes import Wishes

__all__ = ["answer", "candidates", "compared", "report_html"]


def answer(wishes: Wishes, view: View) -> Answer:
    """The point that keeps the wishes at the view's prices.

    Raises:
        LimitError: wishes that are none, or nothing to choose among.
    """
    return _answer(*_asked(wishes), wishes.limits, *_priced(view), _stamps(wishes))


def candidates(wishes: Wishes, view: View) -> tuple[Considered, ...]:
    """What the pictures draw."""
    return _candidates(*_asked(wishes), wishes.limits, *_priced(view), _stamps(wishes))


def compared(wishes: Wishes, view: View) -> tuple[Survival, ...]:
    """The choice under the view's profile and those that are to be compared; none without one."""
    profiles = tuple(dict.fromkeys((view.profile, *wishes.profiles)))
    return _compared(*_asked(wishes), wishes.limits, *_priced(view), profiles, _stamps(wishes))


def report_html(wishes: Wishes, view: View) -> str:
    """The report of the answer, made when it is asked for."""
    others = compared(wishes, view) if wishes.profiles else ()
    return report.to_html(answer(wishes, view), candidates(wishes, view), others)


Priced = tuple[str, str, str, str]  # measure, profile, link, scope


def _asked(wishes: Wishes) -> tuple[tuple[str, ...], str]:
    return wishes.networks, wishes.images


def _priced(view: View) -> Priced:
    return view.measure, view.profile, view.link, view.scope


def _prices(profile: str, link: str, scope: str) -> Prices:
    return Prices(profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope)


@st.cache_resource(max_entries=6, show_spinner="Counting every threshold once")
def _field(networks: tuple[str, ...], images: str, measure: str, changed: tuple[int, ...]) -> Field:
    del changed  # only in the key
    return choose.survey(networks, images=images, measure=measure)


@st.cache_resource(max_entries=32, show_spinner="Choosing")
def _answer(
    networks: tuple[str, ...],
    images: str,
    limits: Limits,
    measure: str,
    profile: str,
    link: str,
    scope: str,
    changed: tuple[int, ...],
) -> Answer:
    field = _field(networks, images, measure, changed)
    return choose.choose(field, limits, _prices(profile, link, scope))


@st.cache_resource(max_entries=16, show_spinner=False)
def _candidates(
    networks: tuple[str, ...],
    images: str,
    limits: Limits,
    measure: str,
    profile: str,
    link: str,
    scope: str,
    changed: tuple[int, ...],
) -> tuple[Considered, ...]:
    field = _field(networks, images, measure, changed)
    return choose.considered(field, limits, _prices(profile, link, scope))


@st.cache_resource(max_entries=16, show_spinner="Choosing under other energy models")
def _compared(
    networks: tuple[str, ...],
    images: str,
    limits: Limits,
    measure: str,
    profile: str,
    link: str,
    scope: str,
    profiles: tuple[str, ...],
    changed: tuple[int, ...],
) -> tuple[Survival, ...]:
    best = _answer(networks, images, limits, measure, profile, link, scope, changed).best
    if best is None:
        return ()
    field = _field(networks, images, measure, changed)
    prices = _prices(profile, link, scope)
    return choose.survives(field, limits, prices, best, [*map(energy.load_profile, profiles)])


def _stamps(wishes: Wishes) -> tuple[int, ...]:
    """When each card and each trace last changed, in nanoseconds; 0 where there is none."""
    folder = zoo.pretrained_folder()
    paths = [folder / network / "card.toml" for network in wishes.networks]
    paths += [
        zoo.trace_path(network, variant, split)
        for network in wishes.networks
        for variant in zoo.card(network).variants
        for split in choose.taken_from(wishes.images).values()
    ]
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)
