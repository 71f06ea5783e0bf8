"""The files in pretrained/: cards, traces and weights by name. Torch only inside `load`.

A network's splits are those of its data set and the user's own, which are kept elsewhere: see
`hybrid.data.user_splits`.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid import data
from hybrid.data import user_splits
from hybrid.data.held_out import load_all
from hybrid.data.preprocess import CROP
from hybrid.errors import (
    BitWidthError,
    DataMissingError,
    FormError,
    UnknownNameError,
    WeightsError,
)
from hybrid.files import expanded, folder_bytes
from hybrid.quant.levels import FULL_PRECISION
from hybrid.traces import trace as trace_files
from hybrid.traces.trace import Trace
from hybrid.zoo.cards import FORMAT, Card, Variant, exit_labels, load_card, save_card

if TYPE_CHECKING:
    from hybrid.models import Network

__all__ = [
    "FORMAT",
    "MAX_BYTES",
    "SPLITS",
    "TWIN",
    "WEIGHTS",
    "Card",
    "Variant",
    "bit_widths",
    "card",
    "cards",
    "check_room",
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

SPLITS = ("tune", "certify", "test")
WEIGHTS = "weights.safetensors"
MAX_BYTES = 100_000_000_000  # of all networks in a folder, before another one is made
_MOST_NAME_BYTES = 255  # that file systems take
TWIN = "static-32bit"  # the variant that is the full-precision twin


def pretrained_folder() -> Path:
    """The folder of networks: HYBRID_PRETRAINED, else a wheel's own, else the clone's."""
    named = os.environ.get("HYBRID_PRETRAINED")
    if named:
        return expanded(named)
    package = Path(__file__).resolve().parent.parent
    packed = package / "pretrained"  # inside the package in a wheel, next to it in a clone
    return packed if packed.is_dir() else package.parent / "pretrained"


def check_room() -> None:
    """Refuse to make another network where those in the folder take too much already.

    Raises:
        WeightsError: with the folder and the bound.
    """
    folder = pretrained_folder()
    if folder_bytes(folder) > MAX_BYTES:
        raise WeightsError(
            f"The networks in {folder} take more than {MAX_BYTES // 1_000_000_000} GB, the most "
            "they may; delete some, or name another folder in HYBRID_PRETRAINED."
        )


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
    path = pretrained_folder() / network / "card.toml"
    try:
        if not _is_plain(network) or not path.exists():
            raise UnknownNameError("network", network, networks())
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise WeightsError(f"The card {path} cannot be read ({error.strerror}).") from error
    found = _cached_card(path, changed_ns)
    if found.network != network:
        raise WeightsError(f"The card {path} is of {found.network}; give its folder that name.")
    return found


def _is_plain(name: str) -> bool:
    """Whether a name is that of one folder, which leads nowhere else."""
    return Path(name).name == name != ".." and len(os.fsencode(name)) <= _MOST_NAME_BYTES


@lru_cache(maxsize=32)
def _cached_card(path: Path, _changed_ns: int) -> Card:
    """A wheel may leave out forms, which are then not offered."""
    known = load_card(path)
    here = {name: one for name, one in known.forms.items() if (path.parent / name).is_dir()}
    return replace(known, forms=here)


def variant_name(bits: int, *, static: bool = False, deployed: bool = False) -> str:
    """The folder of a bit width.

    >>> variant_name(1), variant_name(4, static=True), variant_name(4, deployed=True)
    ('hybrid-1bit', 'static-4bit', 'deployed-4bit')
    """
    return f"{'static' if static else 'deployed' if deployed else 'hybrid'}-{bits}bit"


def bit_widths(network: str, *, static: bool = False, deployed: bool = False) -> list[int]:
    """Bit widths on offer, ascending."""
    known = card(network)
    some = known.statics if static else known.deployed if deployed else known.hybrids
    return [one.bits for one in some]


def variant(network: str, bits: int, *, static: bool = False, deployed: bool = False) -> Variant:
    """The variant at a bit width.

    Args:
        static: the static network of that width.
        deployed: the deployment form of the hybrid.

    Raises:
        BitWidthError: that bit width was not trained.
        FormError: it was trained, and has no deployment form yet.
    """
    variants = card(network).recorded
    name = variant_name(bits, static=static, deployed=deployed)
    if name in variants:
        return variants[name]
    if deployed and bits != FULL_PRECISION and variant_name(bits) in variants:
        raise FormError(
            f"{network} has no deployment form at {bits} bits; make it with `hybrid freeze "
            f"{network} --bits {bits}`."
        )
    raise BitWidthError(bits, bit_widths(network, static=static, deployed=deployed))


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
    weights = card(network).recorded[variant].files[WEIGHTS]
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
    variants = card(network).recorded
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
