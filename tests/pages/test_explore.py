"""Explore through AppTest: every control, links right and wrong, figures and downloads."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from hybrid import energy, policy, zoo
from hybrid.text import numbers
from hybrid.ui import session
from hybrid.ui.explore import follower, load
from hybrid.ui.view import View
from tests.own_images import write_halves, write_user_split
from tests.ui.synthetic import take_exits

Explore = Callable[..., AppTest]
TOY = {"network": "trees-toy", "bits": "2"}


def headline(app: AppTest, label: str) -> tuple[str, str]:
    found = next(metric for metric in app.metric if metric.label == label)
    return found.value, found.delta


def spec(app: AppTest, number: int) -> Any:
    """A figure's specification, numpy arrays unpacked; the page's figures in their order."""
    return json.loads(app.get("plotly_chart")[number].proto.spec)


def reach_line(app: AppTest) -> str:
    """How many images reach each exit."""
    return next(c.value for c in app.caption if c.value.startswith("Images that reach"))


def outcome(bits: int, *thresholds: float, measure: str = "max_probability") -> policy.Outcome:
    return policy.outcome(zoo.trace("trees-toy", f"hybrid-{bits}bit"), thresholds, measure)


def test_the_headline_is_the_operating_point_of_the_link(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.5")

    counted = outcome(2, 0.6, 0.5)
    leaving = sum(counted.exit_counts[:-1])
    assert headline(app, "At the edge")[1] == f"{leaving} of 500"
    assert headline(app, "Accuracy")[0] == f"{100 * counted.accuracy:.2f} %"


def test_the_parts_of_the_energy_have_the_names_of_the_networks_page(explore: Explore) -> None:
    parts = spec(explore(**TOY), 3)["data"][0]["y"]

    names = zoo.card("trees-toy").stage_names
    in_cloud = {
        layer.stage for layer in zoo.variant("trees-toy", 2).layers if layer.segment == "cloud"
    }
    at_edge = [name for number, name in enumerate(names) if number and number not in in_cloud]
    assert [part for part in parts if part.startswith("Stage ")][: len(at_edge)] == [
        f"Stage {name}" for name in at_edge
    ]


def test_a_slider_moves_the_point_and_the_flow(explore: Explore) -> None:
    app = explore(**TOY)

    app.slider(key="t1").set_value(0.4).run()

    counted = outcome(2, 0.4, 0.8)
    assert spec(app, 1)["data"][0]["link"]["value"][:3] == list(counted.exit_counts)
    assert headline(app, "At the edge")[1] == f"{sum(counted.exit_counts[:-1])} of 500"


def test_one_slider_for_all_starts_at_the_first_exits_threshold(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3")

    app.segmented_control(key="sliders").set_value("one").run()

    assert [slider.key for slider in app.slider] == ["t"]
    assert app.slider(key="t").value == 0.6
    counted = outcome(2, 0.6, 0.6)
    assert headline(app, "At the edge")[1] == f"{sum(counted.exit_counts[:-1])} of 500"
    app.segmented_control(key="sliders").set_value("each").run()
    assert [slider.value for slider in app.slider] == [0.6, 0.3]  # as before


def test_each_exits_own_threshold_comes_back_after_a_shared_one_was_moved(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3")

    app.segmented_control(key="sliders").set_value("one").run()
    app.slider(key="t").set_value(0.9).run()
    app.segmented_control(key="sliders").set_value("each").run()

    assert [slider.value for slider in app.slider] == [0.6, 0.3]
    app.segmented_control(key="sliders").set_value("one").run()
    assert app.slider(key="t").value == 0.6


def test_another_bit_width_keeps_the_thresholds(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3")

    app.select_slider(key="bits").set_value(4).run()

    assert [slider.value for slider in app.slider] == [0.6, 0.3]
    counted = outcome(4, 0.6, 0.3)
    assert headline(app, "At the edge")[1] == f"{sum(counted.exit_counts[:-1])} of 500"
    assert app.query_params["bits"] == "4"


def test_a_threshold_comes_back_with_a_bit_width_that_has_its_exit(
    explore: Explore, toy: Path
) -> None:
    take_exits(toy, "trees-toy", bits=4)
    app = explore(**TOY, t1="0.6", t2="0.3")

    app.select_slider(key="bits").set_value(4).run()
    one = [slider.value for slider in app.slider]
    app.select_slider(key="bits").set_value(1).run()

    assert not app.exception
    assert one == [0.6]
    assert [slider.value for slider in app.slider] == [0.6, 0.3]


def test_undo_takes_back_one_change_after_the_other(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3")
    assert app.button(key="undo").disabled
    app.slider(key="t1").set_value(0.4).run()
    assert not app.button(key="undo").disabled
    app.select_slider(key="bits").set_value(4).run()
    app.segmented_control(key="sliders").set_value("one").run()
    app.segmented_control(key="scope").set_value("device").run()

    seen = []
    for _ in range(3):
        app.button(key="undo").click().run()
        seen.append((app.select_slider(key="bits").value, [one.value for one in app.slider]))

    assert seen == [(4, [0.4, 0.3]), (2, [0.4, 0.3]), (2, [0.6, 0.3])]
    assert app.button(key="undo").disabled
    assert app.segmented_control(key="scope").value == "device"  # a price is no slider
    counted = outcome(2, 0.6, 0.3)
    assert headline(app, "At the edge")[1] == f"{sum(counted.exit_counts[:-1])} of 500"


def test_reset_sets_the_defaults_and_undo_takes_that_back(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3", scope="device")

    app.button(key="reset").click().run()
    reset = app.select_slider(key="bits").value, [slider.value for slider in app.slider]
    app.button(key="undo").click().run()

    assert reset == (4, [0.8, 0.8])
    assert app.select_slider(key="bits").value == 2
    assert [slider.value for slider in app.slider] == [0.6, 0.3]
    assert app.segmented_control(key="scope").value == "device"


def test_a_slider_that_cannot_matter_is_named(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.3")
    before = reach_line(app)

    app.slider(key="t1").set_value(0.0).run()

    reached = 500 - outcome(2, 0.6, 0.3).exit_counts[0]
    assert before == f"Images that reach each exit: Exit 1: 500 · Exit 2: {reached}."
    assert reach_line(app) == (
        "Images that reach each exit: Exit 1: 500 · Exit 2: 0. No image reaches Exit 2 at these "
        "thresholds, so its slider changes nothing."
    )
    app.segmented_control(key="sliders").set_value("one").run()
    assert "slider" not in reach_line(app)  # one for all always matters


def test_a_price_draws_only_the_figures_that_show_energy(
    explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "is_alive", lambda: True)
    monkeypatch.setattr(session, "follow_with", lambda *_: None)  # whole runs
    app = explore(**TOY)
    before = [chart.proto.spec for chart in app.get("plotly_chart")]

    app.select_slider(key="bits").set_value(4).run()
    app.slider(key="t1").set_value(0.4).run()
    moved = [chart.proto.spec for chart in app.get("plotly_chart")]
    app.segmented_control(key="scope").set_value("device").run()
    priced = [chart.proto.spec for chart in app.get("plotly_chart")]

    assert moved == before  # the follower moves what they show
    assert [old != new for old, new in zip(before, priced, strict=True)] == [
        True, False, False, True, False,
    ]  # fmt: skip


def test_the_bit_widths_on_offer_are_those_that_are_there(explore: Explore) -> None:
    app = explore(**TOY)

    assert app.select_slider(key="bits").options == ["1", "2", "4"]
    app.select_slider(key="bits").set_value(4).run()
    assert headline(app, "Accuracy")[0] == f"{100 * outcome(4, 0.8, 0.8).accuracy:.2f} %"


def test_another_network_brings_its_own_bit_widths_and_exits(explore: Explore) -> None:
    app = explore(network="trees-toy", bits="4")

    app.selectbox(key="network").set_value("trees-wide").run()

    assert not app.exception
    assert app.select_slider(key="bits").options == ["2", "8"]
    assert app.session_state["bits"] == 2
    assert [slider.key for slider in app.slider] == ["t1", "t2", "t3"]


def test_the_confidence_measure_decides_who_leaves(explore: Explore) -> None:
    app = explore(**TOY)

    app.selectbox(key="measure").set_value("entropy").run()

    counted = outcome(2, 0.8, 0.8, measure="entropy")
    assert headline(app, "At the edge")[1] == f"{sum(counted.exit_counts[:-1])} of 500"


def test_the_scope_stands_beside_the_reduction_and_changes_it(explore: Explore) -> None:
    app = explore(**TOY)
    before = headline(app, "Energy reduction")

    app.segmented_control(key="scope").set_value("device").run()

    assert before[1] == "compute"
    assert headline(app, "Energy reduction")[1] == "device"
    assert headline(app, "Energy reduction")[0] != before[0]
    # 3,072 bytes · 8 bit · 27 nJ = 663.552 µJ over Bluetooth LE
    energy = next(metric for metric in app.metric if metric.label == "Energy per image")
    assert energy.delta == "device"
    assert "sending the raw image is 664 µJ" in energy.proto.help


def test_another_hardware_profile_changes_the_energy(explore: Explore) -> None:
    app = explore(**TOY)
    before = headline(app, "Energy per image")

    app.selectbox(key="profile").set_value("horowitz-45nm-fp32").run()

    assert headline(app, "Energy per image")[0] != before[0]


def test_another_link_changes_the_latency_and_not_the_compute_energy(explore: Explore) -> None:
    app = explore(**TOY)
    energy, latency = headline(app, "Energy per image"), headline(app, "Mean latency")

    app.selectbox(key="link").set_value("lora-sf12").run()

    assert headline(app, "Energy per image") == energy
    assert headline(app, "Mean latency") != latency


@pytest.mark.parametrize(
    "query, words",
    [
        ({"network": "pixel"}, "No network is called 'pixel'"),
        ({"network": "trees-toy", "bits": "3"}, "'3' bits are not offered here"),
        ({"network": "trees-toy", "t1": "sure"}, "t1 = 'sure'"),
        ({"network": "trees-toy", "t1": "-0.1"}, "a threshold is a number from 0 to 1"),
        ({"network": "trees-toy", "t1": ""}, "a threshold is a number from 0 to 1"),
        ({"network": "trees-toy", "t2": "1.5"}, "a threshold is a number from 0 to 1"),
        ({"network": "trees-toy", "t1": "nan"}, "a threshold is a number from 0 to 1"),
        ({"network": "trees-toy", "t3": "0.5"}, "this network has 2 early exits"),
        ({"t": "sure"}, "t = 'sure'"),
        ({"profile": "abacus"}, "No hardware profile is called 'abacus'"),
        ({"link": "pigeon"}, "No link profile is called 'pigeon'"),
        ({"measure": "mood"}, "No confidence measure is called 'mood'"),
        ({"scope": "galaxy"}, "No scope is called 'galaxy'"),
        ({"sliders": "both"}, "No slider mode is called 'both'"),
    ],
)
def test_what_a_link_has_wrong_gives_one_sentence_and_a_working_page(
    explore: Explore, query: dict[str, str], words: str
) -> None:
    app = explore(**query)

    assert len(app.warning) == 1
    assert words in app.warning[0].value
    assert len(app.metric) == 6
    app.slider[0].set_value(0.3).run()
    app.run()
    assert not app.warning


def test_a_link_with_too_few_thresholds_takes_the_default_for_the_others(explore: Explore) -> None:
    app = explore(**TOY, t2="0.5")

    assert not app.warning
    assert [slider.value for slider in app.slider] == [0.8, 0.5]


def test_each_of_many_faults_of_a_link_has_its_own_sentence(explore: Explore) -> None:
    app = explore(network="trees-toy", bits="x", t1="2", t5="0.5", t6="0.5", scope="galaxy")

    assert len(app.warning) == 5
    assert len(app.metric) == 6


def test_a_missing_trace_is_said_with_the_command_that_records_it(explore: Explore) -> None:
    app = explore(network="trees-wide", bits="8")

    assert not app.exception
    assert "There is no trace of trees-wide hybrid-8bit on test" in app.warning[0].value
    app.select_slider(key="bits").set_value(2).run()
    assert len(app.metric) == 6


def test_a_damaged_trace_is_said_and_another_bit_width_still_works(
    explore: Explore, toy: Path
) -> None:
    (toy / "trees-toy" / "hybrid-1bit" / "trace-test.parquet").write_bytes(b"no Parquet")

    app = explore(network="trees-toy", bits="1")

    assert "is not a readable Parquet file" in app.warning[0].value
    app.select_slider(key="bits").set_value(2).run()
    assert len(app.metric) == 6


def test_an_empty_folder_says_how_to_get_a_network(
    explore: Explore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "nothing"))

    app = explore()

    assert "folder of pretrained networks has none that can be read" in app.info[0].value


def test_the_frontier_is_found_on_tune_and_shows_what_it_gives_on_test(explore: Explore) -> None:
    explore(**TOY)
    view = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8))

    found = next(f for f in load.frontiers(view) if f.bits == 2)

    spent = load.prices(view).costs.energy_pj
    tune = [policy.outcome(zoo.trace("trees-toy", "hybrid-2bit", "tune"), t)
            for t in found.thresholds.tolist()]  # fmt: skip
    on_tune = [(policy.mean_cost(np.array(o.exit_counts), spent), o.accuracy) for o in tune]
    for energy_pj, accuracy in on_tune:  # no other beats it where it was found
        assert not any(e <= energy_pj and a > accuracy for e, a in on_tune)
        assert not any(e < energy_pj and a >= accuracy for e, a in on_tune)
    test = [outcome(2, *thresholds) for thresholds in found.thresholds.tolist()]
    assert found.accuracy.tolist() == [one.accuracy for one in test]
    assert found.edge_fraction.tolist() == [one.edge_fraction for one in test]
    assert (np.diff(found.energy_pj) >= 0).all()


@pytest.mark.parametrize(
    "split, where",
    [("test", "tune"), ("mine", "mine"), ("mine-tune", "mine-tune"), ("mine-certify", "mine-tune")],
)
def test_the_frontier_is_found_on_other_images_where_there_are_others(
    explore: Explore, traces: object, split: str, where: str
) -> None:
    write_user_split("trees-toy", "mine")
    write_halves("trees-toy", "mine")
    explore(**TOY)
    view = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8), split=split)

    assert load.searched_split(view) == where
    assert len(load.frontiers(view)) > 1


def test_the_point_and_the_table_can_be_downloaded(explore: Explore) -> None:
    app = explore(**TOY)

    assert {button.proto.label for button in app.get("download_button")} == {
        "This point (JSON)",
        "This table (CSV)",
    }
    table = app.dataframe[0].value
    assert {"variant", "threshold_1", "accuracy", "energy_pj"} <= set(table.columns)
    assert {"hybrid-1bit", "hybrid-4bit", "static-32bit"} <= set(table["variant"])


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], str]]:
    """What each download button would hand out, by its key."""
    given: dict[str, Callable[[], str]] = {}

    def button(label: str, data: Callable[[], str], *, key: str, **_: object) -> None:
        given[key] = data

    monkeypatch.setattr(streamlit, "download_button", button)
    return given


def test_the_downloaded_point_is_what_the_policy_says_of_the_sliders(
    explore: Explore, handed_out: dict[str, Callable[[], str]]
) -> None:
    app = explore(**TOY, t1="0.6", t2="0.5")
    app.slider(key="t1").set_value(0.4567).run()

    point = json.loads(handed_out["explore_json"]())

    counted = outcome(2, 0.4567, 0.5)
    assert (point["network"], point["bits"]) == ("trees-toy", 2)
    assert point["thresholds"] == [0.4567, 0.5]
    assert point["exit_counts"] == list(counted.exit_counts)
    assert point["accuracy"] == counted.accuracy
    assert point["edge_fraction"] == counted.edge_fraction
    variant = zoo.variant("trees-toy", 2)
    costs = energy.costs(
        variant.layers,
        exits=variant.early_exits,
        uplink_bytes=variant.uplink_bytes,
        profile=energy.load_profile(energy.DEFAULT_PROFILE),
        link=energy.load_link(energy.DEFAULT_LINK),
        scope="compute",
        radio=True,
    )
    spent = sum(n * pj for n, pj in zip(counted.exit_counts, costs.energy_pj, strict=True))
    assert point["energy_pj"] == pytest.approx(spent / counted.samples, rel=1e-12)
    assert point["uplink_bytes"] == pytest.approx(
        counted.exit_counts[-1] * variant.uplink_bytes / counted.samples
    )


def test_every_row_of_the_downloaded_table_is_what_the_policy_says_of_its_thresholds(
    explore: Explore, handed_out: dict[str, Callable[[], str]]
) -> None:
    explore(**TOY)

    rows = list(csv.DictReader(io.StringIO(handed_out["explore_csv"]())))

    hybrids = [row for row in rows if row["variant"].startswith("hybrid")]
    assert len(hybrids) > 10
    for row in hybrids:
        bits = int(row["variant"].removeprefix("hybrid-").removesuffix("bit"))
        counted = outcome(bits, float(row["threshold_1"]), float(row["threshold_2"]))
        assert float(row["accuracy"]) == counted.accuracy
        assert float(row["edge_fraction"]) == counted.edge_fraction
    statics = {row["variant"]: row for row in rows if row["variant"].startswith("static")}
    twin = zoo.trace("trees-toy", "static-32bit")
    assert float(statics["static-32bit"]["accuracy"]) == twin.correct[:, -1].mean()


def test_the_better_point_of_the_chart_is_one_click_away(explore: Explore) -> None:
    app = explore(**TOY, t1="1.0", t2="1.0")  # all images go to the cloud
    view = View(network="trees-toy", bits=2, thresholds=(1.0, 1.0))
    counted = outcome(2, 1.0, 1.0)
    # the curves are cheaper and as accurate somewhere; the cheapest such point is named
    cheapest = min(
        (float(spent), one.bits, tuple(one.thresholds[m].tolist()), float(one.accuracy[m]))
        for one in load.frontiers(view)
        for m, spent in enumerate(one.energy_pj)
        if one.accuracy[m] >= counted.accuracy
    )
    spent, bits, thresholds, accuracy = cheapest
    said = next(one.value for one in app.caption if one.value.startswith("With "))
    assert f"With {bits} bit" in said
    assert f"{numbers.percent(accuracy, 2)} at {numbers.energy(spent)} per image (compute)" in said

    app.button(key=next(one.key for one in app.button if "better" in (one.key or ""))).click().run()

    assert app.session_state["bits"] == bits
    assert tuple(slider.value for slider in app.slider) == thresholds
    assert headline(app, "Energy per image")[0] == numbers.energy(spent)
    assert any(one.value.startswith("Nothing in the chart") for one in app.caption)
    assert not [one for one in app.button if "better" in (one.key or "")]


def test_every_chart_says_what_it_shows(explore: Explore) -> None:
    app = explore(**TOY)

    alts = [chart.proto.alt for chart in app.get("plotly_chart")]

    assert len(alts) == 5
    assert all(alts)


def test_explore_imports_no_torch(toy: Path, root: Path) -> None:
    script = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('app.py', default_timeout=60).run()\n"
        "assert not app.exception and len(app.metric) == 6\n"
        "assert not {'torch', 'torchvision', 'lightning'} & set(sys.modules)\n"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env=os.environ | {"HYBRID_PRETRAINED": str(toy)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
