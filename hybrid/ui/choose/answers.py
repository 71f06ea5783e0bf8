"""Answers kept in memory once for all sessions, bounded, every input in the key.

Traces count by their time of change, so a trace recorded meanwhile is chosen from at the next run.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from hybrid import choosing, energy, zoo
from hybrid.choosing import Answer, Considered, Field, Limits, Survival
from hybrid.evaluation import Prices
from hybrid.ui.choose.query import Wishes
from hybrid.ui.session import View

__all__ = ["answer", "candidates", "compared"]

Asked = tuple[tuple[str, ...], str, str, tuple[int, ...]]  # networks, images, measure, stamps


# While contenders are counted: what is counted, to how many are done and how many there are. Not in
# the cached functions' arguments, as it is no input of theirs.
_COUNTED: dict[Asked, tuple[int, int]] = {}
_QUICK_SECONDS = 0.4  # what takes no longer shows no progress
_LOOK_SECONDS = 0.1


def answer(wishes: Wishes, view: View, place: DeltaGenerator) -> Answer:
    """The point that keeps the wishes at the view's prices.

    Args:
        place: an empty element, where a progress bar stands while that takes long.

    Raises:
        LimitError: wishes that are none, or nothing to choose among.
    """
    networks, images = _asked(wishes)
    limits, stamps = wishes.limits, _stamps(wishes)
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
        words = f"Counting contenders: {done} of {total}" if so_far else "Choosing"
        place.progress(done / total, words)
    place.empty()
    return future.result()


def _done(future: Future[Answer], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def candidates(wishes: Wishes, view: View) -> tuple[Considered, ...]:
    """What the pictures draw."""
    return _candidates(*_asked(wishes), wishes.limits, *_priced(view), _stamps(wishes))


def compared(wishes: Wishes, view: View) -> tuple[Survival, ...]:
    """The choice under the view's profile and those that are to be compared; none without one."""
    profiles = tuple(dict.fromkeys((view.profile, *wishes.profiles)))
    return _compared(*_asked(wishes), wishes.limits, *_priced(view), profiles, _stamps(wishes))


Priced = tuple[str, str, str, str]  # measure, profile, link, scope


def _asked(wishes: Wishes) -> tuple[tuple[str, ...], str]:
    return wishes.networks, wishes.images


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
        return choosing.survey(networks, images=images, measure=measure, progress=count)
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
) -> tuple[Considered, ...]:
    field = _field(networks, images, measure, changed)
    return choosing.considered(field, limits, _prices(profile, link, scope))


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
    return choosing.survives(field, limits, prices, best, [*map(energy.load_profile, profiles)])


def _stamps(wishes: Wishes) -> tuple[int, ...]:
    """When each card and each trace last changed, in nanoseconds; 0 where there is none."""
    folder = zoo.pretrained_folder()
    paths = [folder / network / "card.toml" for network in wishes.networks]
    paths += [
        zoo.trace_path(network, variant, split)
        for network in wishes.networks
        for variant in zoo.card(network).variants
        for split in choosing.taken_from(wishes.images).values()
    ]
    return tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in paths)
