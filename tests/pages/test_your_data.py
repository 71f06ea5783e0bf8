"""Your data through AppTest: zips good and bad, the recording, the kept split, its deletion."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from hybrid import policy, zoo
from hybrid.data import user_splits
from hybrid.ui import jobs
from hybrid.ui.images import contact_sheet
from hybrid.ui.server import access
from tests.own_images import digits, png, pngs, write_folder, write_user_split, zipped

NETWORK = "digits-vgg"

pytestmark = pytest.mark.usefixtures("traces")


@pytest.fixture
def page(root: Path) -> AppTest:
    """The page as a newcomer finds it."""
    st.cache_resource.clear()
    at = AppTest.from_file(str(root / "app.py"), default_timeout=120)
    at.query_params["network"] = NETWORK
    at.query_params["bits"] = "2"
    return at.switch_page(str(root / "pages" / "your_data.py")).run()


def upload(at: AppTest, files: dict[str, bytes]) -> AppTest:
    at.file_uploader(key="your_zip").set_value(("mine.zip", zipped(files), "application/zip"))
    return at.run()


def words(at: AppTest) -> str:
    every = [*at.markdown, *at.caption, *at.info, *at.warning, *at.error, *at.success, *at.text]
    return "\n".join(str(element.value) for element in every)


def record(at: AppTest, *, again: bool = True) -> AppTest:
    """Click Record and wait; then look again, as the page does by itself every second."""
    at.toggle(key="your_every").set_value(False).run()
    at.button(key="your_record").click().run()
    assert not at.exception
    for job in jobs.pool().alike("user split", NETWORK):
        assert job.wait(120)
    return at.run() if again else at


def table(at: AppTest, column: str) -> list[object]:
    return next(list(d.value[column]) for d in at.dataframe if column in d.value)


def metric(at: AppTest, label: str) -> tuple[str, str]:
    found = next(one for one in at.metric if one.label == label)
    return found.value, found.delta


def test_a_newcomer_is_told_what_to_give_and_the_command_for_more(page: AppTest) -> None:
    assert not page.exception
    assert "stay on the machine" in words(page)
    assert "hybrid import-images digits-vgg --images" in page.code[0].value


def test_a_zip_becomes_a_split_that_is_compared_with_the_test_split(page: AppTest) -> None:
    some = digits()
    upload(page, pngs(some))
    assert "**60 images**, 60 with one of 10 labels from their folders." in words(page)

    record(page)
    assert "Recorded and saved" in words(page)
    assert user_splits.names(NETWORK) == ["mine"]
    counted = policy.outcome(zoo.trace(NETWORK, "hybrid-2bit", "mine"), (0.8, 0.8))
    test = policy.outcome(zoo.trace(NETWORK, "hybrid-2bit"), (0.8, 0.8))
    assert metric(page, "Images") == ("60", "labelled")
    assert metric(page, "Accuracy") == (
        f"{100 * counted.accuracy:.2f} %", f"test images {100 * test.accuracy:.2f} %",
    )  # fmt: skip
    assert len(page.get("plotly_chart")) == 4
    assert all(chart.proto.alt for chart in page.get("plotly_chart"))


def test_a_recording_that_ends_while_its_form_is_drawn_is_shown(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = contact_sheet.show

    def late(*given: Any, **named: Any) -> Any:
        for job in jobs.pool().alike("user split", NETWORK):
            assert job.wait(120)
        return drawn(*given, **named)

    monkeypatch.setattr(contact_sheet, "show", late)
    upload(page, pngs(digits()))

    record(page, again=False)

    assert "Recorded and saved" in words(page)
    assert metric(page, "Images") == ("60", "labelled")


def test_a_second_recording_is_shown_when_it_has_ended_too(page: AppTest) -> None:
    upload(page, pngs(digits(20)))
    record(page)
    page.segmented_control(key=f"your_split_{NETWORK}").set_value("New split").run()
    upload(page, pngs(digits(30)))

    record(page)

    assert page.segmented_control(key=f"your_split_{NETWORK}").value == "mine-2"
    assert metric(page, "Images") == ("30", "labelled")


def test_an_unfinished_recording_can_be_discarded(
    page: AppTest, traces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "may_name_folders", lambda: True)
    draft = user_splits.draft_path(NETWORK, "mine", "0123")
    draft.mkdir(parents=True)
    (draft / "part-00000.npz").write_bytes(b"some images")

    page.run()
    assert "1 recording is unfinished" in words(page)
    page.button(key="your_discard").click().run()

    assert not draft.exists()
    assert "unfinished" not in words(page)


def test_a_visitor_from_elsewhere_discards_and_deletes_nothing_of_others(
    page: AppTest, traces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "may_name_folders", lambda: False)
    user_splits.draft_path(NETWORK, "other", "0123").mkdir(parents=True)
    write_user_split(NETWORK, "mine")

    page.run()
    unfinished = page.button(key="your_discard").proto.disabled
    page.segmented_control(key=f"your_split_{NETWORK}").set_value("mine").run()

    assert unfinished
    assert page.button(key="your_delete").proto.disabled


def test_a_split_that_another_session_has_deleted_is_said_and_the_page_goes_on(
    page: AppTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "may_name_folders", lambda: True)
    write_user_split(NETWORK, "mine")
    page.run()
    page.segmented_control(key=f"your_split_{NETWORK}").set_value("mine").run()

    user_splits.delete(NETWORK, "mine")
    page.button(key="your_delete").click().run()

    assert not page.exception
    assert "No user split is called 'mine'" in page.error[0].value
    assert "stay on the machine" in words(page)


def test_images_without_labels_have_an_unknown_accuracy(page: AppTest) -> None:
    upload(page, {f"{i}.png": png(image) for i, image in enumerate(digits(20).images)})
    assert "none with a label" in words(page)

    record(page)

    assert metric(page, "Accuracy")[0] == "unknown"
    recorded = zoo.trace(NETWORK, "hybrid-2bit", "mine")
    apart = 1 - policy.outcome(recorded.against_final, (0.8, 0.8)).accuracy
    assert metric(page, "Early answer differs")[0] == f"{100 * apart:.2f} %"
    assert len(page.get("plotly_chart")) == 2


def test_labels_in_other_spelling_and_others_are_matched_counted_and_left_out(
    page: AppTest,
) -> None:
    files = pngs(digits(40), {3: " 3_", 4: "four"})
    fours = sum(name.startswith("four/") for name in files)

    upload(page, files)

    assert dict(zip(table(page, "Label"), table(page, "Class"), strict=True))[" 3_"] == "3"
    assert f"{fours} of 40 images have no class of digits-vgg and will be left out" in words(page)
    assert page.button(key="your_record").label == f"Record {40 - fours} images"


def test_labels_that_match_nothing_can_be_turned_off(page: AppTest) -> None:
    upload(page, pngs(digits(20), dict.fromkeys(range(10), "animal")))
    assert page.button(key="your_record").label == "Record 20 images"  # without labels already

    use = next(toggle for toggle in page.toggle if toggle.label == "Use the labels")
    use.set_value(True).run()

    assert "No label is matched to a class of digits-vgg" in words(page)


def test_three_images_of_one_class_are_taken_with_two_cautions(page: AppTest) -> None:
    upload(page, {f"7/{i}.png": png(np.full((9, 30), 80 * i, np.uint8)) for i in range(3)})

    assert "3 images are few" in words(page)
    assert "All images are labelled 7" in words(page)
    record(page)
    assert user_splits.split(NETWORK, "mine").samples == 3


def test_a_corrupt_file_is_listed_and_costs_no_other(page: AppTest) -> None:
    upload(page, pngs(digits(20)) | {"7/broken.png": b"no image"})

    record(page)

    assert user_splits.split(NETWORK, "mine").samples == 20
    assert table(page, "Why") == [
        "7/broken.png is not a PNG, JPEG or other image that is read; save it as PNG or JPEG."
    ]


@pytest.mark.parametrize(
    "files, sentence",
    [({}, "mine.zip holds no images; give PNG"), ({"a.txt": b"x"}, "mine.zip holds no images")],
)
def test_a_zip_without_images_is_one_sentence(
    page: AppTest, files: dict[str, bytes], sentence: str
) -> None:
    upload(page, files)

    assert not page.exception
    assert sentence in page.error[0].value


def test_a_name_that_cannot_be_is_one_sentence_and_nothing_is_lost(page: AppTest) -> None:
    upload(page, pngs(digits(20)))
    name = next(one for one in page.text_input if one.label == "Name of the split")

    name.set_value("test").run()
    page.button(key="your_record").click().run()

    assert "test is a split of the data set" in page.error[0].value
    assert page.button(key="your_record").label == "Record 20 images"


def test_only_a_browser_on_this_machine_may_name_its_folders(page: AppTest) -> None:
    assert "your_source" not in [one.key for one in page.segmented_control]


def test_a_folder_of_this_machine_is_read_where_it_lies(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "may_name_folders", lambda: True)
    folder = write_folder(tmp_path / "photos", pngs(digits(20)))
    page.run()
    page.segmented_control(key="your_source").set_value("folder").run()

    page.text_input(key="your_folder").set_value(str(tmp_path / "none")).run()
    assert "There is no folder or zip" in page.error[0].value
    page.text_input(key="your_folder").set_value(str(folder)).run()

    assert "**20 images**, 20 with one of 10 labels from their folders." in words(page)


def test_a_divided_zip_is_two_splits_and_both_can_be_deleted(page: AppTest) -> None:
    upload(page, pngs(digits(40)))
    page.toggle(key="your_divide").set_value(True).run()

    record(page)

    assert user_splits.names(NETWORK) == ["mine-certify", "mine-tune"]
    for _ in range(2):
        page.segmented_control(key=f"your_split_{NETWORK}").set_value(
            user_splits.names(NETWORK)[0]
        ).run()
        page.button(key="your_delete").click().run()
    assert not page.exception
    assert user_splits.names(NETWORK) == []


def test_a_bit_width_that_was_not_recorded_can_be_recorded_later(page: AppTest) -> None:
    upload(page, pngs(digits(20)))
    record(page)

    page.select_slider(key="bits").set_value(4).run()
    assert "There is no trace of digits-vgg hybrid-4bit on mine" in words(page)
    page.button(key="your_more").click().run()
    for job in jobs.pool().alike("user split", NETWORK):
        assert job.wait(120)
    page.run()

    assert metric(page, "Images") == ("20", "labelled")


def test_ignored_files_and_the_columns_of_a_table_are_named(page: AppTest) -> None:
    files = {f"mine/{n}.png": data for n, data in enumerate(pngs(digits(9)).values())}
    rows = "".join(f"{n}.png,{n % 3}\n" for n in range(9))
    clutter = {"mine/@eaDir/0.png": b"x", "mine/notes.txt": b"x"}

    upload(page, files | clutter | {"mine/labels.csv": f"file,label\n{rows}".encode()})

    assert "**9 images**, 9 with one of 3 labels from the table." in words(page)
    said = [text.value for text in page.text]
    assert "Labels: column 'label' of the table, files: column 'file'." in said
    assert "2 other files or folders were ignored (1 .txt, 1 @eaDir)." in said


def test_pictures_that_are_not_square_are_recorded_as_chosen(page: AppTest) -> None:
    wide = np.zeros((30, 90), np.uint8)
    wide[:, 30:60] = 255  # all that a crop leaves
    upload(page, {f"{n % 2}/{n}.png": png(wide) for n in range(4)})
    assert "4 of the 4 are not square. The network gets the largest square" in words(page)

    next(c for c in page.segmented_control if c.key.startswith("your_fit")).select(
        "letterbox"
    ).run()
    record(page)

    about = user_splits.split(NETWORK, "mine")
    (part,) = user_splits.parts(about)
    assert about.fit == "letterbox"
    assert (part.images[:, :2] == 0).all()
    assert (part.images[:, -2:] == 0).all()
