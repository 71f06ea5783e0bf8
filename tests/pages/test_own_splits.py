"""Explore over a user's own splits: offered where there are some, honest where labels are none."""

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from hybrid import evaluation, policy, zoo
from hybrid.data import user_splits
from hybrid.text import numbers, point
from hybrid.ui.explore import bands
from hybrid.ui.view import View
from tests.own_images import write_user_split
from tests.pages.sheets import sheets

Explore = Callable[..., AppTest]
TOY = {"network": "trees-toy", "bits": "2", "t1": "0.6", "t2": "0.5"}
LIMITS = (0.6, 0.5)

pytestmark = pytest.mark.usefixtures("traces")


def headline(app: AppTest, label: str) -> tuple[str, str]:
    found = next(metric for metric in app.metric if metric.label == label)
    return found.value, found.delta


def said(app: AppTest) -> str:
    return "\n".join(str(one.value) for one in [*app.caption, *app.markdown, *app.warning])


def test_without_own_splits_nothing_is_offered(explore: Explore) -> None:
    app = explore(**TOY)

    assert "split" not in [box.key for box in app.selectbox]


def test_a_link_opens_an_own_split_and_its_figures_are_of_it(explore: Explore, toy: object) -> None:
    write_user_split("trees-toy", "mine")

    app = explore(**TOY, split="mine")

    counted = policy.outcome(zoo.trace("trees-toy", "hybrid-2bit", "mine"), LIMITS)
    leaving = sum(counted.exit_counts[:-1])
    twin = zoo.trace("trees-toy", "static-32bit", "mine").correct.mean()
    assert headline(app, "At the edge")[1] == f"{leaving} of 200"
    assert headline(app, "Accuracy")[0] == f"{100 * counted.accuracy:.2f} %"
    assert headline(app, "Accuracy")[1] == point.numbers.points(counted.accuracy - twin)
    assert sheets(app)  # its own pictures are here


def test_the_control_goes_back_to_the_test_split(explore: Explore, toy: object) -> None:
    write_user_split("trees-toy", "mine")
    app = explore(**TOY, split="mine")

    app.selectbox(key="split").set_value("test").run()

    assert headline(app, "At the edge")[1].endswith(" of 500")
    assert app.selectbox(key="split").options == ["Test split", "Yours: mine"]


def test_a_link_to_a_split_that_is_gone_is_one_sentence_and_the_test_split(
    explore: Explore,
) -> None:
    app = explore(**TOY, split="gone")

    assert [one.value for one in app.warning] == ["No split is called 'gone'; there are: test."]
    assert headline(app, "At the edge")[1].endswith(" of 500")


def test_another_network_without_that_split_shows_its_test_split(
    explore: Explore, toy: object
) -> None:
    write_user_split("trees-toy", "mine")
    app = explore(**TOY, split="mine")

    app.selectbox(key="network").set_value("trees-wide").run()

    assert not app.exception
    assert headline(app, "At the edge")[1].endswith(" of 500")


def test_without_labels_accuracy_is_unknown_and_the_rest_is_shown(
    explore: Explore, toy: object
) -> None:
    write_user_split("trees-toy", "mine", labelled=False)

    app = explore(**TOY, split="mine")

    recorded = zoo.trace("trees-toy", "hybrid-2bit", "mine")
    apart = evaluation.disagreement(recorded, LIMITS, "max_probability")
    counted = policy.outcome(recorded, LIMITS)
    assert headline(app, "Accuracy") == ("unknown", f"{100 * apart:.2f} % differ")
    leaving = sum(counted.exit_counts[:-1])
    assert headline(app, "At the edge")[1] == f"{leaving} of 200"
    assert point.UNLABELLED in said(app)
    flow = json.loads(app.get("plotly_chart")[1].proto.spec)["data"][0]["node"]["label"]
    assert flow[-2:] == [
        f"Same as cloud {numbers.percent(1 - apart)}",
        f"Different {numbers.percent(apart)}",
    ]
    assert app.session_state["explore_point"]["point"].as_row()["accuracy"] is None


def test_a_split_that_is_not_divided_certifies_nothing(explore: Explore, toy: object) -> None:
    write_user_split("trees-toy", "mine")

    app = explore(**TOY, split="mine")

    assert "Nothing is certified for the images of mine" in said(app)


def test_certificates_of_a_divided_split_rest_on_its_certify_half(toy: object) -> None:
    write_user_split("trees-toy", "mine-tune", purpose="tune", division="mine")
    view = View(network="trees-toy", bits=2, thresholds=LIMITS, split="mine-tune")
    assert bands.certify_split(view) is None

    write_user_split("trees-toy", "mine-certify", purpose="certify", division="mine", samples=150)

    assert bands.certify_split(view) == "mine-certify"
    assert (bands.band(view).split, bands.band(view).samples) == ("mine-certify", 150)


def test_without_labels_the_disagreement_is_certified(explore: Explore, toy: object) -> None:
    write_user_split("trees-toy", "mine-certify", labelled=False, purpose="certify")

    app = explore(**TOY, split="mine-certify")

    assert "of the answers differ from the network's final exit" in said(app)
    assert "on images like these (200 images)" in said(app)


def test_a_deleted_split_falls_back_to_the_test_split(explore: Explore, toy: object) -> None:
    write_user_split("trees-toy", "mine")
    app = explore(**TOY, split="mine")

    user_splits.delete("trees-toy", "mine")
    app.run()

    assert not app.exception
    assert headline(app, "At the edge")[1].endswith(" of 500")
