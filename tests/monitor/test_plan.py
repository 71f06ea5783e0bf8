"""A plan: fitted on a trace, saved and read back, refused where it cannot work."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import CertificateError, LineError
from hybrid.monitor.plan import Promise, load_plan, make_plan, parse_plan, save_plan
from hybrid.monitor.watch import Monitor
from tests.monitor.edge import THRESHOLDS, answers, made_up_plan, made_up_trace
from tests.strategies import SHA256


def test_a_plan_that_was_saved_is_read_back(tmp_path: Path):
    plan = made_up_plan()

    save_plan(plan, tmp_path / "plan.json")

    assert load_plan(tmp_path / "plan.json") == plan


def test_a_plan_has_the_shares_and_histograms_of_its_trace():
    trace, plan = made_up_trace(), made_up_plan()
    counts, bins = [0, 0, 0], [[0] * 20, [0] * 20]

    for row in trace.confidences["max_probability"]:
        taken = next((i for i in (0, 1) if row[i] >= np.float32(THRESHOLDS[i])), 2)
        counts[taken] += 1
        if taken < 2:
            bins[taken][min(int(row[taken] * 20), 19)] += 1

    assert plan.exit_shares == pytest.approx([one / trace.samples for one in counts])
    for row, total, said in zip(bins, counts, plan.histograms, strict=False):
        assert said == pytest.approx([one / total for one in row])


@given(st.floats(0.01, 1), st.floats(0.01, 0.9))
@settings(max_examples=15, deadline=None)
def test_no_image_can_ruin_a_bet(share: float, epsilon: float):
    plan = made_up_plan(epsilon, share=share)
    exits = np.repeat([0, 1], 500)
    sure = np.concatenate([np.linspace(limit, 1, 500) for limit in THRESHOLDS])

    m, pi = plan.policy.expectation.at(exits, sure), plan.policy.probabilities(exits, sure)
    least, most = (m - m / pi).min(), (m + (1 - m) / pi).max()

    assert plan.least_loss <= least + 1e-9
    assert most <= plan.most_loss + 1e-9
    assert all(1 + bet * (plan.least_loss - epsilon) >= 0.1 - 1e-9 for bet in plan.bets)


def test_a_line_names_the_bundle_by_8_digits_or_more():
    plan = made_up_plan()

    assert plan.is_of(SHA256)
    assert plan.is_of(SHA256[:8])
    assert not plan.is_of(SHA256[:7])
    assert not plan.is_of("ffffffff")


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"share": 0.0}, "A share of 0 cannot be audited; give one from 0.001 to 1"),
        ({"share": 1.2}, "A share of 1.2 cannot be audited"),
        ({"window": 0}, "give 1 or more"),
        ({"run_length": 0}, "give 1 or more"),
        ({"promise": Promise(epsilon=0.0)}, "A promise of 0 cannot be watched"),
        ({"thresholds": (1.0, 1.0)}, "No image leaves early at these thresholds"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(changed: dict[str, object], words: str):
    options = {"thresholds": THRESHOLDS, "promise": Promise(epsilon=0.1), "bundle": SHA256}

    with pytest.raises(LineError, match=words):
        make_plan(made_up_trace(), **options | changed)  # type: ignore[arg-type]


def test_an_alpha_that_is_no_chance_is_refused():
    with pytest.raises(CertificateError, match="certifies nothing"):
        make_plan(made_up_trace(), THRESHOLDS, Promise(epsilon=0.1), bundle=SHA256, alpha=0.0)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format"', '"plan"', "{}", "\x00"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(LineError, match=r"plan.json is no plan; write one with `hybrid monitor"):
        load_plan(tmp_path / "plan.json")


def test_a_plan_of_a_later_format_is_refused(tmp_path: Path):
    (tmp_path / "plan.json").write_text(json.dumps(made_up_plan().to_dict() | {"format": 7}))

    with pytest.raises(LineError, match="is a plan of format 7; this version reads 1"):
        load_plan(tmp_path / "plan.json")


@pytest.mark.parametrize("name", ["bets", "policy", "promise", "thresholds", "histograms"])
@pytest.mark.parametrize("value", [None, 3, "x"])
def test_a_plan_with_a_damaged_field_is_refused(tmp_path: Path, name: str, value: object):
    (tmp_path / "plan.json").write_text(json.dumps(made_up_plan().to_dict() | {name: value}))

    with pytest.raises(LineError, match="is damaged; write it again"):
        load_plan(tmp_path / "plan.json")


def test_a_folder_is_no_plan(tmp_path: Path):
    with pytest.raises(LineError, match="is no plan"):
        load_plan(tmp_path)


def test_only_answers_that_the_plan_allows_are_its_own():
    plan = made_up_plan()
    chance, unsure = plan.policy.probabilities([0, 0], [0.9, 0.5])

    allowed = plan.allows(
        [0, 0, 0, 2], [0.9, 0.9, 0.5, 0.9], [chance, 1.01 * chance, unsure, chance]
    )

    assert allowed.tolist() == [True, False, False, False]
    assert not replace(plan, thresholds=(0.95, 0.95)).allows([0], [0.9], [chance])


ODD = (0, -1, 1e308, math.nan, math.inf, 10**400, "x", None, [], [1.0], {}, True, 1e-300, 10**6)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a plan's file has a list or a single value; of a list, its first and last too."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from places(part, (*path, name))
        return
    yield path
    if isinstance(value, list):
        for place in (0, len(value) - 1):
            yield from places(value[place], (*path, place))


def with_value(values: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of a plan's values with another one at a place."""
    first, *rest = path
    copy = values.copy()
    copy[first] = with_value(values[first], tuple(rest), value) if rest else value
    return copy


def test_a_plan_with_any_odd_value_is_refused_or_watches_a_device():
    plan = made_up_plan()
    values = json.loads(json.dumps(plan.to_dict()))
    lines = answers(plan, made_up_trace(samples=120))

    refused = 0
    for path in places(values):
        for odd in ODD:
            text = json.dumps(with_value(values, path, odd))
            try:
                found = parse_plan(text, name="plan.json")
            except LineError:
                refused += 1
                continue
            monitor = Monitor(found)
            monitor.add(lines)
            assert math.isfinite(monitor.status().evidence_log10)

    assert refused > 100
