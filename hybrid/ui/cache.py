"""What the pages read, kept in memory once for all sessions, bounded, every input in the key.

    card = cache.card(view.network)
    trace = cache.trace(view.network, view.variant)      # of the test split; see Raises
    band = cache.band(view)                              # certificates for free sliders
    prices = cache.prices(view)                          # per exit, and the twin's
    scene = cache.scene(view)                            # all of Explore that no slider changes

Files are part of the key by their time of change, so a trace recorded meanwhile or a new card
shows at the next run. What comes out is shared between sessions: never write into it.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from hybrid import certify, data, energy, policy, zoo
from hybrid.errors import DataMissingError, HybridError, UnknownNameError
from hybrid.trace import Trace
from hybrid.ui import tables
from hybrid.ui.follower.payload import SWEEP_POINTS, payload
from hybrid.ui.scene import Frontier, Prices, Scene, Static
from hybrid.ui.state import STEPS, Offers, View

__all__ = [
    "DELTA",
    "SPLIT",
    "Frontier",
    "Prices",
    "Scene",
    "Static",
    "band",
    "card",
    "exit_certificates",
    "follower_data",
    "frontier_table",
    "frontiers",
    "images",
    "link_title",
    "offers",
    "prices",
    "profile_title",
    "scene",
    "stamps",
    "statics",
    "sweep_together",
    "trace",
]

SPLIT = "test"
DELTA = 0.05  # the chance of a broken promise that certificates are shown for
_GRID_POINTS = 60  # thresholds per exit and bit width that the frontier is searched on


def card(network: str) -> zoo.Card:
    """The card of a network; the zoo keeps it in memory. UnknownNameError, WeightsError."""
    return zoo.card(network)


def offers() -> Offers:
    """What can be chosen on this machine."""
    exits = {}
    for network in zoo.networks():
        hybrids = [v for v in zoo.card(network).variants.values() if v.kind == "hybrid"]
        if hybrids:
            exits[network] = {v.bits: v.exits for v in sorted(hybrids, key=lambda v: v.bits)}
    return Offers(exits=exits, profiles=_profile_names(), links=_link_names())


def trace(network: str, variant: str, split: str = SPLIT) -> Trace:
    """The recorded trace of a variant.

    Raises:
        UnknownNameError, DataMissingError, TraceError: as `zoo.trace`.
    """
    return _trace(network, variant, split, _stamp(network, variant, split))


def prices(view: View) -> Prices:
    """What the view's network costs on the view's hardware and link, in the view's scope."""
    return _prices(
        view.network, view.bits, view.profile, view.link, view.scope, _stamp(view.network)
    )


def statics(view: View) -> tuple[Static, ...]:
    """The static networks that have a trace, by rising bit width, the twin (32 bits) last."""
    return _statics(view.network, view.profile, view.link, view.scope, stamps(view.network))


def frontiers(view: View) -> tuple[Frontier, ...]:
    """The frontier of each bit width that has a trace."""
    return _frontiers(
        view.network, view.measure, view.profile, view.link, view.scope, stamps(view.network)
    )


def sweep_together(view: View) -> policy.Sweep:
    """All thresholds moved as one over 0, 0.005, … 1."""
    stamp = _stamp(view.network, view.variant, SPLIT)
    return _sweep(view.network, view.bits, view.measure, view.profile, view.link, view.scope, stamp)


def band(view: View) -> certify.Band:
    """Certificates on the sliders' grid, for the network, bit width and measure of a view.

    They hold for all networks, bit widths and measures on offer at once.

    Raises:
        DataMissingError, TraceError: no trace of the certify split, or a damaged one.
    """
    stamp = _stamp(view.network, view.variant, "certify")
    return _band(
        zoo.pretrained_folder(), view.network, view.variant, view.measure, _choices(), stamp
    )


def exit_certificates(view: View, comparisons: int) -> tuple[certify.Certificate | None, ...]:
    """A certificate of those that leave at each early exit, at a point of the band.

    Args:
        comparisons: those of the band.

    Raises:
        DataMissingError, TraceError: as `band`.
    """
    stamp = _stamp(view.network, view.variant, "certify")
    still = replace(view, profile="", link="", scope="")  # no price changes a certificate
    return _exit_certificates(zoo.pretrained_folder(), still, comparisons, stamp)


def follower_data(view: View) -> dict[str, Any]:
    """What the follower in the browser needs of this view; the same whatever its thresholds."""
    still = replace(view, thresholds=(0.0,) * view.exits)
    return _follower_data(still, stamps(view.network))


def stamps(network: str) -> tuple[int, ...]:
    """When the card and each variant's trace of the split last changed."""
    folder, card_changed = zoo.pretrained_folder(), _stamp(network)
    return (card_changed, *map(_changed_ns, _trace_paths(folder, network, card_changed)))


def frontier_table(view: View) -> pd.DataFrame:
    """The frontiers and the static networks as a table; never write into it."""
    return _frontier_table(
        view.network, view.measure, view.profile, view.link, view.scope, stamps(view.network)
    )


def scene(view: View) -> Scene:
    """All of Explore that the sliders do not change.

    Raises:
        DataMissingError, TraceError: no trace of this bit width, or a damaged one.
    """
    still = replace(view, thresholds=(0.0,) * view.exits)
    return _scene(still, zoo.pretrained_folder(), stamps(view.network))


def images(dataset: str, *, size: int, channels: int) -> npt.NDArray[np.uint8] | None:
    """The split's images (n, h, w, channels); None where the data set is not on this machine."""
    try:
        return _images(dataset, size, channels)
    except (DataMissingError, UnknownNameError):
        return None


# Streamlit's cache takes 0.2 ms for each part of a key, and this is asked for at every move.
@lru_cache(maxsize=32)
def _scene(view: View, _folder: Path, _changed: tuple[int, ...]) -> Scene:
    return Scene(
        card=zoo.card(view.network),
        trace=trace(view.network, view.variant),
        prices=prices(view),
        frontiers=frontiers(view),
        statics=statics(view),
        together=sweep_together(view),
    )


@lru_cache(maxsize=32)
def _trace_paths(_folder: Path, network: str, _card_changed: int) -> tuple[Path, ...]:
    return tuple(zoo.trace_path(network, name, SPLIT) for name in zoo.card(network).variants)


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
def _prices(network: str, bits: int, profile: str, link: str, scope: str, stamp: int) -> Prices:
    del stamp  # only in the key
    variant = zoo.variant(network, bits)
    priced: dict[str, Any] = {
        "exits": variant.exits,
        "uplink_bytes": variant.uplink_bytes,
        "profile": energy.load_profile(profile),
        "link": energy.load_link(link),
        "scope": scope,
        "radio": True,
    }
    takes = np.eye(variant.exits + 1).tolist()  # all samples at one exit, then at the next
    by_exit = [energy.by_part(variant.layers, exit_fractions=one, **priced) for one in takes]
    twin_energy_pj, twin_parts = _twin(network, profile, link, scope)
    return Prices(
        costs=energy.costs(variant.layers, **priced),
        parts={part: tuple(parts[part] for parts in by_exit) for part in by_exit[0]},
        twin_energy_pj=twin_energy_pj,
        twin_accuracy=_accuracy(network, zoo.variant_name(32, static=True)),
        twin_parts=twin_parts,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _statics(
    network: str, profile: str, link: str, scope: str, changed: tuple[int, ...]
) -> tuple[Static, ...]:
    del changed  # only in the key
    found = []
    for bits in zoo.bit_widths(network, static=True):
        accuracy = _accuracy(network, zoo.variant_name(bits, static=True))
        if accuracy is not None:
            energy_pj = _static_energy_pj(network, bits, profile, link, scope)
            found.append(Static(bits=bits, accuracy=accuracy, energy_pj=energy_pj))
    return tuple(found)


@st.cache_resource(max_entries=32, show_spinner=False)
def _frontiers(
    network: str, measure: str, profile: str, link: str, scope: str, changed: tuple[int, ...]
) -> tuple[Frontier, ...]:
    del changed  # only in the key
    found = []
    for bits in zoo.bit_widths(network):
        try:
            recorded = trace(network, zoo.variant_name(bits))
        except HybridError:
            continue  # this bit width has no trace; the others are shown without it
        costs = _prices(network, bits, profile, link, scope, _stamp(network)).costs
        points = policy.all_points(recorded, costs, measure, _slider_grids(recorded, measure))
        best = policy.frontier(points.energy_pj, points.accuracy)
        found.append(
            Frontier(
                bits=bits,
                thresholds=points.thresholds[best],
                energy_pj=points.energy_pj[best],
                accuracy=points.accuracy[best],
                edge_fraction=points.edge_fraction[best],
            )
        )
    return tuple(found)


@st.cache_resource(max_entries=64, show_spinner=False)
def _sweep(
    network: str, bits: int, measure: str, profile: str, link: str, scope: str, stamp: int
) -> policy.Sweep:
    del stamp  # only in the key
    costs = _prices(network, bits, profile, link, scope, _stamp(network)).costs
    recorded = trace(network, zoo.variant_name(bits))
    grid = np.arange(SWEEP_POINTS) / (SWEEP_POINTS - 1)
    return policy.sweep(recorded, measure=measure, costs=costs, grid=grid)


@st.cache_resource(max_entries=32, show_spinner=False)
def _frontier_table(
    network: str, measure: str, profile: str, link: str, scope: str, changed: tuple[int, ...]
) -> pd.DataFrame:
    found = _frontiers(network, measure, profile, link, scope, changed)
    return tables.frontier(found, _statics(network, profile, link, scope, changed))


@st.cache_resource(max_entries=32, show_spinner=False)
def _follower_data(view: View, changed: tuple[int, ...]) -> dict[str, Any]:
    del changed  # only in the key
    priced = prices(view)
    return payload(
        view,
        trace(view.network, view.variant),
        priced,
        statics(view),
        classes=len(card(view.network).classes),
        scale_pj=priced.energy_unit[0],
    )


@st.cache_resource(max_entries=3, show_spinner=False)
def _images(dataset: str, size: int, channels: int) -> npt.NDArray[np.uint8]:
    return data.load(dataset, SPLIT, size=size, channels=channels).images


@lru_cache(maxsize=64)
def _band(
    _folder: Path, network: str, variant: str, measure: str, choices: int, _stamp: int
) -> certify.Band:
    recorded = trace(network, variant, "certify")
    grid = certify.slider_grid(recorded.exits - 1)
    return certify.band(recorded, grid, delta=DELTA, offers=choices, measure=measure)


@lru_cache(maxsize=256)
def _exit_certificates(
    _folder: Path, view: View, comparisons: int, _stamp: int
) -> tuple[certify.Certificate | None, ...]:
    return certify.certify_exits(
        trace(view.network, view.variant, "certify"),
        view.thresholds,
        delta=DELTA,
        measure=view.measure,
        comparisons=comparisons,
    )


def _choices() -> int:
    """How many pairs of a network's bit width and a measure one can choose among here."""
    cards = tuple((network, _stamp(network)) for network in zoo.networks())
    return _count_choices(zoo.pretrained_folder(), cards)


@lru_cache(maxsize=8)
def _count_choices(_folder: Path, _cards: tuple[tuple[str, int], ...]) -> int:
    offered = offers()
    return sum(map(len, offered.exits.values())) * len(offered.measures)


def _twin(network: str, profile: str, link: str, scope: str) -> tuple[float, dict[str, float]]:
    """What the point is compared with: energy per sample, and by part."""
    known = zoo.card(network)
    layers = _twin_layers(network)
    total = energy.twin_energy_pj(
        layers,
        profile=energy.load_profile(profile),
        link=energy.load_link(link),
        scope=scope,
        image_bytes=known.image_bytes,
    )
    if scope == "device":
        return total, {"radio": total}
    parts = energy.by_part(
        layers,
        exits=0,
        exit_fractions=(1.0,),
        uplink_bytes=0,
        profile=energy.load_profile(profile),
        link=energy.load_link(link),
        scope=scope,
        radio=False,
    )
    return total, parts


def _twin_layers(network: str) -> tuple[energy.Layer, ...]:
    """The twin's census; without a twin, the widest hybrid's stages, which have its shapes."""
    static = zoo.bit_widths(network, static=True)
    if static:
        return zoo.variant(network, static[-1], static=True).layers
    return zoo.variant(network, zoo.bit_widths(network)[-1]).layers


def _static_energy_pj(network: str, bits: int, profile: str, link: str, scope: str) -> float:
    costs = energy.costs(
        zoo.variant(network, bits, static=True).layers,
        exits=0,
        uplink_bytes=0,
        profile=energy.load_profile(profile),
        link=energy.load_link(link),
        scope=scope,
        radio=False,
    )
    return costs.energy_pj[0]


def _accuracy(network: str, variant: str) -> float | None:
    """Accuracy of the final exit on the test split; None where there is no such trace."""
    try:
        return float(trace(network, variant).correct[:, -1].mean())
    except HybridError:
        return None


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
