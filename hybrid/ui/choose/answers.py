"""Answers to a query, computed once for all sessions, with progress for the waiting one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from hybrid import choosing, energy, zoo
from hybrid.choosing import Answer, Field, Limits, LossCurve, ParetoSet, ProfileCheck
from hybrid.errors import HybridError
from hybrid.evaluation import Prices
from hybrid.text import decision
from hybrid.ui.cache import cached, card_file, prices_at
from hybrid.ui.choose.query import Query
from hybrid.ui.choose.report import to_html
from hybrid.ui.view import View

__all__ = ["answer", "compared", "curve", "pareto_sets", "reference_change", "report"]

_QUICK_SECONDS = 0.4  # a shorter computation shows no progress
_LOOK_SECONDS = 0.1
_REFERENCES = "choose_references"  # candidates, references before them, and with them
_SHOWN = "choose_shown"  # the settings of the answer on the page


@dataclass(frozen=True, kw_only=True)
class _Candidates:
    """Everything that the candidates depend on."""

    networks: tuple[str, ...]
    images: str
    measure: str
    deployed: bool


@dataclass(frozen=True, kw_only=True)
class _AskedAnswer:
    """Every input of an answer."""

    candidates: _Candidates
    limits: Limits
    profile: str
    link: str
    scope: str
    cloud: str

    @property
    def field(self) -> Field:
        return _field(self.candidates)

    @property
    def prices(self) -> Prices:
        return prices_at(self.profile, self.link, self.scope, self.cloud)


# While candidates are counted: how many are done, and how many in all. Not an argument of the
# cached functions, because their results do not depend on it.
_COUNTED: dict[_Candidates, tuple[int, int]] = {}


def answer(query: Query, view: View, place: DeltaGenerator) -> Answer:
    """The point that meets the query's limits at the view's prices.

    Args:
        place: the element that shows answers. It is emptied at once if these are other settings
            than those of the answer in it, and shows the progress if the computation takes long.

    Raises:
        LimitError: the query sets no limit, or there is nothing to choose among.
    """
    asked = _asked_answer(query, view)
    if st.session_state.get(_SHOWN) != asked:
        place.caption("Choosing")
        st.session_state[_SHOWN] = asked
    try:
        return _shown(lambda: _answer(asked), lambda: _COUNTED.get(asked.candidates), place)
    except HybridError:
        place.empty()
        raise


def reference_change(answer: Answer, query: Query, view: View) -> str:
    """That the last change of networks or images changed the reference of losses; else empty."""
    state, now = st.session_state, answer.references
    asked = _asked_answer(query, view).candidates
    if _REFERENCES not in state:
        state[_REFERENCES] = asked, now, now
    known, _, last = state[_REFERENCES]
    if known != asked:
        state[_REFERENCES] = asked, last, now
    _, before, now = state[_REFERENCES]
    return decision.reference_change(before, now)


def pareto_sets(query: Query, view: View) -> tuple[ParetoSet, ...]:
    """The candidates that the figures draw."""
    return _pareto_sets(_asked_answer(query, view))


def curve(query: Query, view: View) -> LossCurve:
    """The least energy for each loss allowed, with the other limits kept."""
    with st.spinner("Choosing at other losses"):
        return _curve(_asked_answer(query, view))


def compared(query: Query, view: View) -> tuple[ProfileCheck, ...]:
    """The choice under the view's profile and under those to compare; none without a choice."""
    with st.spinner("Choosing under other energy models"):
        return _compared(_asked_answer(query, view), _profiles(query, view))


def report(query: Query, view: View) -> str:
    """The answer as an HTML page."""
    asked = _asked_answer(query, view)
    checks = _compared(asked, _profiles(query, view))
    return to_html(_answer(asked), _pareto_sets(asked), _curve(asked), checks)


def _profiles(query: Query, view: View) -> tuple[str, ...]:
    return tuple(dict.fromkeys((view.profile, *query.profiles)))


def _asked_answer(query: Query, view: View) -> _AskedAnswer:
    return _AskedAnswer(
        candidates=_Candidates(
            networks=query.networks,
            images=query.images,
            measure=view.measure,
            deployed=query.deployed,
        ),
        limits=query.limits,
        profile=view.profile,
        link=view.link,
        scope=view.scope,
        cloud=view.cloud,
    )


def _shown(
    work: Callable[[], Answer],
    progress: Callable[[], tuple[int, int] | None],
    place: DeltaGenerator,
) -> Answer:
    """The work's result; if a click ends the wait, the work continues and its result is kept."""
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
    return future.result()


def _done(future: Future[Answer], seconds: float) -> bool:
    try:
        future.exception(seconds)
    except TimeoutError:
        return False
    return True


def _files(asked: _Candidates) -> list[Path]:
    """The card and all traces of every network to choose among."""
    cards = [path for network in asked.networks for path in card_file(network)]
    return cards + [
        zoo.trace_path(network, variant, split)
        for network in asked.networks
        for variant in zoo.card(network).recorded
        for split in choosing.taken_from(asked.images).values()
    ]


def _all_files(asked: _AskedAnswer, *_: object) -> list[Path]:
    return _files(asked.candidates)


@cached(entries=6, files=_files)
def _field(asked: _Candidates) -> Field:
    def count(done: int, total: int) -> None:
        _COUNTED[asked] = (done, total)

    try:
        return choosing.collect_candidates(
            asked.networks,
            images=asked.images,
            measure=asked.measure,
            deployed=asked.deployed,
            progress=count,
        )
    finally:
        _COUNTED.pop(asked, None)


@cached(entries=32, files=_all_files)
def _answer(asked: _AskedAnswer) -> Answer:
    return choosing.choose(asked.field, asked.limits, asked.prices)


@cached(entries=16, files=_all_files)
def _pareto_sets(asked: _AskedAnswer) -> tuple[ParetoSet, ...]:
    return choosing.pareto_sets(asked.field, asked.limits, asked.prices)


@cached(entries=16, files=_all_files)
def _curve(asked: _AskedAnswer) -> LossCurve:
    return choosing.loss_curve(asked.field, asked.limits, asked.prices)


@cached(entries=16, files=_all_files)
def _compared(asked: _AskedAnswer, profiles: tuple[str, ...]) -> tuple[ProfileCheck, ...]:
    best = _answer(asked).best
    if best is None:
        return ()
    loaded = [*map(energy.load_profile, profiles)]
    return choosing.check_profiles(asked.field, asked.limits, asked.prices, best, loaded)
