"""One trial of a sweep: made in its own folder, then moved to its network completely or not at all.

A file next to a network's card records the request of each variant, so that a finished trial can
be told from one with another request.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from hybrid import zoo
from hybrid.adaptation.adapt import adapt
from hybrid.adaptation.drafts import in_folder, in_order, is_whole, readable_card, with_variable
from hybrid.adaptation.preparing import AdaptRequest
from hybrid.errors import HybridError, SweepError
from hybrid.files import parse_json, read_text, replacing
from hybrid.models.user_models import ANYTHING, in_words
from hybrid.quant.levels import FULL_PRECISION

__all__ = [
    "Made",
    "Trial",
    "alone",
    "is_finished",
    "make",
    "one_thread",
    "publish",
]

FORMAT = 1
RECORD = "trials.json"  # next to a network's card
_WORK = ".sweep"  # in the folder of networks: unfinished trials
_OF_THE_VARIANT = ("bits", "epochs")  # may differ between variants of one network


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A request for one bit width.

    Args:
        asked: everything that determines its result, as JSON with sorted keys.
        out: the folder of networks that it is moved to.
        home: the working directory, where the model's module may be.
        images: HYBRID_DATA on the machine of the sweep, for machines where it is not set.
    """

    request: AdaptRequest
    asked: str
    out: Path
    home: Path
    images: str

    @property
    def network(self) -> str:
        """Name of its network, shared with trials of other bit widths."""
        return self.request.name

    @property
    def bits(self) -> int:
        """Its bit width."""
        return self.request.bits[0]

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants it makes, besides the twin: the hybrid and the static network."""
        kinds = (False,) if self.bits == FULL_PRECISION else (False, True)
        return tuple(zoo.variant_name(self.bits, static=static) for static in kinds)

    @property
    def title(self) -> str:
        """Its name in a line of progress."""
        return f"{self.network} {self.bits} bit"


@dataclass(frozen=True, kw_only=True)
class Made:
    """The outcome of a trial.

    Args:
        folder: of the network it made, not yet moved to the others.
        failed: why it failed, one sentence; empty if it did not.
    """

    trial: Trial
    folder: Path | None = None
    failed: str = ""
    seconds: float = 0.0


def make(trial: Trial) -> Made:
    """Adapt one trial, on one thread, in its own folder; never raises an error."""
    started = time.monotonic()
    folder = trial.out / _WORK / uuid.uuid4().hex
    try:
        with in_folder(folder), _at_home(trial), one_thread():
            adapt(trial.request)
        return Made(trial=trial, folder=folder, seconds=time.monotonic() - started)
    except HybridError as error:
        reason = str(error)
    except ANYTHING as error:  # of the user's model; the other trials continue
        reason = in_words(error)
    shutil.rmtree(folder, ignore_errors=True)
    return Made(trial=trial, failed=reason, seconds=time.monotonic() - started)


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the only sweep in this folder; removes what a killed sweep left unfinished."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with FileLock(out / f"{_WORK}.lock", timeout=0):
            shutil.rmtree(out / _WORK, ignore_errors=True)
            try:
                yield
            finally:
                shutil.rmtree(out / _WORK, ignore_errors=True)
    except Timeout:
        raise SweepError(
            f"Another sweep is writing to {out}; wait for it, or name another folder with --out."
        ) from None
    except OSError as error:
        raise SweepError(
            f"{out} cannot be written to ({error.strerror}); free some space, or name another "
            "folder with --out."
        ) from error


def is_finished(trial: Trial) -> bool:
    """Whether its network is there, intact, and made from the same request.

    Raises:
        SweepError: it was made from another request, or not by a sweep.
    """
    folder = trial.out / trial.network
    card, record = readable_card(folder), _record(folder)
    if card is not None and not record:
        raise SweepError(
            f"There is a network {trial.network} in {trial.out} that was not made by a sweep; "
            "choose another --name or --out."
        )
    for variant, asked in record.items():
        _check_same(trial, asked, itself=variant == trial.variants[0])
    if card is None or trial.variants[0] not in record:
        return False
    return all(is_whole(folder, card, name) for name in (zoo.TWIN, *trial.variants))


def publish(trial: Trial, draft: Path) -> str:
    """Move a trial's variants to its network; returns its accuracies on tune in words.

    The card is written last: readers see only what it lists.
    """
    made, folder = zoo.load_card(draft / trial.network / "card.toml"), trial.out / trial.network
    kept = readable_card(folder)
    record = _record(folder) | {trial.variants[0]: json.loads(trial.asked)}
    with replacing(folder / RECORD) as path:
        path.write_text(json.dumps({"format": FORMAT, "variants": record}, indent=1), "utf-8")
    variants = dict(made.variants)
    if kept is not None:
        twin_kept = is_whole(folder, kept, zoo.TWIN)
        variants = dict(kept.variants) | {n: v for n, v in variants.items() if n != zoo.TWIN}
        if not twin_kept:
            variants[zoo.TWIN] = made.variants[zoo.TWIN]
    for name, variant in variants.items():
        if variant is made.variants.get(name):
            shutil.rmtree(folder / name, ignore_errors=True)
            (draft / trial.network / name).replace(folder / name)
    zoo.save_card(replace(made, variants=in_order(variants)), folder / "card.toml")
    shutil.rmtree(draft, ignore_errors=True)
    hybrid = made.variants[trial.variants[0]]
    exits = zip(hybrid.exit_names, hybrid.accuracy["tune"], strict=True)
    return ", ".join(f"{name} {100 * value:.2f} %" for name, value in exits)


def _check_same(trial: Trial, made: Mapping[str, Any], *, itself: bool) -> None:
    """Refuse a network that was made from another request."""
    for key, ours in json.loads(trial.asked).items():
        theirs = made.get(key)
        if theirs != ours and (itself or key not in _OF_THE_VARIANT):
            raise SweepError(
                f"{trial.network} in {trial.out} was made with {key} {theirs}, not {ours}; choose "
                "another --name or --out, or remove it."
            )


def _record(folder: Path) -> dict[str, dict[str, Any]]:
    """The request of each hybrid variant; empty if the network was not made by a sweep."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = parse_json(read_text(folder / RECORD))
        if kept["format"] == FORMAT:
            return {name: dict(asked) for name, asked in kept["variants"].items()}
    return {}


@contextmanager
def _at_home(trial: Trial) -> Iterator[None]:
    """Run in the folder where the sweep was started, with its HYBRID_DATA."""
    before = Path.cwd()
    try:
        if trial.home.is_dir():
            os.chdir(trial.home)
        with with_variable("HYBRID_DATA", trial.images):
            yield
    finally:
        os.chdir(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside the block: sums depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
