"""A point as `operating-point.toml`, which every tool that runs a network can read.

The file holds the choice, its prices, its certificate and the hash of its weights. A point is
refused with other weights, because thresholds and certificate are valid only for its own. The JSON
of a point from Explore has the same fields among its figures, and is read in the same way.
"""

import datetime as dt
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

import hybrid
from hybrid import zoo
from hybrid.choosing.answer import Answer, Point, Proof
from hybrid.choosing.modes import MODES
from hybrid.data import SPLITS
from hybrid.energy import (
    DEFAULT_LINK,
    DEFAULT_PROFILE,
    SCOPES,
    link_names,
    profile_names,
)
from hybrid.errors import PointError, ThresholdError
from hybrid.files import parse_json, parse_toml, read_text, replacing
from hybrid.policy import check_thresholds
from hybrid.traces.confidence import MEASURES

__all__ = [
    "FORMAT",
    "PointFile",
    "command_of",
    "load_point",
    "origin",
    "point_file",
    "save_point",
    "to_json",
    "to_toml",
]

FORMAT = 2
_MOST_IMAGES = 10**12  # of a certificate
_AGAIN = "choose again with `hybrid choose`"
_MEASURE, _CONFIDENCE = "max_probability", 0.95  # the defaults of the command
_OPTIONS = {  # by the limit that they set, where the names differ
    "max_loss_points": "max_loss",
    "min_accuracy_percent": "min_accuracy",
    "min_class_accuracy_percent": "min_class_accuracy",
}


@dataclass(frozen=True, kw_only=True)
class PointFile:
    """The contents of an operating-point file.

    Args:
        mode: a name in `MODES`; a `cloud` point sends the raw image and runs its variant there.
        profile, link: names, or paths of a user's own TOML files.
        certificate: bound, confidence and images; empty if nothing was certified.
        limits: those it was chosen for.
        figures: purpose, tune or test, to means per image.
        images: name of the user's own images that it was chosen on; empty for the data set's.
        uncertified: True if the loss has a limit that was only measured on the tuning images.
        origin: see `origin`.
        cloud_profile: of the cloud; empty if the cloud is priced like the device.
        split: the split that its figures were shown for, in a file from Explore.
    """

    network: str
    variant: str
    mode: str
    bits: int
    thresholds: tuple[float, ...]
    measure: str
    weights_sha256: str
    profile: str
    link: str
    scope: str
    certificate: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    images: str = ""
    uncertified: bool = False
    origin: Mapping[str, str] = field(default_factory=dict)
    cloud_profile: str = ""
    split: str | None = None

    @property
    def static(self) -> bool:
        """True if the variant has no early exit."""
        return self.variant.startswith("static-")

    @property
    def deployed(self) -> bool:
        """True if the variant is a deployment form."""
        return self.variant.startswith("deployed-")

    @property
    def answers(self) -> tuple[str, str, tuple[float, ...], str]:
        """Everything that determines an answer; if any of it changes, the certificate is void."""
        return self.network, self.variant, self.thresholds, self.measure

    def check_unseen(self, split: str) -> None:
        """Check that a new certificate would use images that this point was not chosen on.

        The best of many points tried on the same images is partly luck, so a bound that ignored
        the others would be too low.

        Raises:
            PointError: the point was chosen on the images that would certify it.
        """
        seen = {f"{self.images}-tune"} if self.images else set[str]()
        if self.certificate and self.limits.get("max_loss_points") is not None:
            seen.add(f"{self.images}-certify" if self.images else "certify")
        certifying = "certify" if split in SPLITS else split
        if certifying in seen:
            raise PointError(
                f"This point was chosen with the images of {certifying}, which cannot certify it "
                "once more; its certificate is in its file. Name other images of your own with "
                "--split."
            )


def origin(answer: Answer, on: dt.date | None = None) -> dict[str, str]:
    """When, with which version and by which command a choice was made, for files and reports.

    Args:
        on: the date; today if none is given.
    """
    return {
        "date": (on or dt.datetime.now(tz=dt.UTC).date()).isoformat(),
        "version": hybrid.__version__,
        "command": command_of(answer),
    }


def command_of(answer: Answer) -> str:
    """The command that makes this choice again. It names no path of this machine.

    A profile or link of the user's own is named by its file, `my-chip.toml`.
    """
    given = {
        "images": answer.images or None,
        **{_OPTIONS.get(name, name): value for name, value in answer.limits.to_dict().items()},
        "measure": _unless(answer.measure, _MEASURE),
        "profile": _unless(_profile(answer.profile, profile_names()), DEFAULT_PROFILE),
        "cloud_profile": _unless(_profile(answer.cloud_profile, ("", *profile_names())), ""),
        "link": _unless(_profile(answer.link, link_names()), DEFAULT_LINK),
        "scope": _unless(answer.scope, SCOPES[0]),
    }
    if given.get("confidence") == _CONFIDENCE:
        del given["confidence"]
    words = ["hybrid", "choose", *answer.networks]
    for name, value in given.items():
        if value is not None:
            shown = f"{value:.12g}" if isinstance(value, float | int) else value
            words += [f"--{name.replace('_', '-')}", shown]
    if answer.limits.confidence is None:
        words.append("--uncertified")
    if answer.deployed:
        words.append("--deployed")
    return shlex.join(words)


def point_file(
    answer: Answer,
    *,
    profile: str | None = None,
    link: str | None = None,
    cloud_profile: str | None = None,
    on: dt.date | None = None,
) -> PointFile:
    """The contents of the file for an answer's best point.

    Args:
        profile, link, cloud_profile: as the user named them, if by path.
        on: the date; today if none is given.

    Raises:
        PointError: no candidate meets the limits, so there is no point.
    """
    if answer.best is None:
        raise PointError(
            "No candidate meets these limits, so there is no operating point to write."
        )
    best = answer.best
    return PointFile(
        network=best.network,
        variant=best.variant,
        mode=best.mode,
        bits=best.bits,
        thresholds=best.thresholds,
        measure=best.measure,
        weights_sha256=best.weights_sha256,
        profile=profile or answer.profile,
        link=link or answer.link,
        scope=answer.scope,
        certificate=asdict(answer.proof) if answer.proof else {},
        limits=answer.limits.to_dict(),
        figures=_figures(best),
        images=answer.images,
        uncertified=answer.limits.uncertified,
        origin=origin(answer, on),
        cloud_profile=cloud_profile or answer.cloud_profile,
    )


def save_point(point: PointFile, path: Path) -> None:
    """Write a point as TOML."""
    with replacing(path) as draft:
        draft.write_text(to_toml(point), encoding="utf-8")


def to_toml(point: PointFile) -> str:
    """A point as TOML; None is left out."""
    return tomli_w.dumps({"format": FORMAT} | _listed(asdict(point)))


def to_json(point: PointFile) -> dict[str, Any]:
    """A point as JSON's numbers, texts and lists; what is empty or None is left out."""
    values = {"format": FORMAT} | _listed(asdict(point))
    return {key: value for key, value in values.items() if value not in ({}, "")}


def load_point(path: Path) -> PointFile:
    """Read a point, and check that its network is here with the same weights.

    Raises:
        PointError: the file is missing, damaged, of another format, or for other weights.
        UnknownNameError, BitWidthError: its network or variant is not here.
    """
    try:
        values = _values(path)
    except FileNotFoundError:
        raise PointError(
            f"There is no file {path}; write one with `hybrid choose --out`."
        ) from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        kind = "JSON" if _is_json(path) else "TOML"
        raise PointError(f"{path} cannot be read as {kind}: {error}; {_AGAIN}.") from None
    point = _checked(values, path)
    variant = zoo.variant(point.network, point.bits, static=point.static, deployed=point.deployed)
    try:
        check_thresholds(point.thresholds, variant.early_exits)
    except ThresholdError as error:
        raise PointError(f"{path} does not fit its network: {error}") from None
    if not MODES[point.mode].takes(variant):
        raise PointError(f"{path}: {point.variant} has no deployment mode {point.mode}; {_AGAIN}.")
    own = variant.files.get(zoo.WEIGHTS, "")
    if own != point.weights_sha256:
        raise PointError(
            f"{path} was chosen for other weights of {point.network} {point.variant} "
            f"({point.weights_sha256[:12]}, not {own[:12]}); {_AGAIN}."
        )
    return point


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _values(path: Path) -> dict[str, Any]:
    """The fields of a point in a file of either form."""
    text = read_text(path)
    if not _is_json(path):
        return parse_toml(text)
    read: dict[str, Any] = parse_json(text)
    known = {"format"} | {one.name for one in fields(PointFile)} - {"certificate"}
    return {key: read[key] for key in known.intersection(read)}


def _unless(value: str, default: str) -> str | None:
    return None if value == default else value


def _profile(name: str, shipped: Sequence[str]) -> str:
    return name if name in shipped else f"{Path(name).stem}.toml"


def _checked(values: dict[str, Any], path: Path) -> PointFile:
    version = values.pop("format", None)
    if version != FORMAT:
        raise PointError(
            f"{path} is of format {version}, and this version reads format {FORMAT}; {_AGAIN}."
        )
    try:
        point = PointFile(**values | {"thresholds": tuple(values["thresholds"])})
    except (KeyError, TypeError) as error:
        raise PointError(f"{path} is not an operating point ({error}); {_AGAIN}.") from None
    known = {"mode": tuple(MODES), "measure": tuple(MEASURES), "scope": SCOPES}
    texts = ("network", "variant", "weights_sha256", "profile", "cloud_profile", "link")
    for key, allowed in known.items():
        if getattr(point, key) not in allowed:
            raise PointError(
                f"{path} has {key} = {getattr(point, key)!r}; allowed are {', '.join(allowed)}."
            )
    if not all(isinstance(getattr(point, key), str) for key in texts):
        raise PointError(f"{path} needs text for {', '.join(texts)}; {_AGAIN}.")
    name = zoo.variant_name(point.bits, static=point.static, deployed=point.deployed)
    if point.variant != name:
        raise PointError(f"{path} names {point.variant} but {point.bits} bits; {_AGAIN}.")
    needed = {one.name for one in fields(Proof)} - {"without_cloud_points"}
    proof = needed | {"without_cloud_points"}
    if point.certificate and not needed <= set(point.certificate) <= proof:
        raise PointError(f"{path} has a certificate without {', '.join(sorted(needed))}; {_AGAIN}.")
    if point.certificate and not _is_proof(point.certificate):
        raise PointError(f"{path} has a certificate with values of other kinds; {_AGAIN}.")
    return point


def _is_proof(certificate: Mapping[str, Any]) -> bool:
    """Whether the fields of a `Proof` have values of their kinds."""
    finite = [certificate[name] for name in ("bound_points", "confidence", "observed_points")]
    finite.append(certificate.get("without_cloud_points", 0.0))
    counts = [certificate[name] for name in ("comparisons", "samples")]
    reference = certificate["reference"]
    return (
        all(type(value) in {int, float} and math.isfinite(value) for value in finite)
        and all(type(value) is int and 0 <= value < _MOST_IMAGES for value in counts)
        and certificate["samples"] > 0  # the twin is compared with nothing, but on some images
        and 0 < certificate["confidence"] < 1
        and isinstance(reference, list | tuple)
        and len(reference) == 2
        and all(isinstance(name, str) for name in reference)
    )


def _figures(point: Point) -> dict[str, Any]:
    both = {"tune": point.tune, "test": point.test}
    return {split: asdict(figures) for split, figures in both.items() if figures is not None}


def _listed(value: Any) -> Any:
    """TOML has no None and no tuples."""
    if isinstance(value, dict):
        return {key: _listed(inner) for key, inner in value.items() if inner is not None}
    return [_listed(inner) for inner in value] if isinstance(value, tuple | list) else value
