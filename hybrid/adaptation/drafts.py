"""Finished variants of an adaptation, in a hidden folder until all of them are published.

The folder is named after a hash of everything that determines the result. So the same request
finds, after a kill, the variants that it has finished, and another request does not.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock, Timeout
from torch.fx import GraphModule

from hybrid import data, zoo
from hybrid.adaptation.preparing import Preparation
from hybrid.data import DATASETS
from hybrid.data.preprocess import CROP
from hybrid.errors import ModelError, WeightsError
from hybrid.files import sha256_of
from hybrid.training.publish import CARD_LOCK
from hybrid.training.recipe import Recipe
from hybrid.zoo import TWIN

__all__ = [
    "drafting",
    "in_folder",
    "in_order",
    "is_finished",
    "is_whole",
    "readable_card",
    "with_variable",
]

_WORK = ".adapting"  # in the folder of networks
_KEPT_S = 7 * 86_400  # an unfinished draft


@contextmanager
def drafting(prepared: Preparation) -> Iterator[None]:
    """Use the request's draft as the folder of networks inside the block, then publish it whole.

    If the block raises, the draft stays for the next time, unless nothing in it is finished.

    Raises:
        ModelError: the same request is being adapted now.
        WeightsError: the networks there take all the room that they may.
    """
    target = zoo.pretrained_folder()
    zoo.check_room()
    draft = target / _WORK / _key(prepared)
    draft.mkdir(parents=True, exist_ok=True)
    with _alone(draft, prepared.recipe.network):
        _remove_old(target / _WORK, but=draft)
        try:
            _take_twin(target / prepared.recipe.network, draft / prepared.recipe.network)
            with in_folder(draft):
                yield
            _publish(prepared.recipe, draft, target)
            shutil.rmtree(draft, ignore_errors=True)
        finally:  # also on an interrupt
            _remove_empty(draft)


@contextmanager
def _alone(draft: Path, network: str) -> Iterator[None]:
    """Hold the only run of a request."""
    lock = FileLock(draft / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ModelError(f"{network} is being adapted by another process; wait for it.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Use the networks in this folder inside the block."""
    with with_variable("HYBRID_PRETRAINED", str(folder)):
        yield


@contextmanager
def with_variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment inside the block, unless the value is empty."""
    before = os.environ.get(name)
    try:
        if value:
            os.environ[name] = value
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def is_whole(folder: Path, card: zoo.Card, name: str) -> bool:
    """Whether a network's folder has all files of a variant, unchanged."""
    if name not in card.variants:
        return False
    files = card.variants[name].files.items()
    with suppress(OSError):
        return all(sha256_of(folder / name / file) == sha256 for file, sha256 in files)
    return False


def in_order(variants: Mapping[str, zoo.Variant]) -> dict[str, zoo.Variant]:
    """The twin first, then by bit width, each hybrid before its static network."""
    by_bits = sorted(variants.values(), key=lambda one: (one.name != TWIN, one.bits, one.kind))
    return {one.name: one for one in by_bits}


def readable_card(folder: Path) -> zoo.Card | None:
    """The card of a network; None if there is no readable one."""
    with suppress(WeightsError):
        return zoo.load_card(folder / "card.toml")
    return None


def is_finished(network: str, variant: str) -> bool:
    """Whether the draft has this variant; inside `drafting`."""
    folder = zoo.pretrained_folder() / network
    card = readable_card(folder)
    return card is not None and is_whole(folder, card, variant)


def _key(prepared: Preparation) -> str:
    """A hash of request, weights, model and images, and of the program's versions."""
    recipe = prepared.recipe
    values = {
        "request": asdict(prepared.request),
        "weights": sha256_of(prepared.request.weights),
        "model": _model_sha256(prepared.outline.graph),
        "images": _images_sha256(recipe),
        "versions": [version("hybrid"), version("torch")],
    }
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _model_sha256(model: GraphModule) -> str:
    """Of its operations, its modules with their settings, and all its numbers."""
    digest = hashlib.sha256(str(model).encode())
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        digest.update(name.encode())
        digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _images_sha256(recipe: Recipe) -> list[str]:
    """Of each split's images and labels; empty for a data set known by name."""
    if recipe.dataset in DATASETS and not recipe.sources:
        return []
    return [_split_sha256(recipe, split) for split in data.SPLITS]


def _split_sha256(recipe: Recipe, split: str) -> str:
    images = zoo.split_images(
        recipe.dataset,
        split,
        recipe.sources,
        size=recipe.size,
        channels=recipe.channels,
        fit=recipe.fit or CROP,
    )
    digest = hashlib.sha256(images.images.tobytes())
    digest.update(images.labels.tobytes())
    return digest.hexdigest()


def _take_twin(published: Path, draft: Path) -> None:
    """Copy the twin of a network that is there already, which gets more variants."""
    card = readable_card(published)
    if card is None or TWIN not in card.variants or (draft / "card.toml").exists():
        return
    draft.mkdir(exist_ok=True)
    shutil.copytree(published / TWIN, draft / TWIN, dirs_exist_ok=True)
    zoo.save_card(replace(card, variants={TWIN: card.variants[TWIN]}), draft / "card.toml")


def _publish(recipe: Recipe, draft: Path, target: Path) -> None:
    """Move the variants to their network, the card last: readers see only what it lists."""
    made, folder = zoo.load_card(draft / recipe.network / "card.toml"), target / recipe.network
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / CARD_LOCK):
        kept = readable_card(folder)
        variants = dict(kept.variants) if kept is not None else {}
        for name, variant in made.variants.items():
            if name not in variants or name != TWIN:
                _replace(draft / recipe.network / name, folder / name)
                variants[name] = variant
        zoo.save_card(replace(made, variants=in_order(variants)), folder / "card.toml")


def _replace(new: Path, old: Path) -> None:
    """Move a folder to the place of another."""
    old.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(old, ignore_errors=True)
    new.replace(old)


def _remove_old(work: Path, *, but: Path) -> None:
    """Drafts that nothing was written to for a week."""
    for draft in work.iterdir():
        with suppress(OSError):
            if draft != but and time.time() - draft.stat().st_mtime > _KEPT_S:
                shutil.rmtree(draft, ignore_errors=True)


def _remove_empty(draft: Path) -> None:
    """Remove a draft in which nothing is finished, and the folder of drafts if it was the last."""
    if not any(draft.glob("*/card.toml")):
        shutil.rmtree(draft, ignore_errors=True)
    with suppress(OSError):
        draft.parent.rmdir()
