"""Choose through AppTest: limits, the answer, links right and wrong, and what cannot be kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from hybrid import choosing
from hybrid.choosing import Limits
from hybrid.text import candidate, numbers
from hybrid.ui.choose.query import NUMBERS
from tests.own_images import write_halves
from tests.ui.synthetic import add_form

Open = Callable[..., AppTest]
LOOSE = {"network": "trees-toy", "loss": "20", "confidence": "90"}


@pytest.fixture
def opened(toy: Path, root: Path) -> Open:
    """Open Choose by a link; its query as keywords."""

    def run(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
        for key, value in query.items():
            app.query_params[key] = value
        app.switch_page("pages/choose.py").run()
        assert not app.exception
        return app

    return run


def best(**limits: Any) -> choosing.Point:
    found = choosing.choose(choosing.collect_candidates(["trees-toy"]), Limits(**limits)).best
    assert found is not None
    return found


def said(app: AppTest) -> str:
    every = (*app.text, *app.caption, *app.info, *app.warning, *app.error, *app.markdown)
    return "\n".join(str(one.value) for one in every)


def metric(app: AppTest, label: str) -> str:
    return str(next(one for one in app.metric if one.label == label).value)


def note(app: AppTest, label: str) -> str:
    return str(next(one for one in app.metric if one.label == label).delta)


def test_the_answer_is_the_librarys(opened: Open) -> None:
    app = opened(**LOOSE, energy_uj="10")

    point = best(max_loss_points=20, confidence=0.9, max_energy_uj=10)
    assert ", ".join(f"{t:g}" for t in point.thresholds) in said(app)
    assert point.test is not None
    assert metric(app, "Accuracy") == f"{100 * point.test.accuracy:.2f} %"
    assert note(app, "Accuracy") == f"tune {100 * point.tune.accuracy:.2f} %"
    assert "With 90 % confidence, it loses at most 20 points" in app.info[0].value
    assert "test images, which were not used for choosing" in said(app)


def test_a_limit_moves_the_answer(opened: Open) -> None:
    app = opened(network="trees-toy", confidence="")

    app.number_input(key="choose_loss").set_value(5.0).run()

    point = best(max_loss_points=5, confidence=None)
    assert point.test is not None
    assert metric(app, "Points lost") == f"{point.test.loss_points:.2f}"
    assert not app.info


def test_a_battery_says_how_many_days_it_lasts(opened: Open) -> None:
    app = opened(**LOOSE, images_per_day="100000", battery_mah="220", battery_volts="3")

    point = best(
        max_loss_points=20, confidence=0.9, images_per_day=100_000, battery_mah=220, battery_volts=3
    )
    assert point.test is not None
    assert point.test.days is not None
    assert metric(app, "Battery lasts") == f"{int(point.test.days):,} days"
    assert any("covers these images only" in one.value for one in app.caption)


def test_what_was_left_out_stands_with_its_reason(opened: Open) -> None:
    app = opened(**LOOSE, energy_uj="10")

    table = next(one.value for one in app.table if "Why" in one.value.columns)
    assert list(table.columns) == ["Candidate", "Energy on tune (compute)", "Why"]
    assert table["Why"].iloc[0] == "the choice"
    row = table[table["Candidate"].str.contains("every image to the cloud")].iloc[0]
    # 20.496 µJ of MACs at 3.2 pJ: 400,000 + 3 × 2,000,000 + 5,000
    assert row["Why"] == "energy per image 20.5 µJ (limit 10.0 µJ)"


def test_limits_that_nobody_keeps_name_the_nearest_miss(opened: Open) -> None:
    app = opened(network="trees-toy", loss="0", energy_uj="0.5")

    assert "No network meets all limits. The nearest miss is trees-toy" in app.warning[0].value
    assert not app.metric
    assert [b.proto.label for b in app.get("download_button")] == ["Report (HTML)"]


def test_own_images_decide_where_they_were_recorded_in_two_halves(
    opened: Open, traces: Path
) -> None:
    write_halves("trees-toy")
    app = opened(network="trees-toy", loss="30", confidence="")

    app.selectbox(key="choose_images").set_value("mine").run()

    found = choosing.choose(
        choosing.collect_candidates(["trees-toy"], images="mine"),
        Limits(max_loss_points=30, confidence=None),
    ).best
    assert found is not None
    assert metric(app, "Accuracy") == f"{100 * found.tune.accuracy:.2f} %"
    assert "Chosen on mine-tune." in said(app)
    app.number_input(key="choose_confidence").set_value(90.0).run()
    assert "Chosen on mine-tune, certified on mine-certify." in said(app)
    assert app.query_params["images"] in ("mine", ["mine"])


def test_a_link_to_own_images_that_are_gone_is_one_sentence(opened: Open) -> None:
    app = opened(network="trees-toy", images="gone")

    assert "No divided split of your images is called 'gone'" in app.warning[0].value
    assert app.selectbox(key="choose_images").value == ""


def test_the_network_of_the_sidebar_is_chosen_among_where_one_alone_was(opened: Open) -> None:
    app = opened(**LOOSE)

    app.selectbox(key="network").set_value("trees-wide").run()
    assert app.multiselect(key="choose_among").value == ["trees-wide"]

    app.multiselect(key="choose_among").set_value(["trees-wide", "trees-toy"]).run()
    app.selectbox(key="network").set_value("trees-toy").run()
    assert app.multiselect(key="choose_among").value == ["trees-wide", "trees-toy"]


def test_two_networks_compete(opened: Open) -> None:
    app = opened(**LOOSE, among="trees-toy,trees-wide")

    assert any("trees-wide" in one.value.to_string() for one in app.table)


@pytest.mark.parametrize(
    "query, words",
    [
        ({"loss": "much"}, "The link has loss = 'much'"),
        ({"loss": "nan"}, "that is a number of 0 to 100; 1 is used instead."),
        ({"latency_ms": "inf"}, "that is a number of 0 or more; no limit is set instead."),
        ({"among": "pixel"}, "No network is called 'pixel'"),
        ({"under": "abacus"}, "No hardware profile is called 'abacus'"),
    ],
)
def test_what_a_link_has_wrong_is_one_sentence_and_goes_at_the_first_change(
    opened: Open, query: dict[str, str], words: str
) -> None:
    app = opened(network="trees-toy", **query)

    assert [words in one.value for one in app.warning].count(True) == 1
    app.number_input(key="choose_loss").set_value(30.0).run()
    assert not any(words in one.value for one in app.warning)


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("loss", 500.0, "500 is not possible: give 0 to 100, or leave it empty."),
        ("loss", -1.0, "-1 is not possible"),
        ("confidence", 100.0, "100 is not possible: give 1 to 99.9"),
        ("confidence", 0.95, "This is in percent: give 95 instead of 0.95."),
        ("battery_mah", -220.0, "-220 is not possible"),
    ],
)
def test_a_limit_that_makes_no_sense_has_a_sentence_and_takes_the_answer_away(
    opened: Open, key: str, value: float, words: str
) -> None:
    app = opened(**LOOSE)
    assert app.metric

    field = app.number_input(key=f"choose_{key}").set_value(value)
    field.run()

    assert sum(words in one.value for one in app.markdown) == 1
    assert [one.value for one in app.warning] == [
        f"Nothing was chosen. First correct {field.label} above."
    ]
    assert not app.metric
    assert not app.table
    assert not app.get("plotly_chart")
    assert not app.get("download_button")

    app.number_input(key=f"choose_{key}").set_value(None).run()
    assert app.metric
    assert not any("Nothing was chosen" in one.value for one in app.warning)


def test_every_number_can_be_emptied_and_the_link_keeps_it_empty(opened: Open) -> None:
    app = opened(network="trees-toy", energy_uj="1000")

    for key in ("loss", "confidence", "energy_uj"):
        app.number_input(key=f"choose_{key}").set_value(None).run()

    assert [app.number_input(key=f"choose_{key}").value for key in NUMBERS] == [None] * len(NUMBERS)
    kept = {key: "".join(app.query_params.get(key, "absent")) for key in NUMBERS}
    assert kept.pop("loss") == kept.pop("confidence") == ""
    assert set(kept.values()) == {"absent"}
    metric(app, "Accuracy")


def test_the_battery_decides_once_it_is_whole_and_takes_nothing_away_before(opened: Open) -> None:
    app = opened(**LOOSE, battery_mah="220")

    assert app.info[0].value.startswith(
        "The battery is taken into account once Images per day and Battery (V) are given"
    )
    metric(app, "Accuracy")  # the answer to the other limits stands
    app.number_input(key="choose_images_per_day").set_value(100_000.0).run()
    assert "taken into account once Battery (V) is given too" in app.info[0].value

    app.number_input(key="choose_battery_volts").set_value(3.0).run()
    assert not any("taken into account" in one.value for one in app.info)
    metric(app, "Battery lasts")


def test_nothing_to_choose_among_is_one_sentence(opened: Open) -> None:
    app = opened(**LOOSE)

    app.multiselect(key="choose_among").set_value([]).run()

    assert "No network was named to choose among" in app.error[0].value


def test_the_point_can_be_downloaded_and_every_chart_says_what_it_shows(opened: Open) -> None:
    app = opened(**LOOSE)

    labels = [button.proto.label for button in app.get("download_button")]
    assert labels == ["operating-point.toml", "Report (HTML)"]
    charts = app.get("plotly_chart")
    assert len(charts) == 4
    assert all(chart.proto.alt for chart in charts)
    lines = json.loads(charts[2].proto.spec)["data"][0]
    assert [d["label"] for d in lines["dimensions"]][:3] == ["Mode", "Bits", "Lost (points)"]


def test_the_certificate_of_a_point_that_is_opened_in_explore_is_kept(opened: Open) -> None:
    app = opened(**LOOSE, energy_uj="10")
    point = best(max_loss_points=20, confidence=0.9, max_energy_uj=10)
    sentence = next(one.value for one in app.info if "With 90 % confidence" in one.value)

    app.button(key="choose_open").click().run()

    kept = app.session_state["choose_certified"]
    at = (point.network, "trained", point.bits, point.thresholds, point.measure)
    assert set(kept) == {(*at, split) for split in ("tune", "certify", "test")}
    assert {one.sentence for one in kept.values()} == {sentence}


def test_explore_has_no_point_of_a_static_network(opened: Open) -> None:
    app = opened(network="trees-toy", loss="0", confidence="")

    assert app.button(key="choose_open").disabled


def test_another_reference_is_the_first_thing_said_after_a_network_is_added(opened: Open) -> None:
    app = opened(network="trees-wide", loss="20", confidence="90", among="trees-wide")
    alone = reference("trees-wide")
    both = reference("trees-wide", "trees-toy")
    assert alone != both

    app.multiselect(key="choose_among").set_value(["trees-wide", "trees-toy"]).run()

    assert app.info[0].value.startswith(
        f"The reference changed: losses on trees are now counted against {both[1]} of {both[0]}, "
        f"before against {alone[1]} of {alone[0]}."
    )
    app.number_input(key="choose_loss").set_value(25.0).run()
    assert app.info[0].value.startswith("The reference changed")


def reference(*networks: str) -> tuple[str, str]:
    return choosing.collect_candidates(networks).references["trees"]


def test_the_answer_without_the_certificate_and_its_cost_stand_beside_the_answer(
    opened: Open,
) -> None:
    app = opened(network="trees-toy", loss="10", confidence="95")
    answer = choosing.choose(choosing.collect_candidates(["trees-toy"]), Limits(max_loss_points=10))
    assert answer.best is not None
    assert answer.without is not None
    assert answer.certificate_cost_pj

    cost = numbers.energy(answer.best.tune.energy_pj - answer.without.tune.energy_pj)
    assert f"The certificate costs {cost} per image" in said(app)
    assert candidate.short(answer.without) in said(app)
    values = [one.value for one in app.metric if one.label == "Energy per image"]
    assert values == [numbers.energy(one.shown.energy_pj) for one in (answer.best, answer.without)]


def test_the_curve_draws_the_least_energy_of_each_loss_and_marks_the_limit(opened: Open) -> None:
    app = opened(**LOOSE)
    field = choosing.collect_candidates(["trees-toy"])
    figure = json.loads(app.get("plotly_chart")[0].proto.spec)
    drawn = {trace["name"]: trace for trace in figure["data"]}

    curve = choosing.loss_curve(field, Limits(max_loss_points=20, confidence=0.9))

    assert list(drawn) == ["With the certificate", "Without it"]
    table = next(one.value for one in app.table if "Without it" in one.value.columns)
    assert len(table) == len(curve.allowed_points)
    row = table[table["Accuracy that may be lost"] == "20.00 points"].iloc[0]
    answer = best(max_loss_points=20, confidence=0.9)
    assert row["With the certificate"] == numbers.energy(answer.tune.energy_pj)
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [20]


def test_as_deployed_only_forms_and_the_twin_take_part(opened: Open, toy: Path) -> None:
    add_form(toy, "trees-toy", bits=4)

    app = opened(**LOOSE, energy_uj="10", **{"as": "deployed"})

    assert "trees-toy, deployed 4 bit" in said(app)
    assert "hybrid 4 bit" not in said(app)
    assert app.checkbox(key="choose_deployed").value


def test_as_deployed_without_a_form_names_the_command_that_makes_it(opened: Open) -> None:
    app = opened(**LOOSE, **{"as": "deployed"})

    assert "hybrid freeze trees-toy" in said(app)
