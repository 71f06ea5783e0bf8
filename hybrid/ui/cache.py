"""What the pages read, kept in memory once for all sessions, bounded, every input in the key.

    card = cache.card(view.network)
    trace = cache.counted(view.network, view.variant, view.split)      # see Raises
    band = cache.band(view)                              # certificates for free sliders
    prices = cache.prices(view)                          # per exit, and the twin's
    data = cache.explore_data(view)                      # all of Explore that no slider changes

Files are part of the key by their time of change, so a trace recorded meanwhile or a new card
shows at the next run. What comes out is shared between sessions: never write into it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from hybrid import certificates, data, energy, evaluation, policy, zoo
from hybrid.data import user_splits
from hybrid.errors import DataMissingError, HybridError, UnknownNameError
from hybrid.traces.trace import Trace
from hybrid.ui.explore import tables
from hybrid.ui.explore.data import ExploreData, ExplorePrices, Frontier, Static
from hybrid.ui.explore.follower.payload import SWEEP_POINTS, payload
from hybrid.ui.session import STEPS, Offers, View

if TYPE_CHECKING:
    import pandas as pd  # 0.3 s to import, which the figures need not wait for

    from hybrid.choosing.baselines import Comparison

__all__ = [
    "DELTA",
    "SPLIT",
    "ExploreData",
    "ExplorePrices",
    "Frontier",
    "Static",
    "band",
    "baselines",
    "card",
    "certify_split",
    "counted",
    "exit_certificates",
    "explore_data",
    "follower_data",
    "frontier_table",
    "frontiers",
    "images",
    "link_title",
    "offers",
    "pictures",
    "prices",
    "profile_title",
    "stamps",
    "statics",
    "sweep_together",
    "trace",
    "when_changed",
]

SPLIT = "test"
DELTA = 0.05  # the chance of a broken promise that certificates are shown for
_GRID_POINTS = 60  # thresholds per exit and bit width that the frontier is searched on


def card(network: str) -> zoo.Card:
    """The card of a network; the zoo keeps it in memory. UnknownNameError, WeightsError."""
    return zoo.card(network)


def offers() -> Offers:
    """What can be chosen on this machine."""
    exits, splits = {}, {}
    for network in zoo.networks():
        if hybrids := zoo.card(network).hybrids:
            exits[network] = {variant.bits: variant.early_exits for variant in hybrids}
            splits[network] = tuple(user_splits.names(network))
    return Offers(early_exits=exits, profiles=_profile_names(), links=_link_names(), splits=splits)


def trace(network: str, variant: str, split: str = SPLIT) -> Trace:
    """The recorded trace of a variant.

    Raises:
        UnknownNameError, DataMissingError, TraceError: as `zoo.trace`.
    """
    return _trace(network, variant, split, _stamp(network, variant, split))


def counted(network: str, variant: str, split: str) -> Trace:
    """The trace that figures are counted from: without labels, the final exit's answers are right.

    Raises:
        UnknownNameError, DataMissingError, TraceError: as `zoo.trace`.
    """
    recorded = trace(network, variant, split)
    return recorded if recorded.labelled else recorded.against_final


def certify_split(view: View) -> str | None:
    """The split that certificates of the view's images rest on; None where there is none."""
    if view.split == SPLIT:
        return "certify"
    about = user_splits.split(view.network, view.split)
    if about.purpose == "certify":
        return view.split
    images = view.split.removesuffix("-tune")
    paired = about.purpose == "tune" and images in user_splits.halved(view.network)
    return f"{images}-certify" if paired else None


def prices(view: View) -> ExplorePrices:
    """What the view's network costs on the view's hardware and link, in the view's scope."""
    changed = stamps(view.network, view.split)
    return _prices(
        view.network, view.bits, view.profile, view.link, view.scope, view.split, changed
    )


def statics(view: View) -> tuple[Static, ...]:
    """The static networks that have a trace, by rising bit width, the twin (32 bits) last."""
    changed = stamps(view.network, view.split)
    return _statics(view.network, view.profile, view.link, view.scope, view.split, changed)


def baselines(view: View) -> tuple["pd.DataFrame", list["Comparison"]]:
    """Each static network beside a hybrid as accurate, and who needs less energy, at these prices.

    Raises:
        DataMissingError, TraceError: a variant's trace of tune or test is missing or damaged.
    """
    changed = stamps(view.network, "tune"), stamps(view.network, SPLIT)
    return _opponents(view.network, view.profile, view.link, view.scope, changed)


@lru_cache(maxsize=32)
def _opponents(
    network: str, profile: str, link: str, scope: str, _changed: tuple[tuple[int, ...], ...]
) -> tuple["pd.DataFrame", list["Comparison"]]:
    from hybrid.ui.networks import cards  # imports pandas

    return cards.baselines_table(network, _asked(profile, link, scope))


def searched_split(view: View) -> str:
    """The split on which the frontier of the view's images is found.

    What is found on images flatters on them: of the test images, and of a half that certifies, it
    is another split. A user's undivided images have no other.
    """
    if view.split == SPLIT:
        return "tune"
    images = view.split.removesuffix("-certify")
    halved = images != view.split and images in user_splits.halved(view.network)
    return f"{images}-tune" if halved else view.split


def frontiers(view: View) -> tuple[Frontier, ...]:
    """The frontier of each bit width that has a trace."""
    return _frontiers(_unthresholded(view), searched_split(view), when_changed(view))


def sweep_together(view: View) -> policy.ThresholdSweep:
    """All thresholds moved as one over 0, 0.005, … 1."""
    return _sweep(_unthresholded(view), stamps(view.network, view.split))


def band(view: View) -> certificates.Band:
    """Certificates on the sliders' grid, for the network, bit width and measure of a view.

    They hold for all networks, bit widths and measures on offer at once.

    Raises:
        DataMissingError, TraceError: no trace of the certify split, or a damaged one.
    """
    split = certify_split(view) or ""
    stamp = _stamp(view.network, view.variant, split)
    return _band(
        zoo.pretrained_folder(), view.network, view.variant, split, view.measure, _choices(), stamp
    )


def exit_certificates(view: View, comparisons: int) -> tuple[certificates.Certificate | None, ...]:
    """A certificate of those that leave at each early exit, at a point of the band.

    Args:
        comparisons: those of the band.

    Raises:
        DataMissingError, TraceError: as `band`.
    """
    split = certify_split(view) or ""
    stamp = _stamp(view.network, view.variant, split)
    # no price changes a certificate
    still = replace(view, profile="", link="", scope="", split=split)
    return _exit_certificates(zoo.pretrained_folder(), still, comparisons, stamp)


def follower_data(view: View) -> dict[str, Any]:
    """What the follower in the browser needs of this view; the same whatever its thresholds."""
    return _follower_data(_unthresholded(view), stamps(view.network, view.split))


def stamps(network: str, split: str = SPLIT) -> tuple[int, ...]:
    """When the card and each variant's trace of the split last changed."""
    folders, card_changed = (zoo.pretrained_folder(), user_splits.folder()), _stamp(network)
    paths = _trace_paths(folders, network, split, card_changed)
    return (card_changed, *map(_changed_ns, paths))


def when_changed(view: View) -> tuple[int, ...]:
    """When what is shown, or what its frontier was searched on, last changed."""
    return stamps(view.network, view.split) + stamps(view.network, searched_split(view))


def frontier_table(view: View) -> "pd.DataFrame":
    """The frontiers and the static networks as a table; never write into it."""
    return _frontier_table(_unthresholded(view), when_changed(view))


def explore_data(view: View) -> ExploreData:
    """All of Explore that the sliders do not change.

    Raises:
        DataMissingError, TraceError: no trace of this bit width, or a damaged one.
    """
    return _explore_data(_unthresholded(view), zoo.pretrained_folder(), when_changed(view))


def pictures(view: View, positions: Sequence[int]) -> npt.NDArray[np.uint8] | None:
    """Some images of the view's split (k, h, w, channels); None where they are not here."""
    known = card(view.network)
    if view.split != SPLIT:
        stamp = _changed_ns(user_splits.path_of(view.network, view.split))
        return _user_pictures(view.network, view.split, tuple(positions), stamp)
    found = images(known.dataset, size=known.size, channels=known.channels)
    recorded = trace(view.network, view.variant, view.split)
    if found is None or len(found) != recorded.samples:
        return None
    return found[list(positions)]


def images(dataset: str, *, size: int, channels: int) -> npt.NDArray[np.uint8] | None:
    """The split's images (n, h, w, channels); None where the data set is not on this machine."""
    try:
        return _images(dataset, size, channels)
    except (DataMissingError, UnknownNameError):
        return None


# Streamlit's cache takes 0.2 ms for each part of a key, and this is asked for at every move.
@lru_cache(maxsize=32)
def _explore_data(view: View, _folder: Path, _changed: tuple[int, ...]) -> ExploreData:
    return ExploreData(
        card=zoo.card(view.network),
        labelled=trace(view.network, view.variant, view.split).labelled,
        trace=counted(view.network, view.variant, view.split),
        prices=prices(view),
        frontiers=frontiers(view),
        statics=statics(view),
        together=sweep_together(view),
    )


@lru_cache(maxsize=32)
def _trace_paths(
    _folders: tuple[Path, Path], network: str, split: str, _card_changed: int
) -> tuple[Path, ...]:
    return tuple(zoo.trace_path(network, name, split) for name in zoo.card(network).variants)


def _unthresholded(view: View) -> View:
    """The view as a key of what no slider changes."""
    return replace(view, thresholds=(0.0,) * view.early_exits)


@st.cache_data(max_entries=64, show_spinner=False)
def profile_title(name: str) -> str:
    """What a reader calls the hardware profile."""
    return energy.load_profile(name).title


@st.cache_data(max_entries=64, show_spinner=False)
def link_title(name: str) -> str:
    """What a reader calls the link profile."""
    return energy.load_link(name).title


@st.cache_resource(max_entries=1, show_spinner=False)
def _profile_names() -> tuple[str, ...]:
    return tuple(energy.profile_names())


@st.cache_resource(max_entries=1, show_spinner=False)
def _link_names() -> tuple[str, ...]:
    return tuple(energy.link_names())


@st.cache_resource(max_entries=24, show_spinner=False)
def _trace(network: str, variant: str, split: str, stamp: int) -> Trace:
    del stamp  # only in the key
    return zoo.trace(network, variant, split)


@st.cache_resource(max_entries=64, show_spinner=False)
def _prices(
    network: str,
    bits: int,
    profile: str,
    link: str,
    scope: str,
    split: str,
    changed: tuple[int, ...],
) -> ExplorePrices:
    del changed  # only in the key
    variant, asked = zoo.variant(network, bits), _asked(profile, link, scope)
    takes = np.eye(variant.early_exits + 1).tolist()  # all samples at one exit, then at the next
    by_exit = [
        energy.by_part(
            variant.layers,
            exits=variant.early_exits,
            exit_fractions=one,
            uplink_bytes=variant.uplink_bytes,
            profile=asked.profile,
            link=asked.link,
            scope=scope,
            radio=True,
        )
        for one in takes
    ]
    known = zoo.card(network)
    twin_energy_pj, twin_parts = _twin(variant, known, asked)
    return ExplorePrices(
        costs=evaluation.costs(variant, asked),
        parts={
            _part_name(part, known): tuple(parts[part] for parts in by_exit) for part in by_exit[0]
        },
        twin_energy_pj=twin_energy_pj,
        twin_accuracy=_accuracy(network, zoo.TWIN, split),
        twin_parts={_part_name(part, known): spent for part, spent in twin_parts.items()},
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _statics(
    network: str, profile: str, link: str, scope: str, split: str, changed: tuple[int, ...]
) -> tuple[Static, ...]:
    del changed  # only in the key
    found, asked = [], _asked(profile, link, scope)
    for variant in zoo.card(network).statics:
        accuracy = _accuracy(network, variant.name, split)
        if accuracy is not None:
            energy_pj = evaluation.costs(variant, asked).energy_pj[0]
            found.append(Static(bits=variant.bits, accuracy=accuracy, energy_pj=energy_pj))
    return tuple(found)


@st.cache_resource(max_entries=32, show_spinner=False)
def _frontiers(view: View, split: str, changed: tuple[int, ...]) -> tuple[Frontier, ...]:
    del changed  # only in the key
    found = []
    for variant in zoo.card(view.network).hybrids:
        try:
            searched = counted(view.network, variant.name, split)
            shown = counted(view.network, variant.name, view.split)
        except HybridError:
            continue  # this bit width has no trace; the others are shown without it
        costs = prices(replace(view, bits=variant.bits)).costs
        grids = _slider_grids(searched, view.measure)
        points = policy.all_points(searched, view.measure, grids)
        best = policy.frontier_on(points, shown, costs, measure=view.measure)
        found.append(Frontier(bits=variant.bits, **vars(best)))
    return tuple(found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _sweep(view: View, changed: tuple[int, ...]) -> policy.ThresholdSweep:
    del changed  # only in the key
    recorded = counted(view.network, view.variant, view.split)
    grid = np.arange(SWEEP_POINTS) / (SWEEP_POINTS - 1)
    return policy.sweep(recorded, measure=view.measure, grid=grid)


@st.cache_resource(max_entries=32, show_spinner=False)
def _frontier_table(view: View, changed: tuple[int, ...]) -> "pd.DataFrame":
    del changed  # only in the key
    return tables.frontier(frontiers(view), statics(view))


@st.cache_resource(max_entries=32, show_spinner=False)
def _follower_data(view: View, changed: tuple[int, ...]) -> dict[str, Any]:
    del changed  # only in the key
    priced = prices(view)
    described = card(view.network)
    return payload(
        view,
        counted(view.network, view.variant, view.split),
        priced,
        statics(view),
        classes=len(described.classes),
        image_bytes=described.image_bytes,
        scale_pj=priced.energy_unit[0],
        labelled=trace(view.network, view.variant, view.split).labelled,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _user_pictures(
    network: str, split: str, positions: tuple[int, ...], stamp: int
) -> npt.NDArray[np.uint8]:
    del stamp  # only in the key
    return user_splits.images(user_splits.split(network, split), positions)


@st.cache_resource(max_entries=3, show_spinner=False)
def _images(dataset: str, size: int, channels: int) -> npt.NDArray[np.uint8]:
    return data.load(dataset, SPLIT, size=size, channels=channels).images


@lru_cache(maxsize=64)
def _band(
    _folder: Path, network: str, variant: str, split: str, measure: str, choices: int, _stamp: int
) -> certificates.Band:
    recorded = trace(network, variant, split)
    grid = certificates.slider_grid(recorded.all_exits - 1)
    method = _method(recorded)
    return certificates.band(
        recorded, grid, delta=DELTA, offers=choices, method=method, measure=measure
    )


@lru_cache(maxsize=256)
def _exit_certificates(
    _folder: Path, view: View, comparisons: int, _stamp: int
) -> tuple[certificates.Certificate | None, ...]:
    recorded = trace(view.network, view.variant, view.split)
    return certificates.certify_exits(
        recorded,
        view.thresholds,
        delta=DELTA,
        method=_method(recorded),
        measure=view.measure,
        comparisons=comparisons,
    )


def _method(recorded: Trace) -> str:
    """What can be bounded: the accuracy lost, or without labels how many answers differ."""
    return "betting" if recorded.labelled else "disagreement"


def _choices() -> int:
    """How many pairs of a network's bit width and a measure one can choose among here."""
    cards = tuple((network, _stamp(network)) for network in zoo.networks())
    return _count_choices(zoo.pretrained_folder(), cards)


@lru_cache(maxsize=8)
def _count_choices(_folder: Path, _cards: tuple[tuple[str, int], ...]) -> int:
    offered = offers()
    return sum(map(len, offered.early_exits.values())) * len(offered.measures)


def _asked(profile: str, link: str, scope: str) -> evaluation.Prices:
    return evaluation.Prices(
        profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope
    )


def _part_name(part: str, card: zoo.Card) -> str:
    """A part of the energy as the Networks page calls it: "stage 7" of ResNet-32 is "stage 2.2"."""
    word, _, number = part.partition(" ")
    return f"{word} {card.stage_names[int(number)]}" if number else part


def _twin(
    variant: zoo.Variant, known: zoo.Card, asked: evaluation.Prices
) -> tuple[float, dict[str, float]]:
    """What the point is compared with: energy per sample, and by part."""
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


def _accuracy(network: str, variant: str, split: str) -> float | None:
    """Accuracy of the final exit on a split; None where there is no such trace, or no label."""
    try:
        recorded = trace(network, variant, split)
    except HybridError:
        return None
    return float(recorded.correct[:, -1].mean()) if recorded.labelled else None


def _slider_grids(recorded: Trace, measure: str) -> list[npt.NDArray[np.float64]]:
    """Thresholds per exit that a slider can stand at, close together where the samples are."""
    early = recorded.confidences[measure][:, :-1]
    size = min(_GRID_POINTS, int(500_000 ** (1 / max(early.shape[1], 1))))
    grids = (policy.threshold_grid(early[:, i], size) for i in range(early.shape[1]))
    return [np.unique(np.round(grid * STEPS)) / STEPS for grid in grids]


def _stamp(network: str, variant: str = "", split: str = "") -> int:
    """When the card, or a trace, last changed, in nanoseconds; 0 where there is no such file."""
    if variant:
        return _changed_ns(zoo.trace_path(network, variant, split))
    return _changed_ns(zoo.pretrained_folder() / network / "card.toml")


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
