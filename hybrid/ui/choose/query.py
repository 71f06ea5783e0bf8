"""A query to Choose: read from a link, written to a link, and turned into limits.

`Query.read` and `Query.write` are inverses of each other and do not use streamlit. Links are parsed
and never trusted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hybrid.choosing import Limits
from hybrid.errors import LimitError, UnknownNameError
from hybrid.text import glossary

__all__ = ["NUMBERS", "UNDER", "Query", "QueryNumber"]

# Published models of the same process: the choice should not depend on which one is used.
UNDER = ("horowitz-45nm-fp32", "qkeras-45nm")


@dataclass(frozen=True, kw_only=True)
class QueryNumber:
    """A number in the form: its words, its unit and the limit that it sets.

    default: its value in a link that does not give it, so changing it changes existing links.
    least, most: its range. above: whether least itself is outside it.
    percent: a fraction is not accepted, because it is meant as a percentage.
    """

    label: str
    limit: str
    help: str
    step: float
    default: float | None = None
    least: float = 0.0
    most: float = math.inf
    above: bool = False
    percent: bool = False

    @property
    def range_(self) -> str:
        """The values that it can have, in words."""
        if self.most == math.inf:
            return f"more than {self.least:g}" if self.above else f"{self.least:g} or more"
        return f"{self.least:g} to {self.most:g}"

    def problem(self, value: float | None) -> str:
        """One sentence if the value cannot be a limit; else empty.

        >>> NUMBERS["loss"].problem(500)
        '500 is not possible: give 0 to 100, or leave it empty.'
        """
        if value is None:
            return ""
        if self.percent and 0 < value <= 1 and 100 * value <= self.most:
            return f"This is in percent: give {100 * value:.10g} instead of {value:.10g}."
        inside = self.least < value if self.above else self.least <= value
        if inside and value <= self.most and math.isfinite(value):
            return ""
        return f"{value:.10g} is not possible: give {self.range_}, or leave it empty."


# The key is the name in the address.
NUMBERS = {
    "loss": QueryNumber(
        label="Accuracy lost (points)",
        limit="max_loss_points",
        help=glossary.define(
            "twin",
            note="Largest loss in percentage points, compared with the full-precision twin on "
            "every image.",
        ),
        step=0.1,
        default=1.0,
        most=100.0,
    ),
    "confidence": QueryNumber(
        label="Confidence (%)",
        limit="confidence",
        help="Of the certificate that the loss is within its limit. Empty: only the loss measured "
        "on the tuning images is limited.",
        step=1.0,
        default=95.0,
        least=1.0,
        most=99.9,
        percent=True,
    ),
    "accuracy_percent": QueryNumber(
        label="Accuracy at least (%)",
        limit="min_accuracy_percent",
        help="Share of all images answered correctly, measured on the tuning images.",
        step=1.0,
        most=100.0,
        percent=True,
    ),
    "class_percent": QueryNumber(
        label="Each class at least (%)",
        limit="min_class_accuracy_percent",
        help="Share of the images of each class answered correctly, measured on the tuning images. "
        "The weakest class decides.",
        step=1.0,
        most=100.0,
        percent=True,
    ),
    "energy_uj": QueryNumber(
        label="Energy (µJ)",
        limit="max_energy_uj",
        help="Mean per image, in the sidebar's scope.",
        step=1.0,
    ),
    "latency_ms": QueryNumber(
        label="Mean latency (ms)",
        limit="max_latency_ms",
        help="Mean time until an image is answered.",
        step=1.0,
    ),
    "p95_ms": QueryNumber(
        label="95 % latency (ms)",
        limit="max_p95_latency_ms",
        help="95 % of the images must be answered within this time (95th percentile).",
        step=1.0,
    ),
    "uplink_bytes": QueryNumber(
        label="Uplink (bytes)",
        limit="max_uplink_bytes",
        help="Mean per image, sent to the cloud.",
        step=10.0,
    ),
    "memory_kib": QueryNumber(
        label="Edge memory (KiB)",
        limit="max_edge_memory_kib",
        help="Packed weights of the edge plus the inputs and outputs of its largest layer.",
        step=10.0,
    ),
    "images_per_day": QueryNumber(
        label="Images per day",
        limit="images_per_day",
        above=True,
        help="Images processed per day, to estimate battery life.",
        step=100.0,
    ),
    "battery_mah": QueryNumber(
        label="Battery (mAh)",
        limit="battery_mah",
        above=True,
        help="Capacity; a CR2032 has about 220 mAh.",
        step=10.0,
    ),
    "battery_volts": QueryNumber(
        label="Battery (V)",
        limit="battery_volts",
        above=True,
        help="Battery voltage.",
        step=0.1,
    ),
    "min_days": QueryNumber(
        label="Must last (days)",
        limit="min_days",
        help="Counts edge compute, memory and radio; idle consumption is not counted.",
        step=10.0,
    ),
}


_DEPLOYED = "deployed"  # in a link
_BATTERY = ("images_per_day", "battery_mah", "battery_volts")


@dataclass(frozen=True, kw_only=True)
class Query:
    """Everything in a link to Choose besides the view.

    Args:
        networks: to choose among.
        numbers: key of NUMBERS to its value; None sets no limit.
        profiles: energy models to compare the choice under, besides the view's; a link without
            them means `UNDER`.
        images: the user's, recorded in two halves; empty for the data set's.
        deployed: choose among deployment forms.
    """

    networks: tuple[str, ...]
    numbers: Mapping[str, float | None] = field(
        default_factory=lambda: {key: number.default for key, number in NUMBERS.items()}
    )
    profiles: tuple[str, ...] = UNDER
    images: str = ""
    deployed: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The numbers still missing, if a battery is described in part."""
        lacking = tuple(NUMBERS[key].label for key in _BATTERY if not self.numbers[key])
        begun = any(self.numbers[key] for key in (*_BATTERY, "min_days"))
        return lacking if begun else ()

    @property
    def problems(self) -> dict[str, str]:
        """One sentence for each number that cannot be a limit, by its key."""
        found = {key: NUMBERS[key].problem(value) for key, value in self.numbers.items()}
        return {key: words for key, words in found.items() if words}

    @property
    def limits(self) -> Limits:
        """The limits of the numbers; a battery counts once it is complete.

        Raises:
            LimitError: the numbers have problems.
        """
        given = {number.limit: self.numbers[key] for key, number in NUMBERS.items()}
        if any(not self.numbers[key] for key in _BATTERY):
            given |= {NUMBERS[key].limit: None for key in (*_BATTERY, "min_days")}
        percent = given.pop("confidence")
        return Limits(confidence=None if percent is None else percent / 100, **given)

    def write(self) -> dict[str, str]:
        """The query of a link, without the numbers at their default."""
        said = {
            key: "" if value is None else f"{value:.10g}"
            for key, value in self.numbers.items()
            if value != NUMBERS[key].default
        }
        under = {} if self.profiles == UNDER else {"under": ",".join(self.profiles)}
        images = {"images": self.images} if self.images else {}
        form = {"as": _DEPLOYED} if self.deployed else {}
        return said | {"among": ",".join(self.networks)} | images | under | form

    @staticmethod
    def read(
        address: Mapping[str, str],
        *,
        network: str,
        networks: Sequence[str],
        profiles: Sequence[str],
        images: Sequence[str] = (),
    ) -> "tuple[Query, tuple[str, ...]]":
        """The query of a link, and one sentence for each error in it.

        Args:
            network: the network to choose on if the link names none.
            networks, profiles, images: those on this machine.
        """
        problems: list[str] = []
        among = _names("network", address.get("among", ""), networks, problems)
        under = _names(
            "hardware profile", address.get("under", ",".join(UNDER)), profiles, problems
        )
        numbers = {key: _number(key, address, problems) for key in NUMBERS}
        own = _names("divided split of your images", address.get("images", ""), images, problems)
        query = Query(
            networks=among or (network,),
            numbers=numbers,
            profiles=under,
            images=own[0] if own else "",
            deployed=bool(_names("kind of variant", address.get("as", ""), (_DEPLOYED,), problems)),
        )
        return query, tuple(problems)


def _names(kind: str, given: str, known: Sequence[str], problems: list[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(name for name in given.split(",") if name))
    problems.extend(str(UnknownNameError(kind, n[:60], known)) for n in named if n not in known)
    return tuple(name for name in named if name in known)


def _number(key: str, query: Mapping[str, str], problems: list[str]) -> float | None:
    number = NUMBERS[key]
    if key not in query:
        return number.default
    given = query[key]
    if not given:
        return None
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if math.isfinite(value):  # the form marks one that cannot be a limit
        return value
    used = "no limit is set" if number.default is None else f"{number.default:g} is used"
    problems.append(
        str(
            LimitError(
                f"The link has {key} = {given[:40]!r}, but that is a number of {number.range_}; "
                f"{used} instead."
            )
        )
    )
    return number.default
