"""Answers kept in memory once for all sessions, bounded, every input in the key.

Traces count by their time of change, so a trace recorded meanwhile is chosen from at the next run.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from hybrid import choosing, energy, zoo
from hybrid.choosing import Answer, Field, Limits, ParetoSet, ProfileCheck
from hybrid.evaluation import Prices
from hybrid.ui.choose.query import Query
from hybrid.ui.session import View

__all__ = ["answer", "compared", "pareto_sets"]

Asked = tuple[tuple[str, ...], str, str, tuple[int, ...]]  # networks, images, measure, stamps


# While candidates are counted: what is counted, to how many are done and how many there are. Not in
# the cached functions' arguments, as it is no input of theirs.
_COUNTED: dict[Asked, tuple[int, int]] = {}
_QUICK_SECONDS = 0.4  # what takes no longer shows no progress
_LOOK_SECONDS = 0.1


def answer(query: Query, view: View, place: DeltaGenerator) -> Answer:
    """The point that keeps the query at the view's prices.

    Args:
        place: an empty element, where a progress bar stands while that takes long.

    Raises:
        LimitError: query that are none, or nothing to choose among.
    """
    networks, images = _asked(query)
    limits, stamps = query.limits, _stamps(query)
    counted = (networks, images, view.measure, stamps)
    return _shown(
        lambda: _answer(networks, images, limits, *_priced(view), stamps),
        lambda: _COUNTED.get(counted),
        place,
    )


def _shown(
    work: Callable[[], Answer],
    progress: Callable[[], tuple[int, int] | None],
    place: DeltaGenerator,
) -> Answer:
    """The work's result; where a click ends the wait, the work goes on and is kept for the next."""
    pool, context = ThreadPoolExecutor(1), get_script_run_ctx()

    def run() -> Answer:
        if context is not None:
            add_script_run_ctx(ctx=context)
        return work()

    future, patience = pool.submit(run), _QUICK_SECONDS
    pool.shutdown(wait=False)
    while not _done(future, patience):
        patience, so_far = _LOOK_SECONDS, progress()
        done, total = so_far or (1, 1)
        words = f"Counting candidates: {done} of {total}" if so_far else "Choosing"
        place.progress(done / total, words)
    place.empty()
    return future.result()


def _done(future: Future[Answer], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def pareto_sets(query: Query, view: View) -> tuple[ParetoSet, ...]:
    """What the pictures draw."""
    return _candidates(*_asked(query), query.limits, *_priced(view), _stamps(query))


def compared(query: Query, view: View) -> tuple[ProfileCheck, ...]:
    """The choice under the view's profile and those that are to be compared; none without one."""
    profiles = tuple(dict.fromkeys((view.profile, *query.profiles)))
    return _compared(*_asked(query), query.limits, *_priced(view), profiles, _stamps(query))


Priced = tuple[str, str, str, str]  # measure, profile, link, scope


def _asked(query: Query) -> tuple[tuple[str, ...], str]:
    return query.networks, query.images


def _priced(view: View) -> Priced:
    return view.measure, view.profile, view.link, view.scope


def _prices(profile: str, link: str, scope: str) -> Prices:
    return Prices(profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope)


@st.cache_resource(max_entries=6, show_spinner=False)
def _field(networks: tuple[str, ...], images: str, measure: str, changed: tuple[int, ...]) -> Field:
    counted = (networks, images, measure, changed)

    def count(done: int, total: int) -> None:
        _COUNTED[counted] = (done, total)

    try:
        return choosing.collect_candidates(networks, images=images, measure=measure, progress=count)
    finally:
        _COUNTED.pop(counted, None)


@st.cache_resource(max_entries=32, show_spinner=False)
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
    return choosing.choose(field, limits, _prices(profile, link, scope))


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
) -> tuple[ParetoSet, ...]:
    field = _field(networks, images, measure, changed)
    return choosing.pareto_sets(field, limits, _prices(profile, link, scope))


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
) -> tuple[ProfileCheck, ...]:
    best = _answer(networks, images, limits, measure, profile, link, scope, changed).best
    if best is None:
        return ()
    field = _field(networks, images, measure, changed)
    prices = _prices(profile, link, scope)
    return choosing.check_profiles(
        field, limits, prices, best, [*map(energy.load_profile, profiles)]
    )


def _stamps(query: Query) -> tuple[int, ...]:
    """When each card and each trace last changed, in nanoseconds; 0 where there is none."""
    folder = zoo.pretrained_folder()
    paths = [folder / network / "card.toml" for network in query.networks]
    paths += [
        zoo.trace_path(network, variant, split)
        for network in query.networks
        for variant in zoo.card(network).variants
        for split in choosing.taken_from(query.images).values()
    ]
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)
