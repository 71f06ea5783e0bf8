"""The `View` that a link describes, and the one table of its fields. Links are never trusted.

`View.read` and `View.write` are inverses of each other. This module does not use streamlit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hybrid.energy import DEFAULT_LINK, DEFAULT_PROFILE, SCOPES
from hybrid.errors import BitWidthError, HybridError, ThresholdError, UnknownNameError
from hybrid.traces.confidence import CODES, MEASURES

__all__ = [
    "CHOICES",
    "DEFAULT_BITS",
    "DEFAULT_SPLIT",
    "DEFAULT_THRESHOLD",
    "DEPLOYED",
    "SAME_AS_DEVICE",
    "STEPS",
    "TRAINED",
    "Choice",
    "Offers",
    "Reading",
    "View",
    "on_grid",
    "slider_keys",
    "without_thresholds",
]

# A link may leave a threshold out, so this number is part of what such links mean.
DEFAULT_THRESHOLD = 0.8
DEFAULT_BITS = 4  # if offered: few bits, and nearly as accurate as the twin
DEFAULT_SPLIT = "test"  # a link names a split only if it is one of the user's
TRAINED, DEPLOYED = "trained", "deployed"  # forms of the edge: as trained, or as a device has it
SAME_AS_DEVICE = "same"  # the cloud's profile if it is priced like the device
STEPS = CODES  # a slider moves in steps of 1 / STEPS, the grid of confidence codes


@dataclass(frozen=True, kw_only=True)
class Offers:
    """The choices available on this machine.

    early_exits: network → bit width of its hybrid variants → number of early exits.
    splits: network → the splits that the user made.
    deployed: as early_exits, of the deployment forms.
    """

    early_exits: Mapping[str, Mapping[int, int]]
    profiles: tuple[str, ...]
    links: tuple[str, ...]
    measures: tuple[str, ...] = tuple(MEASURES)
    scopes: tuple[str, ...] = SCOPES
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deployed: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def widths(self, network: str, form: str) -> Mapping[int, int]:
        """Bit width → number of early exits, of the trained network or of its deployment forms."""
        return (self.deployed if form == DEPLOYED else self.early_exits)[network]

    def forms_of(self, network: str) -> tuple[str, ...]:
        """Whether the network can be shown as trained alone, or as deployed too."""
        return (TRAINED, DEPLOYED) if self.deployed.get(network) else (TRAINED,)

    def splits_of(self, network: str) -> tuple[str, ...]:
        """The splits that figures can be computed on, the default first."""
        return (DEFAULT_SPLIT, *self.splits.get(network, ()))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A field of a view that has one of several values.

    offered: the values, from the fields chosen before. error: makes the error for any other value,
    from that value and the offered ones. preferred: the value in a link without the field, if it is
    offered; else the first one.
    """

    offered: Callable[[Offers, Mapping[str, Any]], Sequence[Any]]
    error: Callable[[str, Sequence[Any]], HybridError]
    preferred: object = None

    def read(self, text: str | None, offered: Sequence[Any], problems: list[str]) -> Any:
        """The value given by a link's text; adds a sentence to `problems` if it is invalid."""
        default = self.preferred if self.preferred in offered else offered[0]
        known = {str(value): value for value in offered}
        if text is not None and text not in known:
            problems.append(str(self.error(text, offered)))
        return default if text is None else known.get(text, default)


def _unknown(kind: str) -> Callable[[str, Sequence[Any]], HybridError]:
    return lambda given, known: UnknownNameError(kind, given, known)


# Each key is a field of View, the key of its widget and its name in a link. The network comes
# first, because the values offered for the others depend on it; so do the bit widths on the form.
CHOICES: Mapping[str, Choice] = {
    "network": Choice(
        offered=lambda offers, _: tuple(offers.early_exits), error=_unknown("network")
    ),
    "form": Choice(
        offered=lambda offers, chosen: offers.forms_of(chosen["network"]),
        error=_unknown("form of the edge"),
    ),
    "bits": Choice(
        offered=lambda offers, chosen: tuple(offers.widths(chosen["network"], chosen["form"])),
        error=BitWidthError,
        preferred=DEFAULT_BITS,
    ),
    "measure": Choice(
        offered=lambda offers, _: offers.measures, error=_unknown("confidence measure")
    ),
    "profile": Choice(
        offered=lambda offers, _: offers.profiles,
        error=_unknown("hardware profile"),
        preferred=DEFAULT_PROFILE,
    ),
    "cloud": Choice(
        offered=lambda offers, _: (SAME_AS_DEVICE, *offers.profiles),
        error=_unknown("cloud profile"),
    ),
    "link": Choice(
        offered=lambda offers, _: offers.links,
        error=_unknown("link profile"),
        preferred=DEFAULT_LINK,
    ),
    "scope": Choice(offered=lambda offers, _: offers.scopes, error=_unknown("scope")),
    "sliders": Choice(offered=lambda *_: ("each", "one"), error=_unknown("slider mode")),
    "split": Choice(
        offered=lambda offers, chosen: offers.splits_of(chosen["network"]),
        error=_unknown("split"),
        preferred=DEFAULT_SPLIT,
    ),
}


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that a link describes.

    thresholds: one number per early exit, all equal if one slider moves them all.
    sliders: "each" for a slider per exit, "one" for a shared one.
    form: of the edge, TRAINED or DEPLOYED.
    """

    network: str
    bits: int
    thresholds: tuple[float, ...]
    sliders: str = "each"
    measure: str = "max_probability"
    profile: str = DEFAULT_PROFILE
    cloud: str = SAME_AS_DEVICE
    link: str = DEFAULT_LINK
    scope: str = SCOPES[0]
    split: str = DEFAULT_SPLIT
    form: str = TRAINED

    @property
    def variant(self) -> str:
        """Name of the folder with this bit width's weights and traces."""
        return f"deployed-{self.bits}bit" if self.deployed else self.trained_variant

    @property
    def trained_variant(self) -> str:
        """The same of the trained network, whatever the form."""
        return f"hybrid-{self.bits}bit"

    @property
    def deployed(self) -> bool:
        """Whether the deployment form is shown."""
        return self.form == DEPLOYED

    @property
    def early_exits(self) -> int:
        """Number of early exits."""
        return len(self.thresholds)

    @property
    def together(self) -> bool:
        """Whether one slider moves all thresholds."""
        return self.sliders == "one"

    @property
    def choices(self) -> dict[str, Any]:
        """The fields of `CHOICES`, by name."""
        return {name: getattr(self, name) for name in CHOICES}

    @property
    def widgets(self) -> dict[str, Any]:
        """The value of every control, by its key."""
        return self.choices | dict(zip(slider_keys(self), self.thresholds, strict=False))

    def write(self) -> dict[str, str]:
        """The view as the query of a link."""
        written = {key: str(value) for key, value in self.widgets.items()}
        for key, default in (("split", DEFAULT_SPLIT), ("form", TRAINED)):
            if written[key] == default:
                del written[key]
        return written

    @staticmethod
    def read(query: Mapping[str, str], offers: Offers) -> "Reading":
        """The view that a link describes, with defaults and a sentence for each error in it.

        Args:
            query: the link's query, any text.
            offers: the choices on this machine; at least one network with one bit width.
        """
        problems: list[str] = []
        sliders = "one" if "t" in query and "t1" not in query else "each"
        query = {"sliders": sliders} | dict(query)
        chosen: dict[str, Any] = {}
        for name, choice in CHOICES.items():
            offered = choice.offered(offers, chosen)
            chosen[name] = choice.read(query.get(name), offered, problems)
        exits = offers.widths(chosen["network"], chosen["form"])[chosen["bits"]]
        together = chosen["sliders"] == "one"
        thresholds = _read_thresholds(query, exits, together=together, problems=problems)
        return Reading(view=View(thresholds=thresholds, **chosen), problems=tuple(problems))


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A view and one sentence for each error in its link."""

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


def without_thresholds(view: View) -> View:
    """The same view without its thresholds, to look up results that no slider changes."""
    return replace(view, thresholds=(0.0,) * view.early_exits)


def _read_thresholds(
    query: Mapping[str, str], exits: int, *, together: bool, problems: list[str]
) -> tuple[float, ...]:
    known = ["t"] if together else [f"t{i + 1}" for i in range(exits)]
    problems.extend(
        f"The link has a threshold {key[:9]}, but this network has {exits} early exits; it was "
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
            f"The link has {key} = {given[:40]!r}, but a threshold is a number from 0 to 1; "
            f"{DEFAULT_THRESHOLD} was taken instead."
        )
    return on_grid(value)
