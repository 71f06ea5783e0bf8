"""Folders and zips of classes, as strangers pack them: `hybrid.data.image_folders`."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.data import image_folders, load
from hybrid.data.image_folders import ClassFolders, Pixels
from hybrid.errors import SourceError
from tests.own_images import png, write_folder, zipped

GREY = png(np.full((9, 9), 100, np.uint8))


def found(where: Path) -> ClassFolders:
    with image_folders.opened(where) as inside:
        return inside


def read(where: Path, *, size: int = 8, channels: int = 3) -> Pixels:
    with image_folders.opened(where) as inside:
        return image_folders.read(inside, inside.pool("train"), size=size, channels=channels)


def test_pictures_of_every_mode_and_size_become_what_a_viewer_shows(tmp_path: Path):
    """Each is one colour, which is known; the turned one is white above and black below."""
    (tmp_path / "any").mkdir()
    wide, high = (40, 12), (9, 30)
    rgba = Image.new("RGBA", high, (0, 0, 255, 255))
    rgba.paste((0, 0, 0, 0), (0, 0, 9, 30))  # wholly transparent: white paper shows
    palette = Image.new("P", wide, 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    turned = Image.new("RGB", (20, 20), "white")
    turned.paste("black", (0, 0, 10, 20))  # its left half, which is below once turned
    exif = Image.Exif()
    exif[0x0112] = 8  # shown a quarter turn to the left
    pictures = {
        "1-grey.png": (Image.new("L", high, 100), {}, (100, 100, 100)),
        "2-clear.png": (rgba, {}, (255, 255, 255)),
        "3-palette.gif": (palette, {}, (10, 200, 30)),
        "4-ink.jpg": (Image.new("CMYK", wide, (0, 255, 255, 0)), {}, (255, 0, 0)),
        "5-deep.png": (Image.fromarray(np.full((12, 40), 25_700, np.uint16)), {}, (100,) * 3),
        "6-bit.png": (Image.new("1", wide, 1), {}, (255, 255, 255)),
        "7-turned.jpg": (turned, {"exif": exif, "quality": 95}, None),
    }
    for name, (picture, how, _) in pictures.items():
        picture.save(tmp_path / "any" / name, **how)

    pixels = read(tmp_path)

    assert pixels.skipped == ()
    assert pixels.images.shape == (7, 8, 8, 3)
    for image, (_, _, colour) in zip(pixels.images, pictures.values(), strict=True):
        if colour is not None:
            assert np.abs(image.astype(int) - colour).max() <= 3  # what JPEG changes
    assert pixels.images[6][:3].min() > 200
    assert pixels.images[6][-3:].max() < 50


def test_what_cannot_be_read_is_listed_with_its_reason_and_costs_no_other(tmp_path: Path):
    noise = png(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8))
    write_folder(
        tmp_path,
        {
            "cat/cut.png": noise[: len(noise) // 2],
            "cat/empty.png": b"",
            "cat/good.png": GREY,
            "cat/tiny.png": png(np.zeros((2, 2), np.uint8)),
            "dog/good.png": GREY,
            "dog/words.jpg": b"these are words",
            "loose.png": GREY,
        },
    )

    pixels = read(tmp_path)

    assert pixels.labels.tolist() == [0, 1]
    assert {one.name: one.sentence.partition(";")[0] for one in pixels.skipped} == {
        "loose.png": "loose.png is not in a class's folder",
        "cat/cut.png": "cat/cut.png is damaged or cut short",
        "cat/empty.png": "cat/empty.png is empty",
        "cat/tiny.png": "cat/tiny.png has 2 × 2 pixels",
        "dog/words.jpg": "dog/words.jpg is not a PNG, JPEG or other image that is read",
    }


def test_a_folder_around_the_classes_is_looked_through_and_an_empty_class_is_one(tmp_path: Path):
    files = {"mine/cat/1.png": GREY, "mine/dog/1.png": GREY, "__MACOSX/mine/cat/._1.png": b"x"}
    (tmp_path / "mine.zip").write_bytes(zipped(files))
    write_folder(tmp_path / "plain", {"cat/1.png": GREY, "dog/old/1.png": GREY})
    (tmp_path / "plain" / "eel").mkdir()

    assert found(tmp_path / "mine.zip").classes == ("cat", "dog")
    assert found(tmp_path / "plain").classes == ("cat", "dog", "eel")
    assert read(tmp_path / "plain").labels.tolist() == [0, 1]


def test_a_test_folder_may_spell_its_classes_in_another_case(tmp_path: Path):
    files = {"train/cat/1.png": GREY, "train/dog/1.png": GREY, "test/Dog/1.png": GREY}
    inside = found(write_folder(tmp_path, files | {"other/cat/1.png": GREY}))

    assert inside.classes == ("cat", "dog")
    assert [label for _, label in inside.pools["test"]] == [1]
    assert [one.name for one in inside.refused] == ["other/cat/1.png"]


@pytest.mark.parametrize(
    "parts",
    [
        ("training_set", "test_set", "single_prediction"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train2017", "val2017"),
        ("Train-Images", "Valid-Images", "Testing Images"),
        ("train", "test_data"),
    ],
)
def test_parts_may_have_the_names_that_data_sets_give_them(parts: tuple[str, ...], tmp_path: Path):
    files = {f"{part}/{name}/1.png": GREY for part in parts for name in ("cat", "dog")}
    inside = found(write_folder(tmp_path, files))

    assert inside.classes == ("cat", "dog")
    assert "train" in inside.pools
    assert len(inside.pools) == len(parts) - ("single_prediction" in parts)


def test_a_name_of_several_words_beside_other_classes_is_one(tmp_path: Path):
    files = {f"{name}/1.png": GREY for name in ("train set", "doll", "ball")}

    assert found(write_folder(tmp_path, files)).classes == ("ball", "doll", "train set")


def test_rows_of_a_table_say_the_classes_where_there_is_one(tmp_path: Path):
    files = {"a/1.png": GREY, "a/2.png": GREY, "a/4.png": GREY, "b/3.png": GREY}
    table = b"file,label\na/1.png,dog\na/2.png,cat\na/4.png,dog\n"
    where = write_folder(tmp_path, files | {"labels.csv": table})
    pixels = read(where)

    assert found(where).classes == ("cat", "dog")
    assert pixels.labels.tolist() == [1, 0, 1]
    assert "b/3.png has no row in labels.csv" in pixels.skipped[0].sentence


@pytest.mark.parametrize(
    "files, sentence",
    [
        ({"Cat/1.png": GREY, "cat/2.png": GREY}, "one class in two ways, Cat and cat; put their"),
        (
            {"train/cat/1.png": GREY, "train/dog/1.png": GREY, "test/Katze/1.png": GREY},
            r"test/Katze in .* is not a class of train/, which has cat, dog; rename it",
        ),
        ({"cat/notes.txt": b"x"}, "holds no images; give PNG"),
    ],
)
def test_folders_that_say_no_classes_are_one_sentence(
    files: dict[str, bytes], sentence: str, tmp_path: Path
):
    with pytest.raises(SourceError, match=sentence) as caught:
        read(write_folder(tmp_path, files))

    assert "\n" not in str(caught.value)


TRAIN, VAL, TEST = ("train", "Training"), ("val", "VALID", "validation"), ("test", "Testing")
PAIRS = ((TRAIN, VAL), (TRAIN, TEST), (VAL, TEST))
EVERY_PAIR = [pair for one, other in PAIRS for pair in product(one, other)]


@pytest.mark.parametrize("names", [*EVERY_PAIR, *product(TRAIN, VAL, TEST)])
@pytest.mark.parametrize("inside", ["", "mine/", "archive/PetImages/"])
@pytest.mark.parametrize("below", [False, True])
def test_folders_that_divide_images_are_no_classes(
    names: tuple[str, ...], inside: str, below: bool, tmp_path: Path
):
    files = {
        f"{inside}{f'{name}/{part}' if below else f'{part}/{name}'}/{n}.png": GREY
        for part in names
        for name in ("ant", "bee")
        for n in range(2)
    }

    source = found(write_folder(tmp_path, files))

    assert source.classes == ("ant", "bee")
    assert source.refused == ()
    assert {len(pool) for pool in source.pools.values()} == {4}
    assert len(source.pools) == len(names)


@pytest.mark.parametrize("name", ["train", "val", "valid", "validation", "test", "Testing"])
def test_a_single_folder_around_the_classes_divides_nothing(name: str, tmp_path: Path):
    files = {f"{name}/ant/1.png": GREY, f"{name}/bee/1.png": GREY}

    source = found(write_folder(tmp_path, files))

    assert (source.classes, list(source.pools)) == (("ant", "bee"), [""])


def test_trains_beside_buses_are_a_class_and_tests_are_none(tmp_path: Path):
    files = {"bus/1.png": GREY, "train/1.png": GREY}
    assert found(write_folder(tmp_path / "one", files)).classes == ("bus", "train")

    files = {"bus/1.png": GREY, "car/1.png": GREY, "test/1.png": GREY}
    source = found(write_folder(tmp_path / "other", files))
    assert source.classes == ("bus", "car")
    assert [one.name for one in source.refused] == ["test/1.png"]


def test_tune_and_certify_come_from_val_and_the_training_images_stay_for_training(tmp_path: Path):
    def shade(number: int) -> bytes:
        return png(np.full((9, 9), number, np.uint8))

    files = {}
    for start, (part, count) in zip((0, 50), (("train", 20), ("val", 16)), strict=True):
        for name in ("ant", "bee"):
            for n in range(count):
                number = start + n + (100 if name == "bee" else 0)
                files[f"{part}/{name}/{n:02}.png"] = shade(number)
    write_folder(tmp_path, files)

    splits = {
        split: load(tmp_path, split, size=8, channels=1)
        for split in ("train", "tune", "certify", "test")
    }

    assert {name: len(split.labels) for name, split in splits.items()} == {
        "train": 40, "tune": 8, "certify": 8, "test": 16,
    }  # fmt: skip
    shades = {name: {int(i.mean()) for i in one.images} for name, one in splits.items()}
    assert all(shade % 100 < 50 for shade in shades["train"])
    assert all(shade % 100 >= 50 for name in ("tune", "certify", "test") for shade in shades[name])
    assert len(set().union(*shades.values())) == 40 + 32  # no image is in two


def test_the_key_changes_with_a_file_and_with_nothing_else(tmp_path: Path):
    write_folder(tmp_path, {"cat/1.png": GREY, "dog/1.png": GREY})

    before = found(tmp_path).key("")
    same = found(tmp_path).key("")
    write_folder(tmp_path, {"cat/2.png": GREY})

    assert before == same != found(tmp_path).key("")


def test_more_than_memory_holds_is_one_sentence(tmp_path: Path):
    write_folder(tmp_path, {"cat/1.png": GREY})

    with pytest.raises(SourceError, match=r"The 1 images of .* do not fit into memory"):
        read(tmp_path, size=2**30)


def test_a_test_folder_is_set_apart_even_where_train_has_no_image(tmp_path: Path):
    for name in ("elm", "oak"):
        (tmp_path / "train" / name).mkdir(parents=True)
        write_folder(tmp_path / "test" / name, {"a.png": GREY, "b.png": GREY})

    inside = found(tmp_path)

    assert inside.classes == ("elm", "oak")
    assert {pool: len(entries) for pool, entries in inside.pools.items()} == {"train": 0, "test": 4}
