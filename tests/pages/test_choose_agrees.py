"""One point, everywhere: Choose, its report, its file, `evaluate --point` and Explore agree."""

import html
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from hybrid.cli.main import app as cli

QUERY = {"network": "trees-toy", "loss": "20", "confidence": "90", "energy_uj": "10"}
LIMITS = ("--max-loss", "20", "--confidence", "0.9", "--max-energy-uj", "10")


def chosen(folder: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The words of the report, the contents of the file, and the JSON of `evaluate --point`."""
    point, report = folder / "point.toml", folder / "report.html"
    words = ("choose", "trees-toy", *LIMITS, "--out", str(point), "--report", str(report))
    made = CliRunner().invoke(cli, words)
    assert made.exit_code == 0, made.output
    said = CliRunner().invoke(cli, ("evaluate", "--point", str(point), "--json"))
    text = report.read_text()
    return text, tomllib.loads(point.read_text()), json.loads(said.stdout)


def opened(root: Path) -> AppTest:
    """Choose, opened by a link with the same limits."""
    page = AppTest.from_file(str(root / "app.py"), default_timeout=120)
    page.query_params.update(QUERY)
    return page.switch_page("pages/choose.py").run()


def cells(report: str, row: str) -> dict[str, str]:
    """The figures in a row of the report's first table, by column."""
    table = report[report.index("<table>") : report.index("</table>")]
    head = re.findall(r"<th>(.*?)</th>", table)
    line = next(one for one in table.split("<tr>") if f"<td>{row}</td>" in one)
    return dict(zip(head, map(html.unescape, re.findall(r"<td>(.*?)</td>", line)), strict=True))


def boxes(page: AppTest) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in page.metric:
        found.setdefault(one.label, one.value)
    return found


def test_page_report_file_evaluate_and_explore_show_the_same_point(
    toy: Path, root: Path, explore: Callable[..., AppTest]
) -> None:
    report, point, evaluated = chosen(toy)
    choose = opened(root)
    thresholds = {f"t{i}": str(t) for i, t in enumerate(point["thresholds"], start=1)}
    shown = explore(network="trees-toy", bits=str(point["bits"]), **thresholds)

    figures = point["figures"]["test"]
    assert evaluated["accuracy"] == figures["accuracy"]
    assert evaluated["energy_pj"] == figures["energy_pj"]
    assert evaluated["uplink_bytes"] == figures["uplink_bytes"]
    assert evaluated["exit_fractions"] == figures["exit_fractions"]
    accuracy, energy = f"{100 * figures['accuracy']:.2f} %", f"{figures['energy_pj'] / 1e6:.2f} µJ"
    reported = cells(report, "On test")
    reported["Energy per image"] = reported["Energy per image (compute)"]
    for of in (boxes(choose), boxes(shown), reported):
        assert (of["Accuracy"], of["Energy per image"]) == (accuracy, energy)
    assert boxes(choose)["Mean latency"] == boxes(shown)["Mean latency"]
    assert boxes(choose)["Mean latency"] == reported["Mean latency"]
    assert boxes(choose)["Uplink"] == reported["Uplink per image"]
    assert boxes(choose)["Points lost"] == reported["Accuracy lost"].removesuffix(" points")
    assert boxes(choose)["Points lost"] == f"{figures['loss_points']:.2f}"


def test_certificate_and_command_are_the_same_on_page_report_and_file(
    toy: Path, root: Path
) -> None:
    report, point, _ = chosen(toy)
    page = opened(root)

    sentence = next(one.value for one in page.info if "With 90 % confidence" in one.value)

    assert html.escape(sentence) in report
    assert point["certificate"]["bound_points"] == 20
    command = point["origin"]["command"]
    assert f"<pre>{html.escape(command)}</pre>" in report
    again = CliRunner().invoke(cli, (*command.split()[1:], "--json"))
    assert json.loads(again.stdout)["best"]["thresholds"] == point["thresholds"]


def test_explore_shows_the_certificate_of_a_point_that_choose_certified(
    toy: Path, root: Path
) -> None:
    page = opened(root)
    sentence = next(one.value for one in page.info if "With 90 % confidence" in one.value)
    page.button(key="choose_open").click().run()
    kept = page.session_state["choose_certified"]
    point = next(iter(kept.values()))
    there = {f"t{i}": str(t) for i, t in enumerate(point.thresholds, start=1)}
    elsewhere = there | {"t1": "0.5"}

    shown, moved = (
        explore_with(root, kept, {"network": "trees-toy", "bits": str(point.bits)} | at)
        for at in (there, elsewhere)
    )

    assert f":material/verified: Certified by Choose. {sentence}" in captions(shown)
    assert not any("Certified by Choose" in words for words in captions(moved))


def explore_with(root: Path, kept: Any, query: dict[str, str]) -> AppTest:
    """Explore in a session that has opened a point from Choose."""
    page = AppTest.from_file(str(root / "app.py"), default_timeout=120)
    page.session_state["choose_certified"] = kept
    page.query_params.update(query)
    page.run()
    assert not page.exception
    return page


def captions(page: AppTest) -> list[str]:
    return [one.value for one in page.caption]
