"""The contract of every deployment mode, on the variants that it takes."""

import numpy as np
import pytest

from hybrid import energy, zoo
from hybrid.choosing.candidates import candidate, see
from hybrid.choosing.modes import MODES, Mode, modes_of
from hybrid.evaluation import Prices
from tests.choosing.made_up import card_of
from tests.strategies import synthetic_trace

EXITS = 2
CARD = card_of(exits=EXITS)
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def taken_by(mode: Mode) -> zoo.Variant:
    return next(v for v in reversed(CARD.variants.values()) if mode.takes(v))


@every_mode
def test_costs_thresholds_and_fractions_fit_the_exits_of_the_mode(mode: Mode):
    variant = taken_by(mode)
    trace = synthetic_trace(exits=variant.early_exits + 1, split="tune")
    seen = {"tune": see(trace, mode, trace)}

    one = candidate(card=CARD, mode=mode, variant=variant, seen=seen, measure="margin")

    exits = mode.exits(variant.early_exits + 1)
    for scope in energy.SCOPES:
        costs = one.costs(Prices(scope=scope))
        assert len(costs.energy_pj) == len(costs.latency_ms) == len(costs.uplink_bytes) == exits
    assert seen["tune"].correct.shape[1] == exits
    assert one.options.thresholds.shape[1] == exits - 1
    assert len(one.all_thresholds(one.options.thresholds[0])) == variant.early_exits
    assert len(mode.all_fractions((1 / exits,) * exits)) == variant.early_exits + 1
    assert one.edge_memory_kib > 0


@every_mode
def test_the_thresholds_that_are_searched_come_back_from_all_of_them(mode: Mode):
    searched = np.linspace(0.1, 0.9, EXITS)[None, : mode.exits(taken_by(mode).early_exits + 1) - 1]

    whole = mode.all_thresholds(searched)

    assert list(mode.searched(tuple(whole[0]))) == searched[0].tolist()


def test_a_mode_that_needs_no_cloud_comes_first():
    names = {v.name: [mode.name for mode in modes_of(v)] for v in CARD.variants.values()}

    assert names == {
        "hybrid-4bit": ["edge", "hybrid"],
        "static-4bit": ["static"],
        "static-32bit": ["static", "cloud"],
    }
