"""The data for Explore, computed once for all sessions and read by this and other pages.

    data = load.explore_data(view)          # what no slider changes and no search is needed for
    found = load.frontiers(view)            # the searched curves, a second on a fresh server
    prices = load.prices(view)              # costs per exit, and the baseline's
    known = load.follower_settings(view)    # for the script in the browser, for all bit widths
    sent = load.follower_traces(view)       # likewise

A newly recorded trace or a changed card takes effect at the next run.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hybrid import data, energy, evaluation, policy, zoo
from hybrid.data import user_splits
from hybrid.data.preprocess import CROP
from hybrid.errors import DataMissingError, HybridError, UnknownNameError
from hybrid.text import numbers
from hybrid.traces.trace import Trace
from hybrid.ui import controls
from hybrid.ui.cache import (
    cached,
    changed_ns,
    counted,
    prices_at,
    trace,
    trace_file,
    trace_files,
)
from hybrid.ui.explore import tables
from hybrid.ui.explore.alternatives import alternatives
from hybrid.ui.explore.data import (
    Alternative,
    ExploreData,
    ExplorePrices,
    Frontier,
    Ranges,
    StaticPoint,
)
from hybrid.ui.explore.follower import payload
from hybrid.ui.view import DEFAULT_SPLIT, STEPS, View, without_thresholds

if TYPE_CHECKING:
    import pandas as pd  # 0.3 s to import, which the figures need not wait for

__all__ = [
    "all_files",
    "energy_unit",
    "explore_data",
    "follower_settings",
    "follower_traces",
    "frontier_table",
    "frontiers",
    "known_alternatives",
    "pictures",
    "prices",
    "searched_split",
    "statics",
    "sweep_together",
    "variants",
    "when_changed",
]

_GRID_POINTS = 60  # thresholds per exit and bit width that the frontier is searched on


def any_point(view: View) -> View:
    """The same view without its point, to look up results that no slider changes."""
    return replace(without_thresholds(view), bits=0)


def searched_split(view: View) -> str:
    """The split on which the frontier of the view's images is searched.

    A frontier looks too good on the images it was found on. For the test images, and for a half
    that certifies, there is another split; a user's undivided images have none.
    """
    if view.split == DEFAULT_SPLIT:
        return "tune"
    images = view.split.removesuffix("-certify")
    halved = images != view.split and images in user_splits.halved(view.network)
    return f"{images}-tune" if halved else view.split


def _shown_files(view: View) -> tuple[Path, ...]:
    return trace_files(view.network, view.split)


def all_files(view: View) -> tuple[Path, ...]:
    """The card, and the traces that are shown or that the frontier is searched on."""
    return _shown_files(view) + trace_files(view.network, searched_split(view))


def when_changed(view: View) -> tuple[int, ...]:
    """When the traces that are shown, or those used to search the frontier, last changed."""
    return tuple(map(changed_ns, all_files(view)))


@cached(entries=32, files=all_files, of=without_thresholds)
def explore_data(view: View) -> ExploreData:
    """The data of Explore that do not depend on the sliders and need no search.

    Raises:
        DataMissingError, TraceError: no trace of this bit width, or a damaged one.
    """
    labelled = trace(view.network, view.variant, view.split).labelled
    return ExploreData(
        card=zoo.card(view.network),
        labelled=labelled,
        trace=counted(view.network, view.variant, view.split),
        prices=prices(view),
        energy_unit=energy_unit(view),
        ranges=_ranges(view),
        statics=statics(view),
        together=sweep_together(view),
    )


@cached(entries=32, files=all_files, of=any_point)
def follower_settings(view: View) -> dict[str, Any]:
    """What the script in the browser is told of all bit widths: prices and texts."""
    known = statics(view)
    return payload.settings(
        view,
        [_width(replace(view, bits=bits)) for bits in bit_widths(view)],
        known_alternatives(view),
        shown=controls.shown(view),
        static_bits=[one.bits for one in known],
        image_bytes=zoo.card(view.network).image_bytes,
        scale_pj=energy_unit(view)[0],
        labelled=_labelled(view),
    )


def follower_traces(view: View) -> dict[int, bytes]:
    """Bit width → its trace as the script in the browser reads it; no price or slider matters."""
    found = {}
    for bits in bit_widths(view):
        there = replace(view, bits=bits)
        if _trace_id(there) is not None:
            found[bits] = _chunk(view.network, there.variant, view.split, view.measure)
    return found


def bit_widths(view: View) -> list[int]:
    """The bit widths of the view's network, in the order of the slider."""
    return [variant.bits for variant in variants(view)]


def variants(view: View) -> tuple[zoo.Variant, ...]:
    """The network's variants in the view's form of the edge, by rising bit width."""
    known = zoo.card(view.network)
    return known.deployed if view.deployed else known.hybrids


@cached(entries=64, files=lambda network, variant, split, _: trace_file(network, variant, split))
def _chunk(network: str, variant: str, split: str, measure: str) -> bytes:
    return payload.chunk(
        f"{network}/{variant}/{split}/{measure}/{changed_ns(*trace_file(network, variant, split))}",
        counted(network, variant, split),
        measure,
        classes=len(zoo.card(network).classes),
    )


def _trace_id(view: View) -> str | None:
    """Id of the trace in the browser; None if it cannot be read."""
    try:
        return payload.identity(_chunk(view.network, view.variant, view.split, view.measure))
    except HybridError:
        return None


def _width(view: View) -> payload.Width:
    """A bit width as the script in the browser is told of it."""
    return payload.Width(
        bits=view.bits, trace=_trace_id(view), prices=prices(view), ranges=_ranges(view)
    )


def _ranges(view: View) -> Ranges:
    """Ends of the axes that fit the view's bit width."""
    priced = prices(view)
    try:
        accuracies = sweep_together(view).accuracy.tolist()
    except HybridError:
        accuracies = []  # no trace of this width
    most = priced.most_pj / energy_unit(view)[0]
    return Ranges.fitting(accuracies, priced.twin_accuracy, most=most)


@cached(entries=64, files=_shown_files, of=any_point)
def energy_unit(view: View) -> tuple[float, str]:
    """Size in pJ and name of the unit for one sample at any bit width of the view's network."""
    costs = [prices(replace(view, bits=bits)).costs for bits in bit_widths(view)]
    return numbers.energy_unit(max(max(cost.energy_pj) for cost in costs))


def _labelled(view: View) -> bool:
    """Whether the view's images have labels, by any of their traces."""
    for bits in bit_widths(view):
        try:
            return trace(view.network, replace(view, bits=bits).variant, view.split).labelled
        except HybridError:
            continue
    return True


@cached(entries=32, files=all_files, of=any_point)
def frontier_table(view: View) -> "pd.DataFrame":
    """The frontiers and the static networks as a table."""
    return tables.frontier(frontiers(view), statics(view), scope=view.scope)


@cached(entries=64, files=_shown_files, of=without_thresholds)
def prices(view: View) -> ExplorePrices:
    """Costs of the view's network on its hardware and link, in its scope."""
    known = zoo.card(view.network)
    variant = zoo.variant(view.network, view.bits, deployed=view.deployed)
    asked = prices_at(view.profile, view.link, view.scope, view.cloud)
    by_exit = _parts_by_exit(variant, asked)
    twin_energy_pj, twin_parts = _twin(variant, known, asked)
    return ExplorePrices(
        costs=evaluation.costs(variant, asked),
        parts={
            _part_name(part, known): tuple(parts[part] for parts in by_exit) for part in by_exit[0]
        },
        twin_energy_pj=twin_energy_pj,
        twin_accuracy=_accuracy(view.network, zoo.TWIN, view.split),
        twin_parts={_part_name(part, known): spent for part, spent in twin_parts.items()},
    )


@cached(entries=64, files=_shown_files, of=any_point)
def statics(view: View) -> tuple[StaticPoint, ...]:
    """The static networks that have a trace, by rising bit width, the twin (32 bits) last."""
    found, asked = [], prices_at(view.profile, view.link, view.scope, view.cloud)
    for variant in zoo.card(view.network).statics:
        accuracy = _accuracy(view.network, variant.name, view.split)
        if accuracy is not None:
            energy_pj = evaluation.costs(variant, asked).energy_pj[0]
            found.append(StaticPoint(bits=variant.bits, accuracy=accuracy, energy_pj=energy_pj))
    return tuple(found)


@cached(entries=32, files=all_files, of=any_point)
def frontiers(view: View) -> tuple[Frontier, ...]:
    """The frontier of each bit width that has a trace."""
    found = []
    for variant in variants(view):
        try:
            points = _points(view.network, variant.name, searched_split(view), view.measure)
            shown = counted(view.network, variant.name, view.split)
        except HybridError:
            continue  # this bit width has no trace; the others are shown without it
        costs = prices(replace(view, bits=variant.bits)).costs
        best = policy.frontier_on(points, shown, costs, measure=view.measure)
        found.append(Frontier(bits=variant.bits, **vars(best)))
    return tuple(found)


@cached(entries=32, files=all_files, of=any_point)
def known_alternatives(view: View) -> tuple[Alternative, ...]:
    """The points of the chart that no other beats; none if accuracy is unknown."""
    return alternatives(frontiers(view), statics(view)) if _labelled(view) else ()


@cached(entries=64, files=lambda network, variant, split, _: trace_file(network, variant, split))
def _points(network: str, variant: str, split: str, measure: str) -> policy.AllPoints:
    """The points that a frontier is searched among, so that another price need not count again."""
    searched = counted(network, variant, split)
    grids = _slider_grids(searched, measure)
    return policy.undominated(policy.all_points(searched, measure, grids))


@cached(entries=64, files=_shown_files, of=without_thresholds)
def sweep_together(view: View) -> policy.ThresholdSweep:
    """All thresholds moved as one over 0, 0.005, … 1."""
    recorded = counted(view.network, view.variant, view.split)
    grid = np.arange(payload.SWEEP_POINTS) / (payload.SWEEP_POINTS - 1)
    return policy.sweep(recorded, measure=view.measure, grid=grid)


def pictures(view: View, positions: Sequence[int]) -> npt.NDArray[np.uint8] | None:
    """Some images of the view's split (k, h, w, channels); None if they are not here."""
    if view.split != DEFAULT_SPLIT:
        return _user_pictures(view.network, view.split, tuple(positions))
    known = zoo.card(view.network)
    try:
        test = known.sources.get(DEFAULT_SPLIT, "")
        found = _images(known.dataset, test, known.size, known.channels, known.fit or CROP)
    except (DataMissingError, UnknownNameError):
        return None
    if len(found) != trace(view.network, view.variant, view.split).samples:
        return None
    return found[list(positions)]


@cached(
    entries=64,
    files=lambda network, split, _: [user_splits.path_of(network, split)],
)
def _user_pictures(network: str, split: str, positions: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    return user_splits.images(user_splits.split(network, split), positions)


@cached(entries=3, files=lambda dataset, test, *_: [data.data_folder(), Path(test or dataset)])
def _images(dataset: str, test: str, size: int, channels: int, fit: str) -> npt.NDArray[np.uint8]:
    sources = {DEFAULT_SPLIT: test} if test else {}
    found = zoo.split_images(dataset, DEFAULT_SPLIT, sources, size=size, channels=channels, fit=fit)
    return found.images


def _parts_by_exit(variant: zoo.Variant, asked: evaluation.Prices) -> list[dict[str, float]]:
    """Energy by part in pJ of a sample, for each exit that it may take."""
    takes = np.eye(variant.early_exits + 1).tolist()  # all samples at one exit, then at the next
    return [
        energy.by_part(
            variant.layers,
            exits=variant.early_exits,
            exit_fractions=one,
            uplink_bytes=variant.uplink_bytes,
            profile=asked.profile,
            link=asked.link,
            scope=asked.scope,
            radio=True,
            cloud=asked.cloud,
        )
        for one in takes
    ]


def _twin(
    variant: zoo.Variant, known: zoo.Card, asked: evaluation.Prices
) -> tuple[float, dict[str, float]]:
    """The baseline's energy per sample, and by part."""
    total = evaluation.twin_energy_pj(known, variant, asked)
    if asked.scope == "device":
        return total, {"radio": total}
    parts = energy.by_part(
        evaluation.twin_layers(known, variant),
        exits=0,
        exit_fractions=(1.0,),
        uplink_bytes=0,
        profile=asked.profile,
        link=asked.link,
        scope=asked.scope,
        radio=False,
    )
    return total, parts


def _part_name(part: str, card: zoo.Card) -> str:
    """A part of the energy as the Networks page calls it: "stage 7" of ResNet-32 is "stage 2.2"."""
    word, _, number = part.partition(" ")
    return f"{word} {card.stage_names[int(number)]}" if number else part


def _accuracy(network: str, variant: str, split: str) -> float | None:
    """Accuracy of the final exit on a split; None without a trace or without labels."""
    try:
        recorded = trace(network, variant, split)
    except HybridError:
        return None
    return float(recorded.correct[:, -1].mean()) if recorded.labelled else None


def _slider_grids(recorded: Trace, measure: str) -> list[npt.NDArray[np.float64]]:
    """Thresholds per exit, on the slider's grid, closely spaced where most samples are."""
    early = recorded.confidences[measure][:, :-1]
    size = min(_GRID_POINTS, int(500_000 ** (1 / max(early.shape[1], 1))))
    grids = (policy.threshold_grid(early[:, i], size) for i in range(early.shape[1]))
    return [np.unique(np.round(grid * STEPS)) / STEPS for grid in grids]
