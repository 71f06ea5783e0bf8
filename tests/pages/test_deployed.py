"""Explore and deployment forms: the figures of the form, and the bundle of the present point."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from hybrid import policy, zoo
from tests.deploy.frozen import frozen, frozen_once
from tests.ui.synthetic import add_form

__all__ = ["frozen", "frozen_once"]

Explore = Callable[..., AppTest]
TOY = {"network": "trees-toy", "bits": "2"}


def captions(app: AppTest) -> list[str]:
    return [one.value for one in app.caption if one.value.startswith("**As deployed**")]


def test_the_forms_figures_are_shown_beside_those_of_the_trained_network(
    explore: Explore, toy: Path
) -> None:
    add_form(toy, "trees-toy", bits=2)

    app = explore(**TOY, t1="0.6", t2="0.5")

    counted = policy.outcome(zoo.trace("trees-toy", "deployed-2bit"), (0.6, 0.5))
    (shown,) = captions(app)
    assert f"{100 * counted.accuracy:.2f} % correct" in shown
    assert f"{100 * counted.edge_fraction:.2f} % at the edge" in shown


def test_as_deployed_all_figures_are_those_of_the_form(explore: Explore, toy: Path) -> None:
    add_form(toy, "trees-toy", bits=2)
    add_form(toy, "trees-toy", bits=1, of=4)  # which answers otherwise

    app = explore(**TOY, t1="0.6", t2="0.5", form="deployed")
    app.select_slider(key="bits").set_value(1).run()

    counted = policy.outcome(zoo.trace("trees-toy", "deployed-1bit"), (0.6, 0.5))
    other = policy.outcome(zoo.trace("trees-toy", "hybrid-1bit"), (0.6, 0.5))
    assert counted.accuracy != other.accuracy
    shown = {one.label: one.value for one in app.metric}
    assert shown["Accuracy"] == f"{100 * counted.accuracy:.2f} %"
    assert app.select_slider(key="bits").options == ["1", "2"]
    assert not app.exception
    lines = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert lines


def test_the_bounds_of_the_form_come_from_its_own_certify_split(
    explore: Explore, toy: Path
) -> None:
    add_form(toy, "trees-toy", bits=2)
    trained = explore(**TOY, t1="0.6", t2="0.5")

    app = explore(**TOY, t1="0.6", t2="0.5", form="deployed")

    def bound(one: AppTest) -> str:
        return next(c.value for c in one.caption if "For all settings at once" in c.value)

    assert bound(app) == bound(trained)  # the made-up form answers like the trained network
    told = next(
        c.value for c in app.caption if "were not used for choosing" in c.value.replace("\n", " ")
    )
    assert "the deployment forms of trees-toy" in told


def test_as_deployed_is_on_offer_only_where_there_is_a_form(explore: Explore, toy: Path) -> None:
    add_form(toy, "trees-toy", bits=2)
    app = explore(**TOY, form="deployed")
    assert app.segmented_control(key="form").value == "deployed"

    app.selectbox(key="network").set_value("trees-wide").run()

    assert not app.exception
    assert "form" not in {one.key for one in app.segmented_control}


def test_without_a_form_the_button_names_the_command_that_makes_it(explore: Explore) -> None:
    app = explore(**TOY)

    button = app.button(key="explore_no_bundle")
    assert button.disabled
    assert "hybrid freeze trees-toy --bits 2" in button.help
    assert captions(app) == []


def test_the_downloaded_bundle_is_that_of_the_sliders(
    frozen: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Callable[[], bytes]] = {}
    monkeypatch.setattr(
        streamlit, "download_button", lambda _, data, *, key, **__: given.update({key: data})
    )
    app = AppTest.from_file(str(root / "app.py"), default_timeout=100)
    app.session_state["explore_downloads"] = True
    app.query_params.update({"network": "digits-vgg", "bits": "4", "t1": "0.9", "t2": "0.8"})
    app.run()
    assert not app.exception

    with zipfile.ZipFile(io.BytesIO(given["explore_bundle"]())) as archive:
        manifest = json.loads(archive.read("digits-vgg-bundle/manifest.json"))

    assert [one["threshold"] for one in manifest["exits"]] == [0.9, 0.8]
    assert manifest["certificates"]["cloud_down"]["split"] == "certify"
