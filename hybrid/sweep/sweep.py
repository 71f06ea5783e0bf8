"""Adapt a user's model at many cuts, exits, bit widths and seeds, as a list of trials.

    asked = Sweep(model="torchvision.models:resnet18", weights=Path("mine.safetensors"),
                  data="photos", bits=(4, 8), seeds=(0, 1))
    kept = run(plan(asked, Path("swept")), on_ray(workers=2))

A trial is an `AdaptRequest` for one bit width. It is made in its own folder and moved to its
network when it is complete; a finished trial with the same request is not run again. The runner is
an argument. A trial runs on one thread, so that equal requests give equal bytes on machines of the
same kind.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hybrid import data
from hybrid.adaptation.adapt import check
from hybrid.adaptation.drafts import in_folder
from hybrid.adaptation.preparing import first_channels, weighted
from hybrid.adaptation.request import AdaptRequest
from hybrid.adaptation.splits import FOLDER_SIZE, sides, split_images
from hybrid.data import DATASETS, Dataset
from hybrid.errors import ModelError, SweepError
from hybrid.files import sha256_of
from hybrid.models.adapted import stage_cuts
from hybrid.models.cutting import Cut, cuts, find_cut, worthwhile
from hybrid.models.tracing import Outline
from hybrid.models.user_models import load_model
from hybrid.quant.levels import FULL_PRECISION, check_bits
from hybrid.sweep.cluster import connected
from hybrid.sweep.results import SweepRow, row
from hybrid.sweep.trials import Made, Trial, alone, is_finished, make, publish

__all__ = [
    "Kept",
    "Skipped",
    "Sweep",
    "SweepPlan",
    "about",
    "on_ray",
    "plan",
    "rows",
    "run",
]

_LONGEST = 60  # name of a network
_ODD = re.compile(r"[^A-Za-z0-9._-]+")

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The trials of a model: every cut with every set of exits, bit width and seed.

    Args:
        model, weights, data, epochs, size, output, tune, certify, test, unseen, mean, std: as in
            `AdaptRequest`.
        cuts: modules after which the edge ends; by default every worthwhile cut.
        exits: sets of modules with an exit after them; by default one exit at the cut or, if
            several tensors are sent there, at the last clean place before it.
        bits, seeds: one trial for each.
        name: how the networks' names begin; by default made from data and function.
    """

    model: str
    weights: Path
    data: str
    cuts: tuple[str, ...] = ()
    exits: tuple[tuple[str, ...], ...] = ()
    bits: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    epochs: int = 0
    name: str = ""
    size: int | tuple[int, int] | None = None
    output: str = ""
    tune: str = ""
    certify: str = ""
    test: str = ""
    unseen: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A combination that is not possible, and why. bits: None if none is possible."""

    cut: str
    exits: tuple[str, ...]
    reason: str
    bits: int | None = None


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """Trials in order: cuts, then exits, seeds and bits; and what was skipped."""

    trials: tuple[Trial, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The finished and failed trials after a run.

    Args:
        finished: trials whose networks are in the folder, in the plan's order.
        already: how many of them were there before.
        failed: with the reason, in the plan's order.
    """

    finished: tuple[Trial, ...]
    already: int
    failed: tuple[Made, ...]


Place = tuple[str, tuple[str, ...]]  # a cut and its exits
Runner = Callable[[Callable[[Trial], Made], Sequence[Trial]], Iterable[Made]]


def plan(asked: Sweep, out: Path) -> SweepPlan:
    """The trials of a sweep, the same list every time.

    Args:
        out: the folder of networks that they are moved to.

    Raises:
        ModelError, WeightsError, BitWidthError, UnknownNameError, DataMissingError: as `adapt`.
        SweepError: nothing to try, an empty list, or a folder that is a file.
    """
    _check_lists(asked)
    _check_folder(out)
    where = asked.data if asked.data in DATASETS else str(Path(asked.data).expanduser().resolve())
    named = where if Path(where).exists() else asked.data  # errors name it as given
    train = data.load(named, "train", size=max(sides(asked.size, FOLDER_SIZE)), channels=3)
    outline = _outline(asked, train)
    found = cuts(outline)
    places, skipped = _places(asked, found, outline.reference)
    settings, narrow = _at_bits(places, tuple(dict.fromkeys(asked.bits)), found)
    skipped += narrow
    if not settings:
        raise SweepError(f"Nothing is left to try: {skipped[0].reason}")
    shared = _shared(asked, where)
    contents = _contents(shared, train)
    requests = [
        replace(
            shared,
            cut=cut,
            exit_modules=exits,
            seed=seed,
            bits=(bits,),
            name=_name(shared.name, cut=cut, exits=exits, seed=seed),
        )
        for (cut, exits), widths in settings.items()
        for seed in dict.fromkeys(asked.seeds)
        for bits in widths
    ]
    _check_first(requests[0])
    trials = [
        Trial(
            request=request,
            asked=_asked(request, **contents),
            out=out.absolute(),
            home=Path.cwd(),
            images=os.environ.get("HYBRID_DATA", ""),
        )
        for request in requests
    ]
    return SweepPlan(trials=tuple(trials), skipped=tuple(skipped))


def run(asked: SweepPlan, runner: Runner, *, say: Say = lambda _: None) -> Kept:
    """Run the trials that are missing, and move each network to its folder when it is finished.

    Args:
        runner: called with a function that makes a trial, and the trials to make; gives their
            outcomes in any order.
        say: called with a line about each trial.

    Raises:
        SweepError: another sweep writes to this folder, it cannot be written to, or a network of
            the same name was made from another request.
    """
    with alone(asked.trials[0].out):
        todo = [trial for trial in asked.trials if not is_finished(trial)]
        already = len(asked.trials) - len(todo)
        if already:
            say(f"{already} of {len(asked.trials)} trials are already finished.")
        failed: dict[Trial, Made] = {}
        results = iter(runner(make, todo)) if todo else iter(())
        try:
            for done, made in enumerate(results, already + 1):
                if made.folder is None:
                    failed[made.trial] = made
                    what = f"failed: {made.failed}"
                else:
                    what = f"{made.seconds:.0f} s, on tune {publish(made.trial, made.folder)}."
                say(f"{done} of {len(asked.trials)}: {made.trial.title}: {what}")
        finally:  # an interrupted sweep leaves nothing running
            if isinstance(results, Generator):
                results.close()
    return Kept(
        finished=tuple(trial for trial in asked.trials if trial not in failed),
        already=already,
        failed=tuple(failed[trial] for trial in asked.trials if trial in failed),
    )


def rows(kept: Kept) -> list[SweepRow]:
    """The results of the finished trials, in the plan's order."""
    found = []
    for trial in kept.finished:
        with in_folder(trial.out):
            found.append(row(trial.network, trial.bits, seed=trial.request.seed))
    return found


def about(asked: SweepPlan, kept: Kept) -> dict[str, Any]:
    """The request, skipped and failed trials, in plain values."""
    shared = json.loads(asked.trials[0].asked)
    for each in ("cut", "exits", "bits", "seed"):
        del shared[each]
    failed = [
        {
            "network": made.trial.network,
            "cut": made.trial.request.cut,
            "exits": list(made.trial.request.exit_modules),
            "bits": made.trial.bits,
            "seed": made.trial.request.seed,
            "reason": made.failed,
        }
        for made in kept.failed
    ]
    return {
        "asked": shared,
        "skipped": [asdict(one) | {"exits": list(one.exits)} for one in asked.skipped],
        "failed": failed,
    }


def on_ray(*, address: str = "", workers: int | None = None) -> Runner:
    """Trials through Ray; see `hybrid.sweep.cluster.connected`."""

    def runner(work: Callable[[Trial], Made], trials: Sequence[Trial]) -> Iterator[Made]:
        with connected(address=address, workers=workers) as pool:
            yield from pool(work, trials, lost=lambda trial, why: Made(trial=trial, failed=why))

    return runner


def _check_lists(asked: Sweep) -> None:
    for bits in asked.bits:
        check_bits(bits)
    for what, given in (("bit width", asked.bits), ("seed", asked.seeds)):
        if not given:
            raise SweepError(f"A sweep needs at least one {what}; give it.")
    if any(not names for names in asked.exits):
        raise SweepError("A set of exits is empty; name modules, or leave --exits out.")
    if asked.epochs < 0:
        raise SweepError(f"{asked.epochs} epochs cannot be trained; give 0 or more.")


def _check_folder(out: Path) -> None:
    for folder in (out, *out.absolute().parents):
        if folder.exists() and not folder.is_dir():
            raise SweepError(f"{folder} is a file; name a folder for the networks with --out.")


def _check_first(request: AdaptRequest) -> None:
    """Check the first request, because an error in it is in all of them."""
    with tempfile.TemporaryDirectory() as nowhere, in_folder(Path(nowhere)):
        check(request)


def _outline(asked: Sweep, train: Dataset) -> Outline:
    model = load_model(asked.model, classes=len(train.classes))
    _, side, _, channels = train.images.shape
    shape = (first_channels(model) or channels, *sides(asked.size, side))
    return weighted(model, _shared(asked, asked.data), shape)


def _places(
    asked: Sweep, found: Sequence[Cut], reference: str
) -> tuple[list[Place], list[Skipped]]:
    """Possible cuts and exits, by the names of their modules; and the impossible ones."""
    known = {name: cut for cut in found for name in (*cut.also, cut.name)}
    for name in (*asked.cuts, *(name for names in asked.exits for name in names)):
        if name not in known:
            find_cut(found, name, reference=reference)  # raises an error with the nearest name
    wanted = [known[name] for name in asked.cuts] or _every(found)
    chosen: dict[Place, None] = {}
    skipped = []
    for cut in dict.fromkeys(cut.name for cut in wanted):
        for given in asked.exits or [_exit_at(found, known[cut])]:
            early = sorted({known[name].position: known[name].name for name in given}.items())
            exits = tuple(name for _, name in early)
            try:
                stage_cuts(found, cut=cut, exits=exits, reference=reference)
            except ModelError as error:
                skipped.append(Skipped(cut=cut, exits=exits, reason=str(error)))
            else:
                chosen[cut, exits] = None
    return list(chosen), skipped


def _at_bits(
    places: Sequence[Place], bits: Sequence[int], found: Sequence[Cut]
) -> tuple[dict[Place, list[int]], list[Skipped]]:
    """For each place, the bit widths that its edge can have; and the impossible ones."""
    filters = {cut.name: cut.edge.filters for cut in found}
    can: dict[Place, list[int]] = {}
    skipped = []
    for cut, exits in places:
        for width in bits:
            if filters[cut] or width == FULL_PRECISION:
                can.setdefault((cut, exits), []).append(width)
                continue
            reason = (
                "Only convolutions and linear layers after the first are quantized, and there is "
                f"none before {cut}; cut later, or try 32 bits."
            )
            skipped.append(Skipped(cut=cut, exits=exits, bits=width, reason=reason))
    return can, skipped


def _every(found: Sequence[Cut]) -> list[Cut]:
    """The worthwhile cuts that leave the edge a layer after the first, which 32 bits can use."""
    return [cut for cut in worthwhile(found) if cut.edge.layers > 1]


def _exit_at(found: Sequence[Cut], cut: Cut) -> tuple[str, ...]:
    """The cut itself if one tensor is sent there, else the last such place a layer before it."""
    if cut.clean:
        return (cut.name,)
    before = [one for one in found if one.clean and one.edge.layers < cut.edge.layers]
    return (before[-1].name,) if before else (cut.name,)


def _shared(asked: Sweep, where: str) -> AdaptRequest:
    """The part that all requests share."""
    function = asked.model.partition(":")[2]
    source = Path(where).stem if Path(where).is_file() else Path(where).name
    return AdaptRequest(
        model=asked.model,
        weights=asked.weights.expanduser().resolve(),
        data=where,
        cut="",
        exit_modules=(),
        bits=(),
        epochs=asked.epochs,
        name=asked.name or f"{source}-{function}",
        size=asked.size,
        output=asked.output,
        tune=asked.tune,
        certify=asked.certify,
        test=asked.test,
        unseen=asked.unseen,
        mean=asked.mean,
        std=asked.std,
    )


def _name(begin: str, *, cut: str, exits: Sequence[str], seed: int) -> str:
    """The network's name from cut, exits and seed, shortened with a hash if they do not fit.

    >>> _name("digits-mine", cut="layer2", exits=["layer1", "layer2"], seed=0)
    'digits-mine-cut-layer2-exits-layer1-layer2-seed0'
    """
    place = f"{begin}-cut-{cut}-exits-{'-'.join(exits)}"
    plain, end = _ODD.sub("-", place[len(begin) :]), f"-seed{seed}"
    if begin + plain + end == place + end and len(place + end) <= _LONGEST:
        return place + end
    end = f"-{hashlib.sha256(place.encode()).hexdigest()[:8]}{end}"
    return (begin + plain)[: _LONGEST - len(end)] + end


_FOLDERS = ("tune", "certify", "test")  # recorded by what is in them
_NEW = ("output", "unseen")  # not in the records of sweeps that did not ask for them


def _asked(request: AdaptRequest, **contents: str) -> str:
    """Everything that determines a request's result: contents of weights and images, not paths."""
    values = asdict(request)
    values["exits"] = values.pop("exit_modules")
    for key in ("name", "weights", *_FOLDERS):
        del values[key]
    values = {key: value for key, value in values.items() if value or key not in _NEW}
    return json.dumps(values | contents, sort_keys=True)


def _contents(shared: AdaptRequest, train: Dataset) -> dict[str, str]:
    """SHA-256 of the weights and, for a folder, of its images."""
    found = {"weights_sha256": sha256_of(shared.weights)}
    if shared.data not in DATASETS:
        found["images_sha256"] = hashlib.sha256(train.images.tobytes()).hexdigest()
    images = split_images(shared)
    for split in images.sources:
        pixels = images.load(split).images.tobytes()
        found[f"{split}_sha256"] = hashlib.sha256(pixels).hexdigest()
    return found
