"""Results kept in memory for all sessions: a decorator, and the results that pages share.

    @cached(entries=24, files=trace_file)
    def trace(network: str, variant: str, split: str) -> Trace: …

The key contains every argument, and the path and modification time of every file that the result
depends on. So a newly recorded trace or another folder of networks takes effect at the next run.
Results are shared between sessions; never write into them. Singletons without an input, like the
pool of jobs, use `st.cache_resource`.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from hybrid import energy, evaluation, zoo
from hybrid.data import user_splits
from hybrid.errors import FileError, WeightsError
from hybrid.traces.trace import Trace
from hybrid.ui.view import SAME_AS_DEVICE, Offers, View

__all__ = [
    "cached",
    "card_file",
    "card_problem",
    "changed_ns",
    "counted",
    "derived",
    "link_title",
    "offers",
    "prices_at",
    "profile_title",
    "trace",
    "trace_file",
    "trace_files",
]

P = ParamSpec("P")
R = TypeVar("R")
_NONE = object()


def _no_files(*_: Any, **__: Any) -> Iterable[Path]:
    return ()


def cached(
    *,
    entries: int,
    files: Callable[..., Iterable[Path]] = _no_files,
    of: Callable[[Any], Any] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep a function's latest results; concurrent calls for the same result compute it once.

    Args:
        entries: how many results are kept; the least recently used one is dropped first.
        files: the files that the result depends on, from the function's arguments.
        of: removes from the first argument everything that the result does not depend on.
    """

    def decorate(compute: Callable[P, R]) -> Callable[P, R]:
        kept: _Kept[R] = _Kept(entries)

        @wraps(compute)
        def ask(*args: P.args, **named: P.kwargs) -> R:
            given: tuple[Any, ...] = args if of is None else (of(args[0]), *args[1:])
            key = (
                *map(_key_part, given),
                *named.items(),
                *((str(path), changed_ns(path)) for path in files(*given, **named)),
            )
            return kept.get(key, lambda: cast("Callable[..., R]", compute)(*given, **named))

        return ask

    return decorate


class _Kept(Generic[R]):
    """Results by key, the most recently used last."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], R]) -> R:
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > self._entries:
                self._slots.popitem(last=False)
        if slot.value is _NONE:
            with slot.lock:  # an error is not kept: the next caller in line computes again
                if slot.value is _NONE:
                    slot.value = compute()
        return cast("R", slot.value)


class _Same:
    """A value in a key that counts as this very object, which the key keeps alive."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


class _Slot:
    """One result, or none yet."""

    def __init__(self) -> None:
        self.value: object = _NONE
        self.lock = threading.Lock()


def derived(name: str, make: Callable[[], R], *inputs: Any) -> R:
    """A figure or table that follows from its inputs alone, made once for all sessions.

    Most of a page's time is drawing, and most visitors see the same at first.

    Args:
        name: of what is made.
        inputs: everything that it depends on. Words, numbers and views count by their value,
            other objects by identity: results of `cached` are the same until a file changes.
    """
    key = (name, *(one if isinstance(one, _BY_VALUE) else _Same(one) for one in inputs))
    return cast("R", _DERIVED.get(key, make))


_BY_VALUE = (str, int, float, type(None), View)


def changed_ns(path: Path) -> int:
    """When a file or folder last changed, in nanoseconds; 0 if it does not exist."""
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


_DERIVED: _Kept[Any] = _Kept(96)


def _key_part(argument: Any) -> Hashable:
    """An argument, or the digest of an array, which has no hash and may be large."""
    if isinstance(argument, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(argument).tobytes()).digest()
        return (argument.shape, argument.dtype.str, digest)
    return cast("Hashable", argument)


def card_file(network: str, *_: Any) -> tuple[Path]:
    """The network's card."""
    return (zoo.pretrained_folder() / network / "card.toml",)


def trace_file(network: str, variant: str, split: str, *_: Any) -> tuple[Path]:
    """The trace of one variant."""
    return (zoo.trace_path(network, variant, split),)


@cached(entries=64, files=lambda network, _: (*card_file(network), user_splits.folder()))
def trace_files(network: str, split: str) -> tuple[Path, ...]:
    """The card and each variant's trace of the split."""
    variants = zoo.card(network).recorded
    return (*card_file(network), *(zoo.trace_path(network, name, split) for name in variants))


@cached(entries=24, files=trace_file)
def trace(network: str, variant: str, split: str) -> Trace:
    """The recorded trace of a variant.

    Raises:
        UnknownNameError, DataMissingError, TraceError: as `zoo.trace`.
    """
    return zoo.trace(network, variant, split)


def counted(network: str, variant: str, split: str) -> Trace:
    """The trace to count from; if it has no labels, the final exit's answers replace them.

    Raises:
        UnknownNameError, DataMissingError, TraceError: as `zoo.trace`.
    """
    recorded = trace(network, variant, split)
    return recorded if recorded.labelled else recorded.against_final


@cached(entries=64, files=card_file)
def card_problem(network: str) -> str:
    """Why the network's card cannot be read; empty if it can."""
    try:
        zoo.card(network)
    except WeightsError as error:
        return str(error)
    return ""


def offers() -> Offers:
    """The choices available on this machine, without networks whose card cannot be read."""
    exits, splits, deployed = {}, {}, {}
    for network in zoo.networks():
        if card_problem(network):
            continue
        card = zoo.card(network)
        if card.hybrids:
            exits[network] = {variant.bits: variant.early_exits for variant in card.hybrids}
            deployed[network] = {variant.bits: variant.early_exits for variant in card.deployed}
            splits[network] = tuple(user_splits.names(network))
    return Offers(
        early_exits=exits,
        deployed=deployed,
        profiles=_profile_names(),
        links=_link_names(),
        splits=splits,
    )


def _own_profiles(*_: object) -> tuple[Path, ...]:
    """The folder of the user's own hardware profiles, which changes with them."""
    try:
        return (energy.own_folder(),)
    except FileError:  # a user without a home folder has none
        return ()


@cached(entries=64, files=_own_profiles)
def prices_at(profile: str, link: str, scope: str, cloud: str) -> evaluation.Prices:
    """The prices of two hardware profiles, a link profile and an energy scope, by their names.

    Args:
        cloud: the cloud's profile, or SAME_AS_DEVICE.
    """
    own = "" if cloud == SAME_AS_DEVICE else cloud
    return evaluation.Prices.named(profile=profile, link=link, scope=scope, cloud=own)


@cached(entries=64, files=_own_profiles)
def profile_title(name: str) -> str:
    """The hardware profile's title."""
    return energy.load_profile(name).title


@cached(entries=64)
def link_title(name: str) -> str:
    """The link profile's title."""
    return energy.load_link(name).title


@cached(entries=1, files=_own_profiles)
def _profile_names() -> tuple[str, ...]:
    return tuple(energy.profile_names())


@cached(entries=1)
def _link_names() -> tuple[str, ...]:
    return tuple(energy.link_names())
