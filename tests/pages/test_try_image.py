"""Try an image: every source, what is shown of an image, and bad files among good ones."""

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from hybrid import data, zoo
from hybrid.data.photographs import photographs

NETWORK = "digits-vgg"


@pytest.fixture
def page(root: Path) -> AppTest:
    """The page as a newcomer finds it, on the network whose images are always there."""
    at = AppTest.from_file(str(root / "app.py"), default_timeout=120)
    at.query_params["network"] = NETWORK
    at.query_params["bits"] = "2"
    return at.switch_page(str(root / "pages" / "try_image.py")).run()


def choose(at: AppTest, source: str) -> AppTest:
    return at.segmented_control(key="try_source").select(source).run()


def metric(at: AppTest, label: str) -> str:
    (found,) = [one.value for one in at.metric if one.label == label]
    return str(found)


def words(at: AppTest) -> str:
    every = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error, *at.text]
    return "\n".join(str(element.value) for element in every)


def uploaded(at: AppTest, files: dict[str, bytes]) -> AppTest:
    choose(at, "upload")
    at.file_uploader(key="try_files").set_value(
        [(name, content, "image/png") for name, content in files.items()]
    )
    return at.run()


def picture(colour: str = "white") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_newcomer_sees_test_images_and_where_they_stop(page: AppTest) -> None:
    assert not page.exception
    assert len(page.dataframe[0].value) == 24
    assert metric(page, "Stops at") in {"Exit 1", "Exit 2", "Cloud"}
    assert metric(page, "Full-precision baseline") in zoo.card(NETWORK).classes
    assert page.dataframe[0].value["Truth"][0] == data.load("digits", "test").classes[0]


def test_the_thresholds_of_the_other_pages_decide_where_an_image_stops(page: AppTest) -> None:
    page.slider(key="t1").set_value(0.0).run()

    assert metric(page, "Stops at") == "Exit 1"
    assert metric(page, "Uplink") == "0 B"
    assert "Never called: stage 2, exit 2, stage 3, classifier." in words(page)

    page.slider(key="t1").set_value(1.0)
    page.slider(key="t2").set_value(1.0).run()

    assert metric(page, "Stops at") == "Cloud"
    assert metric(page, "Uplink") == f"{zoo.variant(NETWORK, 2).uplink_bytes}.0 B"
    assert "10 of 10 layers were called, 100.0 % of the multiply-accumulates" in words(page)


def test_an_exit_after_the_one_taken_is_shown_as_not_run(page: AppTest) -> None:
    page.slider(key="t1").set_value(0.0).run()

    assert words(page).count("Not run: the image had already been answered.") == 2


def test_a_photograph_is_shown_with_author_and_licence(page: AppTest) -> None:
    choose(page, "photographs")

    assert not page.exception
    assert photographs()[0].credit in words(page)
    picture = photographs()[0].read()
    seen, *original = page.get("image")
    assert "input: 8×8 pixels" in str(seen.proto)
    assert len(original) == (picture.width != picture.height)


def test_all_photographs_at_once_give_a_table(page: AppTest) -> None:
    choose(page, "photographs")
    page.segmented_control(key="try_photograph").select("All").run()

    assert list(page.dataframe[0].value["Image"]) == [p.title for p in photographs()]


def test_before_an_upload_the_page_says_what_to_do(page: AppTest) -> None:
    choose(page, "upload")

    assert not page.exception
    assert "Drop an image above" in words(page)


def test_an_upload_is_run_and_named(page: AppTest) -> None:
    uploaded(page, {"mine.png": picture()})

    assert metric(page, "Answer") in zoo.card(NETWORK).classes
    assert "mine.png" in [text.value for text in page.text]


def test_one_bad_file_among_good_ones_costs_none_of_them(page: AppTest) -> None:
    uploaded(page, {"a.png": picture(), "b.png": b"no image", "c.png": picture("black")})

    assert list(page.dataframe[0].value["Image"]) == ["a.png", "c.png"]
    assert "1 file could not be read" in words(page)
    assert "b.png is not a PNG, JPEG or other image that is read" in words(page)


def test_where_no_file_can_be_read_nothing_is_said_to_be_below(page: AppTest) -> None:
    uploaded(page, {"notes.png": b"no picture"})

    assert "1 file could not be read." in words(page)
    assert "are below" not in words(page)


def test_an_upload_stays_when_the_network_answers_another_question(page: AppTest) -> None:
    uploaded(page, {"mine.png": picture()})
    other = next(name for name in zoo.networks() if zoo.card(name).dataset != "digits")

    page.selectbox(key="network").set_value(other).run()

    assert page.segmented_control(key="try_source").value == "upload"
    assert "mine.png" in words(page)


def test_a_zip_gives_a_row_for_each_of_its_images(page: AppTest) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/a.png", picture())
        archive.writestr("../b.png", picture())
        archive.writestr("c.png", picture("black"))

    uploaded(page, {"all.zip": buffer.getvalue()})

    assert list(page.dataframe[0].value["Image"]) == ["x/a.png", "c.png"]
    assert "../b.png points outside its zip" in words(page)


def test_a_file_name_with_markdown_is_shown_as_it_is(page: AppTest) -> None:
    name = "**bold** :red[x].png"

    uploaded(page, {name: b"no image"})

    assert any(text.value.startswith(name) for text in page.text)
    assert not any(name in str(element.value) for element in [*page.warning, *page.markdown])


def test_ink_on_paper_is_inverted_for_a_network_of_light_digits(page: AppTest) -> None:
    uploaded(page, {"paper.png": picture("white"), "night.png": picture("black")})
    inverted = list(page.dataframe[0].value["Probability"])

    page.toggle(key="try_invert").set_value(False).run()

    assert list(page.dataframe[0].value["Probability"]) == inverted[::-1]


def test_missing_test_images_are_offered_and_the_rest_goes_on(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "available", lambda _: False)

    choose(page, "photographs")
    choose(page, "samples")
    assert "are not on this machine" in words(page)
    assert page.button(key="download_digits").label.startswith("Download ")

    choose(page, "photographs")
    assert metric(page, "Answer") in zoo.card(NETWORK).classes


def test_uploads_are_still_there_after_another_page_and_can_be_removed(
    page: AppTest, root: Path
) -> None:
    uploaded(page, {"mine.png": picture(), "bad.png": b"no image"})

    page.switch_page(str(root / "pages" / "networks.py")).run()
    page.switch_page(str(root / "pages" / "try_image.py")).run()

    assert "mine.png" in [text.value for text in page.text]
    assert "2 files of your earlier upload are still loaded." in words(page)
    page.button(key="try_remove").click().run()
    assert "Drop an image above" in words(page)


def test_a_file_taken_out_of_the_uploader_is_gone(page: AppTest) -> None:
    uploaded(page, {"mine.png": picture()})

    page.file_uploader(key="try_files").set_value([]).run()

    assert "Drop an image above" in words(page)


def test_a_picture_that_is_not_square_is_shown_whole_and_may_be_letterboxed(page: AppTest) -> None:
    buffer = io.BytesIO()
    Image.new("L", (90, 30), "black").save(buffer, "PNG")  # ink, which is inverted
    at = uploaded(choose(page, "upload"), {"wide": buffer.getvalue()})  # known by its content
    _, original = at.get("image")
    assert "framed: what the network gets" in str(original.proto)
    cropped = metric(at, "Energy (compute)"), at.get("plotly_chart")[0].proto.spec

    at.segmented_control(key="try_fit").select("letterbox").run()

    assert not at.exception
    assert (metric(at, "Energy (compute)"), at.get("plotly_chart")[0].proto.spec) != cropped
