"""Keep and compare on Explore, and the exported point on the command line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from hybrid import policy, zoo
from hybrid.cli.main import app as command

Explore = Callable[..., AppTest]
Handed = dict[str, Callable[[], str]]
TOY = {"network": "trees-toy", "bits": "2"}


def keep(app: AppTest, name: str) -> None:
    app.text_input(key="explore_kept_name").set_value(name)
    app.button(key="explore_kept_keep").click().run()


def kept(app: AppTest) -> Any:
    """The list of kept points."""
    return next(table.value for table in app.dataframe if "Name" in table.value.columns)


def link_of(app: AppTest) -> str:
    """The kept points in the address."""
    given = app.query_params.get("kept", "")
    return given if isinstance(given, str) else "".join(given)


def outcome(bits: int, *thresholds: float) -> policy.Outcome:
    return policy.outcome(zoo.trace("trees-toy", f"hybrid-{bits}bit"), thresholds)


@pytest.fixture
def handed_out(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """What each download button would hand out, by its key."""
    given: Handed = {}
    monkeypatch.setattr(
        streamlit, "download_button", lambda _, data, *, key, **__: given.update({key: data})
    )
    return given


def test_a_kept_point_is_listed_with_its_figures(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.5")

    keep(app, "cheap")
    app.slider(key="t1").set_value(0.9).run()
    keep(app, "")

    counted = outcome(2, 0.6, 0.5)
    table = kept(app)
    assert list(table["Name"]) == ["cheap", "Point 1"]
    assert list(table["Thresholds"]) == ["0.6, 0.5", "0.9, 0.5"]
    assert table["Accuracy (%)"][0] == 100 * counted.accuracy
    assert table["At the edge (%)"][0] == 100 * counted.edge_fraction


def test_kept_points_are_in_the_link_and_a_new_session_reads_them(explore: Explore) -> None:
    app = explore(**TOY, t1="0.6", t2="0.5")
    keep(app, "cheap")

    link = link_of(app)
    again = explore(**TOY, kept=link)

    assert link == "cheap~trees-toy~2~0.6_0.5"
    assert list(kept(again)["Name"]) == ["cheap"]


def test_kept_points_survive_a_change_of_page(explore: Explore) -> None:
    app = explore(**TOY)
    keep(app, "cheap")

    app.switch_page("pages/networks.py").run()
    assert link_of(app) == "cheap~trees-toy~2~0.8_0.8"
    app.switch_page("pages/explore.py").run()

    assert list(kept(app)["Name"]) == ["cheap"]


def test_a_hostile_link_is_a_sentence_and_a_working_page(explore: Explore) -> None:
    app = explore(**TOY, kept="<b>~oak~2~0.5_0.5*![x](y)*ok~trees-toy~1~0.1_0.2")

    assert not app.exception
    first, second = [text.value for text in app.text if "left out" in text.value]
    assert first.startswith("Kept point '<b>' was left out. No network is called 'oak'")
    assert second == "Kept point '![x](y)' was left out. It has no network."
    assert list(kept(app)["Name"]) == ["ok"]


def test_a_kept_point_is_renamed_opened_and_removed(explore: Explore) -> None:
    app = explore(**TOY, kept="far~trees-wide~2~0.1_0.2_0.3~scope.device")

    app.text_input(key="explore_kept_rename").set_value("near")
    app.button(key="explore_kept_renamed").click().run()
    app.button(key="explore_kept_open").click().run()

    assert list(kept(app)["Name"]) == ["near"]
    assert app.selectbox(key="network").value == "trees-wide"
    assert [slider.value for slider in app.slider] == [0.1, 0.2, 0.3]
    assert app.segmented_control(key="scope").value == "device"
    app.button(key="explore_kept_remove").click().run()
    assert not any("Name" in table.value.columns for table in app.dataframe)
    assert not link_of(app)


def test_two_points_stand_side_by_side_with_their_differences(explore: Explore) -> None:
    app = explore(**TOY, kept="a~trees-toy~2~0.6_0.5*b~trees-toy~4~0.9_0.9")

    app.selectbox(key="explore_kept_second").set_value("b").run()

    one, other = outcome(2, 0.6, 0.5), outcome(4, 0.9, 0.9)
    table = next(t.value for t in app.dataframe if "Difference" in t.value.columns)
    accuracy = table[table[""] == "Accuracy"].iloc[0]
    assert accuracy["a"].startswith(f"{100 * one.accuracy:.2f} %")
    assert accuracy["b"].startswith(f"{100 * other.accuracy:.2f} %")
    change = f"{100 * (other.accuracy - one.accuracy):+.2f} points".replace("-", "−")
    assert accuracy["Difference"] == change
    alts = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert len(alts) == 5 + 4  # curves, accuracies by class, and exits by class of each


def test_networks_with_other_images_have_no_difference_of_accuracies(
    explore: Explore, toy: Path
) -> None:
    card = toy / "trees-wide" / "card.toml"
    card.write_text(card.read_text().replace('dataset = "trees"', 'dataset = "bushes"'))
    link = "a~trees-toy~2~0.6_0.5*b~trees-wide~2~0.9_0.9_0.9~scope.device"
    app = explore(**TOY, kept=link)

    app.selectbox(key="explore_kept_second").set_value("b").run()

    table = next(t.value for t in app.dataframe if "Difference" in t.value.columns)
    without = table[table["Difference"] == "–"][""]
    assert list(without) == ["Accuracy", "Energy per image", "Energy reduction"]
    assert any("different images" in caption.value for caption in app.caption)


def test_a_point_without_a_trace_is_listed_without_figures(explore: Explore) -> None:
    app = explore(**TOY, kept="lost~trees-wide~8~0.1_0.2_0.3*here~trees-toy~2~0.6_0.5")

    assert not app.exception
    assert kept(app)["Accuracy (%)"].isna().tolist() == [True, False]


def test_all_points_are_exported_and_imported(explore: Explore, handed_out: Handed) -> None:
    link = "a~trees-toy~2~0.6_0.5*b~trees-wide~2~0.9_0.9_0.9~scope.device~sliders.one"
    link = link.replace("0.9_0.9_0.9", "0.9")
    explore(**TOY, kept=link)
    exported = handed_out["explore_kept_json"]()
    rows = list(csv.DictReader(io.StringIO(handed_out["explore_kept_csv"]())))

    app = explore(**TOY)
    app.file_uploader(key="explore_kept_import").upload("kept.json", exported.encode()).run()
    app.button(key="explore_kept_add").click().run()

    assert link_of(app) == link
    assert [row["name"] for row in rows] == ["a", "b"]
    assert float(rows[0]["accuracy"]) == outcome(2, 0.6, 0.5).accuracy
    assert [rows[0]["threshold_3"], rows[1]["threshold_3"]] == ["", "0.9"]


def test_the_point_of_explore_is_the_point_of_evaluate(
    explore: Explore, handed_out: Handed, tmp_path: Path
) -> None:
    explore(**TOY, t1="0.4567", t2="0.5", scope="device", measure="margin", link="lora-sf12")
    file = tmp_path / "point.json"
    file.write_text(handed_out["explore_json"]())
    shown = json.loads(file.read_text())

    ran = CliRunner().invoke(command, ["evaluate", "--point", str(file), "--json"])

    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told.keys() - shown.keys() == set()
    assert {key: shown[key] for key in told} == told
    assert (told["bits"], told["thresholds"], told["scope"]) == (2, [0.4567, 0.5], "device")
