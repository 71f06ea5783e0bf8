"""Hardware and link profiles, read from TOML files: numbers with their units and origin.

Each key includes its unit, and `[basis]` states for each number whether it was read in a source,
computed from one, measured, or assumed. Your own profile is a TOML file with the same keys; give
its path as the name.
"""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from hybrid.errors import FileError, ProfileError, UnknownNameError
from hybrid.files import expanded, home_folder, read_toml

__all__ = [
    "DEFAULT_LINK",
    "DEFAULT_PROFILE",
    "Link",
    "Profile",
    "link_names",
    "load_link",
    "load_profile",
    "own_folder",
    "profile_names",
]

DEFAULT_PROFILE = "purdue-45nm"
DEFAULT_LINK = "ble-nrf52840"

FORMAT = 1
FOLDER = Path(__file__).parent
BASES = ("read", "computed", "measured", "assumed")
TEXTS = ("name", "title", "source", "note")
MOST = 1e18  # of any number; products of several are still finite
RATES = ("edge_macs_per_second", "cloud_macs_per_second", "uplink_mbit_per_s")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Cost of computing on one piece of hardware.

    The energy of a multiply-accumulate of b bits with an accumulator of a bits is
        mac_pj_per_square_bit·b² + mac_pj_per_bit·b + mac_pj_per_accumulator_bit·a + mac_pj_fixed,
        a = weight bits + activation bits + ⌈log2 fan-in⌉,
    unless `mac_pj_at_bits` has an entry for b. Hardware without a formula has only this table:
    b bits are then charged at the narrowest width in the table that is at least b, so a processor
    without narrow arithmetic gains nothing from fewer bits.
    """

    name: str
    title: str
    source: str
    note: str = ""
    mac_pj_per_square_bit: float = 0.0
    mac_pj_per_bit: float = 0.0
    mac_pj_per_accumulator_bit: float = 0.0
    mac_pj_fixed: float = 0.0
    mac_pj_at_bits: Mapping[int, float] = field(default_factory=dict)
    access_pj_per_bit: float
    edge_macs_per_second_at_bits: Mapping[int, float]
    cloud_macs_per_second: float
    basis: Mapping[str, str]

    @property
    def has_formula(self) -> bool:
        """True if the energy of a MAC is given by a formula, not only by a table."""
        terms = (self.mac_pj_per_square_bit, self.mac_pj_per_bit)
        return any((*terms, self.mac_pj_per_accumulator_bit, self.mac_pj_fixed))

    @property
    def whole_chip(self) -> bool:
        """True if a MAC's energy includes memory, so that memory accesses add nothing."""
        return self.access_pj_per_bit == 0

    def mac_pj(self, weight_bits: int, activation_bits: int, fan_in: int = 1) -> float:
        """Energy of one MAC, charged at the wider of its two operands.

        Args:
            weight_bits: 1 to 32.
            activation_bits: 1 to 32.
            fan_in: number of products summed into one output; sets the accumulator's width.

        >>> round(load_profile("purdue-45nm").mac_pj(4, 4), 4)  # 3.1 · 4/32 + 0.1
        0.4875
        """
        bits = max(weight_bits, activation_bits)
        if bits in self.mac_pj_at_bits or not self.has_formula:
            return _at_bits(self.mac_pj_at_bits, bits)
        accumulator = weight_bits + activation_bits + math.ceil(math.log2(fan_in))
        return (
            self.mac_pj_per_square_bit * bits**2
            + self.mac_pj_per_bit * bits
            + self.mac_pj_per_accumulator_bit * accumulator
            + self.mac_pj_fixed
        )

    def access_pj(self, bits: int) -> float:
        """Energy to read or write one number of `bits` bits; 0 if a MAC's energy includes it."""
        return self.access_pj_per_bit * bits

    def edge_macs_per_second(self, bits: int) -> float:
        """MACs per second at the edge when the wider operand has `bits` bits."""
        return _at_bits(self.edge_macs_per_second_at_bits, bits)


@dataclass(frozen=True, kw_only=True)
class Link:
    """Cost of sending over one radio; the energy per bit includes the link's own overhead."""

    name: str
    title: str
    source: str
    note: str = ""
    radio_nj_per_bit: float
    uplink_mbit_per_s: float
    round_trip_ms: float
    basis: Mapping[str, str]

    def energy_pj(self, uplink_bytes: float) -> float:
        """Energy to send `uplink_bytes` bytes.

        >>> load_link("ble-nrf52840").energy_pj(3072)  # 3072 · 8 · 27 nJ, in pJ
        663552000.0
        """
        return uplink_bytes * 8 * self.radio_nj_per_bit * 1000

    def transfer_ms(self, uplink_bytes: float) -> float:
        """Time on the air for `uplink_bytes` bytes, without the round trip."""
        return uplink_bytes * 8 / (self.uplink_mbit_per_s * 1000)


def profile_names() -> list[str]:
    """Names of the hardware profiles that come with hybrid, the default first; then your own.

    Your own are the files in `own_folder` that are profiles of another name.
    """
    shipped = _names("hardware", DEFAULT_PROFILE)
    return shipped + [name for name in _own_names() if name not in shipped]


def own_folder() -> Path:
    """The folder of your own hardware profiles: HYBRID_PROFILES, else one in the home folder.

    Raises:
        FileError: there is no home folder.
    """
    if named := os.environ.get("HYBRID_PROFILES"):
        return expanded(named)
    data = os.environ.get("XDG_DATA_HOME")
    home = expanded(data) if data else home_folder("HYBRID_PROFILES") / ".local" / "share"
    return home / "hybrid" / "profiles"


def link_names() -> list[str]:
    """Names of the link profiles that come with hybrid, the default first."""
    return _names("links", DEFAULT_LINK)


def load_profile(name: str | Path) -> Profile:
    """The hardware profile of this name, or in the TOML file at this path.

    Raises:
        UnknownNameError: no profile has that name.
        ProfileError: the file is missing or is not a hardware profile.
    """
    path = _path("hardware", "hardware profile", name, profile_names())
    profile = _load(Profile, path)
    if not profile.has_formula and not profile.mac_pj_at_bits:
        raise ProfileError(f"{path} gives no energy for a MAC; add mac_pj_per_bit or another.")
    return profile


def load_link(name: str | Path) -> Link:
    """The link profile of this name, or in the TOML file at this path; errors as load_profile."""
    return _load(Link, _path("links", "link profile", name, link_names()))


Kind = TypeVar("Kind", Profile, Link)


def _at_bits(table: Mapping[int, float], bits: int) -> float:
    widths = [width for width in table if width >= bits]
    # Wider than everything in the table: charged at the widest entry.
    return table[min(widths)] if widths else table[max(table)]


def _names(folder: str, first: str) -> list[str]:
    names = sorted(path.stem for path in (FOLDER / folder).glob("*.toml"))
    return sorted(names, key=lambda name: name != first)


def _path(folder: str, kind: str, name: str | Path, known: list[str]) -> Path:
    if str(name).endswith(".toml"):
        return Path(name)
    if str(name) not in known:
        raise UnknownNameError(kind, name, known)
    shipped = FOLDER / folder / f"{name}.toml"
    return shipped if shipped.is_file() else own_folder() / f"{name}.toml"


def _own_names() -> list[str]:
    """Names of the files in the own folder that can be read as profiles."""
    try:
        paths = sorted(own_folder().glob("*.toml"))
    except (OSError, FileError):
        return []
    found = []
    for path in paths:
        with suppress(ProfileError):
            _load(Profile, path)
            found.append(path.stem)
    return found


def _load(kind: type[Kind], path: Path) -> Kind:
    try:
        given = read_toml(path)
    except FileNotFoundError:
        raise ProfileError(f"There is no file {path}; give the path of a TOML profile.") from None
    except (OSError, ValueError) as error:
        raise ProfileError(f"{path} cannot be read as TOML: {error}.") from None
    return kind(**_checked(kind, given, path))


def _checked(kind: type[Profile] | type[Link], given: dict[str, Any], path: Path) -> dict[str, Any]:
    if given.pop("format", None) != FORMAT:
        raise ProfileError(f"{path} must set format = {FORMAT} in its first lines.")
    required = [f.name for f in fields(kind) if _is_required(f)]
    missing = [key for key in required if key not in given]
    unknown = [key for key in given if key not in {f.name for f in fields(kind)}]
    if missing or unknown:
        raise ProfileError(_wrong_keys(path, missing=missing, unknown=unknown))
    checked = {key: _value(key, value, path) for key, value in given.items()}
    _check_basis(checked, path)
    return checked


def _is_required(entry: Any) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _wrong_keys(path: Path, *, missing: list[str], unknown: list[str]) -> str:
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has the unknown {', '.join(unknown)}"] if unknown else []
    return f"{path} {' and '.join(parts)}; compare it with {FOLDER.name}/ in hybrid."


def _value(key: str, value: Any, path: Path) -> Any:
    if key in TEXTS or key == "basis":
        return value if key == "basis" else str(value)
    if not key.endswith("_at_bits"):
        return _number(key, value, path)
    if not isinstance(value, dict) or not value or not all(map(_is_width, value)):
        raise ProfileError(f"{path}: {key} must be a table from bit widths to numbers.")
    return {int(width): _number(f"{key}.{width}", v, path) for width, v in value.items()}


def _is_width(word: str) -> bool:
    return word.isdecimal() and len(word) <= 3


def _number(key: str, value: Any, path: Path) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MOST:
        raise ProfileError(
            f"{path}: {key} is {_shown(value)}; give a number of 0 or more, at most {MOST:g}."
        )
    if value < 1 / MOST and key.startswith(RATES):
        raise ProfileError(f"{path}: {key} is {value:g}; a rate must be more than that.")
    return float(value)


def _shown(value: Any) -> str:
    try:
        return repr(value)[:40]
    except ValueError:  # a hexadecimal number of more digits than Python writes out
        return "a number of thousands of digits"


def _check_basis(checked: dict[str, Any], path: Path) -> None:
    basis = checked["basis"]
    for key in checked.keys() - {*TEXTS, "basis"}:
        words = str(basis.get(key, "")) if isinstance(basis, dict) else ""
        if not words.startswith(BASES):
            raise ProfileError(f"{path}: [basis] must state whether {key} was {', '.join(BASES)}.")
