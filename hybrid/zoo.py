"""The files in pretrained/: cards, traces and weights by name. Torch only inside `load`.

A network's splits are those of its data set and the user's own, which are kept elsewhere: see
`hybrid.data.user_splits`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from hybrid import data
from hybrid.data import user_splits
from hybrid.data.held_out import load_all
from hybrid.data.preprocess import CROP
from hybrid.energy import Layer
from hybrid.errors import BitWidthError, DataMissingError, UnknownNameError, WeightsError
from hybrid.files import expanded, read_toml, replacing
from hybrid.traces import trace as trace_files
from hybrid.traces.trace import Trace

if TYPE_CHECKING:
    from hybrid.models import Network

__all__ = [
    "FORMAT",
    "SPLITS",
    "TWIN",
    "WEIGHTS",
    "Card",
    "Variant",
    "bit_widths",
    "card",
    "cards",
    "exit_labels",
    "images",
    "load",
    "load_card",
    "load_variant",
    "networks",
    "pretrained_folder",
    "save_card",
    "split_images",
    "splits",
    "trace",
    "trace_path",
    "variant",
    "variant_name",
    "weights_path",
]

FORMAT = 1
SPLITS = ("tune", "certify", "test")
WEIGHTS = "weights.safetensors"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # no `/`, and not `..`
TWIN = "static-32bit"  # the variant that is the full-precision twin


def exit_labels(early: int) -> list[str]:
    """Names of a network's exits: the early ones by number, the final one by where it runs.

    >>> exit_labels(2), exit_labels(0)
    (['Exit 1', 'Exit 2', 'Cloud'], ['Final exit'])
    """
    return (
        [*(f"Exit {number + 1}" for number in range(early)), "Cloud"] if early else ["Final exit"]
    )


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One trained set of weights of a network.

    Args:
        name: "hybrid-4bit" or "static-4bit".
        kind: "hybrid" or "static".
        bits: bit width of the edge stages (of all stages, if static).
        spec: for `hybrid.models.Spec.from_dict`.
        exit_stages: stage of each early exit.
        exit_names: of every exit, final last.
        layers: the census.
        uplink_bytes: per sample sent to the cloud: packed features and header; 0 if static.
        temperatures: of every exit, final last.
        files: file name to SHA-256.
        accuracy: split to accuracy of every exit, final last.
        auroc: split to AUROC of every exit's max_probability, correct against incorrect.
        history: one row per epoch.
        recipe: the plan it was trained with.
        epochs, hours, device: of this variant alone.
        versions: of the packages that trained it.
        origins: SHA-256 of the weights that it started from and was taught by, by the names that
            the plan gives them; those that were not in pretrained/ are left out.
    """

    name: str
    kind: str
    bits: int
    spec: Mapping[str, Any]
    exit_stages: tuple[int, ...]
    exit_names: tuple[str, ...]
    layers: tuple[Layer, ...]
    uplink_bytes: int
    temperatures: tuple[float, ...]
    files: Mapping[str, str]
    accuracy: Mapping[str, tuple[float, ...]]
    auroc: Mapping[str, tuple[float, ...]]
    history: tuple[Mapping[str, float], ...]
    recipe: Mapping[str, Any]
    epochs: int
    hours: float
    device: str
    versions: Mapping[str, str]
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def early_exits(self) -> int:
        """Number of early exits."""
        return len(self.exit_stages)

    @property
    def is_static(self) -> bool:
        """Whether it is a static network: no early exit, all layers on one machine."""
        return self.kind == "static"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network with all its trained variants.

    Args:
        sources: for each split with images of its own, the folder or zip that they all come from.
        seen: splits with images that the model may have been trained on; nothing is certified if
            `certify` is one.
        module_folder: of a user's model, where its module was found; empty if it is installed.
        fit: how pictures become square; empty for a crop.
    """

    network: str
    title: str
    description: str
    dataset: str
    classes: tuple[str, ...]
    architecture: str
    channels: int
    size: int
    cut: int
    stage_names: tuple[str, ...]
    seed: int
    variants: Mapping[str, Variant] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    module_folder: str = ""
    fit: str = ""

    @property
    def hybrids(self) -> tuple[Variant, ...]:
        """The variants that are cut, by rising bit width."""
        return self._of_kind("hybrid")

    @property
    def statics(self) -> tuple[Variant, ...]:
        """The static networks, by rising bit width; the full-precision twin comes last."""
        return self._of_kind("static")

    def _of_kind(self, kind: str) -> tuple[Variant, ...]:
        found = (one for one in self.variants.values() if one.kind == kind)
        return tuple(sorted(found, key=lambda one: one.bits))

    @property
    def image_bytes(self) -> int:
        """Bytes of a raw input image, one per pixel and channel."""
        return self.size * self.size * self.channels


def pretrained_folder() -> Path:
    """The folder of networks: HYBRID_PRETRAINED, else a wheel's own, else the clone's."""
    named = os.environ.get("HYBRID_PRETRAINED")
    if named:
        return expanded(named)
    package = Path(__file__).resolve().parent
    packed = package / "pretrained"  # inside the package in a wheel, next to it in a clone
    return packed if packed.is_dir() else package.parent / "pretrained"


def networks() -> list[str]:
    """Names of the networks that have a card, sorted."""
    return sorted(path.parent.name for path in pretrained_folder().glob("*/card.toml"))


def cards() -> tuple[list[Card], list[str]]:
    """Every card that can be read, and for each other one the sentence that tells why not."""
    found, problems = [], []
    for name in networks():
        try:
            found.append(card(name))
        except WeightsError as error:
            problems.append(str(error))
    return found, problems


def card(network: str) -> Card:
    """The card of a network.

    Raises:
        UnknownNameError: no network has that name.
        WeightsError: its card cannot be read.
    """
    if network not in networks():
        raise UnknownNameError("network", network, networks())
    path = pretrained_folder() / network / "card.toml"
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise WeightsError(f"The card {path} cannot be read ({error.strerror}).") from error
    found = _cached_card(path, changed_ns)
    if found.network != network:
        raise WeightsError(f"The card {path} is of {found.network}; give its folder that name.")
    return found


@lru_cache(maxsize=32)
def _cached_card(path: Path, _changed_ns: int) -> Card:
    return load_card(path)


def variant_name(bits: int, *, static: bool = False) -> str:
    """The folder of a bit width.

    >>> variant_name(1), variant_name(4, static=True)
    ('hybrid-1bit', 'static-4bit')
    """
    return f"{'static' if static else 'hybrid'}-{bits}bit"


def bit_widths(network: str, *, static: bool = False) -> list[int]:
    """Bit widths on offer, ascending."""
    known = card(network)
    return [one.bits for one in (known.statics if static else known.hybrids)]


def variant(network: str, bits: int, *, static: bool = False) -> Variant:
    """The variant at a bit width.

    Raises:
        BitWidthError: that bit width was not trained.
    """
    variants = card(network).variants
    name = variant_name(bits, static=static)
    if name not in variants:
        raise BitWidthError(bits, bit_widths(network, static=static))
    return variants[name]


def splits(network: str) -> tuple[str, ...]:
    """The splits that a network can have a trace on: its data set's, then the user's own."""
    return (*SPLITS, *user_splits.names(network))


def images(network: str, split: str) -> data.Dataset:
    """The images of a split, whole, at the network's size.

    Raises:
        UnknownNameError: neither a split of the data set nor one of the user's own.
        DataMissingError: the data set is not on this machine.
        SourceError: the images of the user's split are damaged.
    """
    known = card(network)
    if split not in data.SPLITS:
        return user_splits.load(user_splits.split(network, split))
    _check_certifiable(known, split)
    return split_images(
        known.dataset,
        split,
        known.sources,
        size=known.size,
        channels=known.channels,
        fit=known.fit or CROP,
    )


def split_images(
    dataset: str,
    split: str,
    sources: Mapping[str, str],
    *,
    size: int,
    channels: int,
    fit: str = CROP,
) -> data.Dataset:
    """The images of a split of the data set, or of the folder that is given for it alone."""
    if split not in sources:
        return data.load(dataset, split, size=size, channels=channels, fit=fit)
    train = data.load(dataset, "train", size=size, channels=channels, fit=fit)
    return load_all(
        Path(sources[split]),
        split,
        name=dataset,
        classes=train.classes,
        size=size,
        channels=channels,
        fit=fit,
    )


def _check_certifiable(known: Card, split: str) -> None:
    if split == "certify" and split in known.seen:
        raise DataMissingError(
            f"{known.network} has no images that certify: the model may have been trained on all "
            "that are not for testing. Adapt it with images that it has not seen, in val/ or with "
            "--certify FOLDER."
        )


def trace_path(network: str, variant: str, split: str) -> Path:
    """Path of the trace of a split, recorded or not; the user's splits have their own folder."""
    if split in data.SPLITS:
        return pretrained_folder() / network / variant / f"trace-{split}.parquet"
    weights = card(network).variants[variant].files[WEIGHTS]
    return user_splits.trace_path(network, split, variant, weights)


def weights_path(network: str, variant: str) -> Path:
    """Path of the weights."""
    return pretrained_folder() / network / variant / WEIGHTS


def trace(network: str, variant: str, split: str = "test") -> Trace:
    """The recorded trace of a variant on a split.

    Raises:
        UnknownNameError: an unknown network, variant or split.
        DataMissingError: it was not recorded here.
        TraceError: the file is damaged or of other weights.
    """
    variants = card(network).variants
    if variant not in variants:
        raise UnknownNameError("variant", variant, variants)
    if split not in data.SPLITS and split not in user_splits.names(network):
        raise UnknownNameError("split", split, splits(network))
    _check_certifiable(card(network), split)
    path = trace_path(network, variant, split)
    if not path.is_file():
        raise DataMissingError(
            f"There is no trace of {network} {variant} on {split}; record it with `hybrid trace`."
        )
    return trace_files.load(
        path,
        expect_sha256=variants[variant].files[WEIGHTS],
        expect_network=network,
        expect_variant=variant,
        expect_split=split,
        classes=len(card(network).classes),
    )


def load(network: str, *, bits: int, static: bool = False) -> "Network":
    """The network at a bit width, ready for `infer`.

    Raises:
        UnknownNameError, BitWidthError, WeightsError: see `card`, `variant`, `load_network`.
    """
    return load_variant(network, variant(network, bits, static=static))


def load_variant(network: str, chosen: Variant) -> "Network":
    """The network of a variant, ready for `infer`.

    Raises:
        WeightsError: its weights are missing, damaged or not those of its card.
    """
    from hybrid.models.checkpoints import load_network  # torch: only where a network is really run

    path = weights_path(network, chosen.name)
    sha256, folder = chosen.files[WEIGHTS], card(network).module_folder
    return load_network(path, expect_sha256=sha256, module_folder=folder)


def save_card(card: Card, path: Path) -> None:
    """Write a card as TOML."""
    values = {"format": FORMAT} | asdict(card)
    values["variants"] = list(values["variants"].values())
    values = {k: v for k, v in values.items() if v or k not in _OF_USER_MODELS}
    with replacing(path) as draft:
        draft.write_text(tomli_w.dumps(_without_none(values)), encoding="utf-8")


def load_card(path: Path) -> Card:
    """Read a card: the twin first, then hybrids and then static networks from wide to narrow.

    Raises:
        WeightsError: it is damaged or of another format.
    """
    try:
        values = read_toml(path)
        version = values.pop("format")
        if version != FORMAT:
            raise ValueError(f"format {version}, not {FORMAT}")
        variants = sorted(map(_variant, values.pop("variants")), key=_place)
        return _checked(Card(**_tuples(values), variants={v.name: v for v in variants}))
    except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The card {path} cannot be read: {error}; write it again.") from error


_OF_USER_MODELS = ("sources", "seen", "module_folder", "fit")  # left out of other cards


def _checked(card: Card) -> Card:
    """The card, if all names that become names of files are harmless as such."""
    for name in (card.network, *card.variants):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{str(name)[:60]!r} cannot name a network or variant")
    for key in ("title", "description", "dataset", "architecture"):
        if not isinstance(getattr(card, key), str):
            raise TypeError(f"{key} is not a text")
    if not card.classes or not all(isinstance(name, str) for name in card.classes):
        raise ValueError("its classes are not a list of texts")
    return card


def _place(variant: Variant) -> tuple[bool, bool, int]:
    return variant.is_static and variant.bits < 32, not variant.is_static, -variant.bits


def _variant(row: dict[str, Any]) -> Variant:
    layers = tuple(Layer(**{"exit": None} | _tuples(layer)) for layer in row.pop("layers"))
    return Variant(**_tuples(row), layers=layers)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """TOML's lists as tuples, one level into tables too."""
    return {
        key: tuple(value)
        if isinstance(value, list)
        else _tuples(value)
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def _without_none(value: Any) -> Any:
    """TOML has no None: leave such keys out."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
