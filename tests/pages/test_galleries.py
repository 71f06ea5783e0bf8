"""Images with captions, and the page that opens when one of them is clicked."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from hybrid import data, policy, zoo
from tests.pages.sheets import sheets

NETWORK = "digits-vgg"
Open = Callable[..., AppTest]


@pytest.fixture
def opened(root: Path) -> Open:
    """Open a page by a link."""

    def run(page: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=120)
        for key, value in ({"network": NETWORK, "bits": "2"} | query).items():
            app.query_params[key] = value
        if page != "explore":
            app.switch_page(str(root / "pages" / f"{page}.py"))
        return app.run()

    return run


def test_every_image_of_explore_has_its_caption_and_position(opened: Open) -> None:
    app = opened("explore", t1="0.6", t2="0.6")

    _, _, wrong = sheets(app)
    trace, classes = zoo.trace(NETWORK, "hybrid-2bit"), zoo.card(NETWORK).classes
    taken = policy.exits_taken(trace.confidences["max_probability"][:, :-1], (0.6, 0.6))
    assert wrong["positions"]
    for caption, position in zip(wrong["captions"], wrong["positions"], strict=True):
        answer = trace.classes[position, taken[position]]
        assert caption == f"{classes[trace.labels[position]]} taken for {classes[answer]}"


def test_the_strip_holds_the_images_at_their_positions(opened: Open) -> None:
    sheet = sheets(opened("explore"))[0]

    strip = np.array(Image.open(io.BytesIO(base64.b64decode(sheet["strip"].split(",")[1]))))

    images = data.load("digits", "test").images
    side = images.shape[1]
    assert sheet["positions"]
    for number, position in enumerate(sheet["positions"]):
        shown = strip[:, number * side : (number + 1) * side]
        assert (shown == images[position].squeeze()).all()


@pytest.mark.parametrize("position", [0, 200, 358])
def test_a_link_opens_an_image_of_the_test_split_in_try_an_image(
    opened: Open, position: int
) -> None:
    app = opened("try_image", image=f"test:{position}", t1="0.3")

    assert not app.exception
    assert f"digits test {position}" in [text.value for text in app.text]
    answer = next(metric for metric in app.metric if metric.label == "Answer")
    test = data.load("digits", "test")
    assert answer.delta == f"truth: {test.classes[test.labels[position]]}"
    assert app.slider(key="t1").value == 0.3
    assert not app.dataframe


def test_other_images_can_be_chosen_again(opened: Open) -> None:
    app = opened("try_image", image="test:7")

    app.button(key="try_other").click().run()

    assert "image" not in app.query_params
    assert len(app.dataframe[0].value) == 24


@pytest.mark.parametrize(
    "link, words",
    [
        ("test:359", "has images 0 to 358"),
        ("test:-1", "has images 0 to 358"),
        ("test:²", "has images 0 to 358"),
        ("test:" + "9" * 5000, "has images 0 to 358"),
        ("mine:3", "No split is called 'mine'"),
        ("7", "No split is called ''"),
        ("", "No split is called ''"),
    ],
)
def test_a_broken_link_to_an_image_is_one_sentence_and_a_way_on(
    opened: Open, link: str, words: str
) -> None:
    app = opened("try_image", image=link)

    assert not app.exception
    assert words in app.error[0].value
    app.button(key="try_other").click().run()
    assert not app.error
