"""The dashboard's state: a link to a view and back, with a sentence for whatever a link has wrong.

The shell reads the address once, when a session begins, and writes it after every run. A page only
asks for what is chosen:

    view = state.current()          # drawn by app.py before the page runs
    view.network, view.bits, view.variant, view.thresholds, view.measure, view.profile, …

`View.read` and `View.write` are inverse, and neither knows streamlit: a link is parsed, never
trusted.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import streamlit as st

from hybrid.energy import DEFAULT_LINK, DEFAULT_PROFILE, SCOPES
from hybrid.errors import BitWidthError, HybridError, ThresholdError, UnknownNameError
from hybrid.traces.confidence import CODES, MEASURES

__all__ = [
    "CHOICES",
    "DEFAULT_SPLIT",
    "DEFAULT_THRESHOLD",
    "STEPS",
    "Offers",
    "Reading",
    "View",
    "current",
    "keep",
    "on_grid",
    "same_data",
    "slider_keys",
]

# A slider at its default is not in the address, so this number is part of what every link means.
DEFAULT_THRESHOLD = 0.8
DEFAULT_BITS = 4  # where it is offered: few bits, and nearly as accurate as the twin
DEFAULT_SPLIT = "test"  # likewise: a link names a split only where it is one of the user's own
STEPS = CODES  # a slider moves by 1 / STEPS, so it can stand at every threshold that tells apart
CHOICES = ("network", "bits", "measure", "profile", "link", "scope", "sliders")
_SLIDERS = ("each", "one")


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What can be chosen on this machine.

    early_exits: network → bit width of its hybrid variants → number of early exits.
    splits: network → the user's own splits.
    """

    early_exits: Mapping[str, Mapping[int, int]]
    profiles: tuple[str, ...]
    links: tuple[str, ...]
    measures: tuple[str, ...] = tuple(MEASURES)
    scopes: tuple[str, ...] = SCOPES
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def splits_of(self, network: str) -> tuple[str, ...]:
        """The splits that figures can be of, the default first."""
        return (DEFAULT_SPLIT, *self.splits.get(network, ()))


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything a link says. thresholds has one number per early exit, equal ones if together."""

    network: str
    bits: int
    thresholds: tuple[float, ...]
    together: bool = False
    measure: str = "max_probability"
    profile: str = DEFAULT_PROFILE
    link: str = DEFAULT_LINK
    scope: str = SCOPES[0]
    split: str = DEFAULT_SPLIT

    @property
    def variant(self) -> str:
        """Name of the folder with this bit width's weights and traces."""
        return f"hybrid-{self.bits}bit"

    @property
    def early_exits(self) -> int:
        """Number of early exits."""
        return len(self.thresholds)

    def write(self) -> dict[str, str]:
        """The view as the query of a link."""
        sliders = dict(zip(slider_keys(self), self.thresholds, strict=False))
        split = {} if self.split == DEFAULT_SPLIT else {"split": self.split}
        return (
            {
                "network": self.network,
                "bits": str(self.bits),
                "measure": self.measure,
                "profile": self.profile,
                "link": self.link,
                "scope": self.scope,
                "sliders": _SLIDERS[self.together],
            }
            | {key: repr(value) for key, value in sliders.items()}
            | split
        )

    @staticmethod
    def read(query: Mapping[str, str], offers: Offers) -> "Reading":
        """The view a link means; what it has wrong falls back and gives a sentence.

        Args:
            query: the link's query, any text.
            offers: what there is; at least one network with one bit width.
        """
        problems: list[str] = []

        def choice(key: str, kind: str, known: tuple[str, ...], default: str) -> str:
            given = query.get(key, default)
            if given in known:
                return given
            problems.append(str(UnknownNameError(kind, given, known)))
            return default

        network = choice(
            "network", "network", tuple(offers.early_exits), next(iter(offers.early_exits))
        )
        bits = _read_bits(query, tuple(offers.early_exits[network]), problems)
        together = _read_together(query, problems)
        exits = offers.early_exits[network][bits]
        return Reading(
            view=View(
                network=network,
                bits=bits,
                together=together,
                thresholds=_read_thresholds(query, exits, together=together, problems=problems),
                measure=choice(
                    "measure", "confidence measure", offers.measures, offers.measures[0]
                ),
                profile=choice("profile", "hardware profile", offers.profiles, DEFAULT_PROFILE),
                link=choice("link", "link profile", offers.links, DEFAULT_LINK),
                scope=choice("scope", "scope", offers.scopes, offers.scopes[0]),
                split=choice("split", "split", offers.splits_of(network), DEFAULT_SPLIT),
            ),
            problems=tuple(problems),
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A view and one sentence for each thing the link had wrong."""

    view: View
    problems: tuple[str, ...]


def slider_keys(view: View) -> tuple[str, ...]:
    """Keys of the sliders, which are also their names in the address: t, or t1, t2 and so on."""
    return ("t",) if view.together else tuple(f"t{i + 1}" for i in range(view.early_exits))


def on_grid(threshold: float) -> float:
    """The slider's position nearest to a threshold; the browser rounds in the same way.

    >>> on_grid(0.70004)
    0.7
    """
    return math.floor(threshold * STEPS + 0.5) / STEPS


def same_data(one: View, other: View) -> bool:
    """True if two views differ at most in their thresholds."""
    return replace(one, thresholds=other.thresholds) == other


def current() -> View:
    """The view the shell drew in this run; what a page starts from."""
    view: View = st.session_state["view"]
    return view


def keep(view: View) -> None:
    """Make this the current view and write it into the address, so that a copied link opens it.

    The sliders write their own part: they are bound to the address in the browser.
    """
    st.session_state["view"] = view
    written = view.write()
    wanted = {key: written[key] for key in (*CHOICES, "split") if key in written}
    if "split" in st.query_params and "split" not in wanted:
        del st.query_params["split"]
    if any(st.query_params.get(key) != value for key, value in wanted.items()):
        st.query_params.update(wanted)


def _read_bits(query: Mapping[str, str], offered: tuple[int, ...], problems: list[str]) -> int:
    default = DEFAULT_BITS if DEFAULT_BITS in offered else offered[0]
    given = query.get("bits", str(default))
    if given in {str(bits) for bits in offered}:
        return int(given)
    problems.append(str(BitWidthError(given, offered)))
    return default


def _read_together(query: Mapping[str, str], problems: list[str]) -> bool:
    default = "one" if "t" in query and "t1" not in query else "each"
    given = query.get("sliders", default)
    if given not in _SLIDERS:
        problems.append(str(UnknownNameError("slider mode", given, _SLIDERS)))
    return given == "one"


def _read_thresholds(
    query: Mapping[str, str], exits: int, *, together: bool, problems: list[str]
) -> tuple[float, ...]:
    known = ["t"] if together else [f"t{i + 1}" for i in range(exits)]
    problems.extend(
        f"The link has a threshold {key[:9]}, and this network has {exits} early exits; it was "
        "left out."
        for key in query
        if key[:1] == "t" and key[1:].isdecimal() and key[1:] not in map(str, range(1, exits + 1))
    )
    values = [_read_threshold(key, query, problems) for key in known]
    return tuple(values * exits) if together else tuple(values)


def _read_threshold(key: str, query: Mapping[str, str], problems: list[str]) -> float:
    given = query.get(key, repr(DEFAULT_THRESHOLD))
    try:
        return _threshold(key, given)
    except HybridError as error:
        problems.append(str(error))
        return DEFAULT_THRESHOLD


def _threshold(key: str, given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ThresholdError(
            f"The link says {key} = {given[:40]!r}, and a threshold is a number from 0 to 1; "
            f"{DEFAULT_THRESHOLD} was taken instead."
        )
    return on_grid(value)
