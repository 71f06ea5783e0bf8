"""Splits: written down, disjoint, stratified, and the same whatever order the source has."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hybrid import data
from hybrid.data import cifar, datasets
from hybrid.errors import DataMissingError, UnknownNameError
from tests.cifar_files import some_part, write_batches, write_grids


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads what another left in the cache; the real images stay where they are."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def sizes(name: str) -> list[int]:
    return [len(data.load(name, split).labels) for split in data.SPLITS]


def test_digits_are_there_with_no_download_in_four_parts() -> None:
    assert data.available("digits")
    assert sizes("digits") == [1078, 180, 180, 359]  # 60, 10, 10 and 20 % of 1,797


def test_digits_are_scikit_learns_with_white_at_255() -> None:
    from sklearn.datasets import load_digits

    splits = [data.load("digits", split) for split in data.SPLITS]

    ours = sorted(
        (int(label), image.tobytes())
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    )
    bunch = load_digits()
    theirs = sorted(
        (int(label), bytes(min(int(value) * 16, 255) for value in image.ravel()))
        for image, label in zip(bunch.images, bunch.target, strict=True)
    )
    assert ours == theirs  # no digit is lost, none is in two splits


def test_a_network_sees_one_grey_channel_of_8_by_8_pixels_in_digits() -> None:
    split = data.load("digits", "tune")

    assert split.images.shape == (180, 8, 8, 1)
    assert split.images.dtype == np.uint8
    assert split.labels.dtype == np.int64
    assert split.classes == tuple("0123456789")


@pytest.mark.parametrize("name, per_class", [("cifar10", 5000), ("cifar100", 500)])
def test_the_written_positions_are_those_that_seed_0_draws(name: str, per_class: int) -> None:
    classes = 10 if name == "cifar10" else 100
    labels = np.repeat(np.arange(classes), per_class)  # the canonical order is by class
    rng = np.random.default_rng(0)

    drawn = data.draw_splits(labels, data.DATASETS[name].fractions, rng=rng)

    written = datasets.stored_splits(name).positions
    assert sorted(written) == ["certify", "tune"]
    for split, positions in written.items():
        np.testing.assert_array_equal(positions, drawn[split])
        assert len(positions) == 2500
        counts = np.bincount(labels[positions])
        assert set(counts) == {2500 // classes}  # as many of each class


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(0, 2**32 - 1))
def test_drawn_splits_share_nothing_and_lose_nothing(labels: list[int], seed: int) -> None:
    fractions = {"train": 0.6, "tune": 0.1, "certify": 0.1, "test": 0.2}

    parts = data.draw_splits(np.array(labels), fractions, rng=np.random.default_rng(seed))

    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))


@given(st.integers(0, 2**32 - 1))
def test_the_canonical_order_does_not_depend_on_the_order_of_the_source(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 3, (30, 2, 2, 1), dtype=np.uint8)  # few values: some are equal
    labels = rng.integers(0, 3, 30)
    shuffled = rng.permutation(30)

    first, second = (
        (some[order], of_some[order])
        for some, of_some in [(images, labels), (images[shuffled], labels[shuffled])]
        for order in [data.canonical_order(some, of_some)]
    )

    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (np.diff(first[1]) >= 0).all()


def test_both_sources_of_cifar_give_the_same_image_at_every_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"train": some_part(images=200, seed=4), "test": some_part(images=50, seed=5)}
    order = data.canonical_order(*parts["train"])
    labels = parts["train"][1][order]
    drawn = data.draw_splits(
        labels, data.DATASETS["cifar10"].fractions, rng=np.random.default_rng(0)
    )
    written = datasets.StoredSplits(
        key="synthetic",
        classes=tuple("abcdefghij"),
        pixels_sha256={
            part: datasets.pixels_sha256(images[o], of[o])
            for part, (images, of) in parts.items()
            for o in [data.canonical_order(images, of)]
        },
        positions={split: drawn[split] for split in ("tune", "certify")},
    )
    monkeypatch.setattr(datasets, "stored_splits", lambda _: written)

    loaded = []
    for write in (write_batches, write_grids):
        folder = tmp_path / write.__name__
        folder.mkdir()
        write(folder, parts)
        monkeypatch.setenv("HYBRID_DATA", str(folder))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        loaded.append([data.load("cifar10", split) for split in data.SPLITS])

    for one, other in zip(*loaded, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert [len(split.labels) for split in loaded[0]] == [180, 10, 10, 50]


def test_changed_pixels_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_batches(tmp_path, {part: some_part(images=50, seed=6) for part in cifar.PARTS})
    monkeypatch.setenv("HYBRID_DATA", str(tmp_path))

    with pytest.raises(DataMissingError, match="incomplete or changed; delete it"):
        data.load("cifar10", "test")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.images(name)) for name in ("cifar10", "cifar100")],
)
def test_the_real_images_are_complete_and_stratified(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")  # unpacking takes seconds; its result is checksummed

    split = {key: data.load(name, key) for key in data.SPLITS}

    assert [len(s.labels) for s in split.values()] == [45_000, 2_500, 2_500, 10_000]
    for part in split.values():
        assert len(set(np.bincount(part.labels))) == 1
        assert part.images.shape[1:] == (32, 32, 3)
        assert len(part.classes) == part.labels.max() + 1


def test_the_second_time_comes_from_the_cache_and_is_the_same(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = data.load("digits", "test")
    monkeypatch.setattr(datasets, "_read_digits", lambda: pytest.fail("read again"))

    second = data.load("digits", "test")

    np.testing.assert_array_equal(first.images, second.images)
    assert len(list((own_cache / "hybrid").iterdir())) == 4  # one a split, no half files


def test_a_damaged_cache_file_is_replaced(own_cache: Path) -> None:
    first = data.load("digits", "test")
    (kept,) = (own_cache / "hybrid").glob("digits-test-*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])

    second = data.load("digits", "test")

    np.testing.assert_array_equal(first.images, second.images)
    assert len(kept.read_bytes()) == len(whole)


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made there

    assert len(data.load("digits", "test").labels) == 359


def test_missing_data_says_where_it_was_sought_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_DATA", str(tmp_path))

    assert not data.available("cifar10")
    with pytest.raises(DataMissingError, match=r"`hybrid download .* HYBRID_DATA") as caught:
        data.load("cifar10", "test")
    assert str(tmp_path) in str(caught.value)


def test_without_a_named_folder_data_lies_in_the_users_cache(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYBRID_DATA", raising=False)

    assert data.data_folder() == own_cache / "hybrid" / "data"


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean cifar10"):
        data.load("cifar-10", "test")
    with pytest.raises(UnknownNameError, match="certify, test, train, tune"):
        data.load("digits", "validation")
    with pytest.raises(UnknownNameError, match="Did you mean cifar10"):
        data.download("cifar-10")


def write_folder(folder: Path, *, per_class: int) -> None:
    rng = np.random.default_rng(7)
    for name in ("bee", "ant"):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.PNG")


def test_an_image_folder_is_divided_by_class(tmp_path: Path) -> None:
    write_folder(tmp_path, per_class=10)

    splits = {split: data.load(tmp_path, split) for split in data.SPLITS}

    assert {split: len(part.labels) for split, part in splits.items()} == {
        "train": 12,
        "tune": 2,
        "certify": 2,
        "test": 4,
    }
    assert splits["test"].classes == ("ant", "bee")
    assert splits["test"].images.shape == (4, 32, 32, 3)
    every = {image.tobytes() for part in splits.values() for image in part.images}
    assert len(every) == 20


def test_a_test_folder_set_apart_stays_the_test_split(tmp_path: Path) -> None:
    write_folder(tmp_path / "train", per_class=20)
    write_folder(tmp_path / "test", per_class=3)

    counts = {
        split: len(data.load(tmp_path, split, size=8, channels=1).labels) for split in data.SPLITS
    }

    assert counts == {"train": 36, "tune": 2, "certify": 2, "test": 6}


def test_a_folder_without_images_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="holds no images; give PNG, JPEG"):
        data.load(tmp_path, "train")


def test_a_folder_with_too_few_images_for_a_split_says_so(tmp_path: Path) -> None:
    write_folder(tmp_path, per_class=1)

    with pytest.raises(DataMissingError, match="too few images for the split certify; add more"):
        data.load(tmp_path, "certify")


def test_a_bad_picture_in_a_folder_is_listed_and_the_others_are_used(
    own_cache: Path, tmp_path: Path
) -> None:
    write_folder(tmp_path / "photos", per_class=10)
    (tmp_path / "photos" / "ant" / "bad.png").write_bytes(b"not an image")

    first = data.load(tmp_path / "photos", "train")
    again = data.load(tmp_path / "photos", "train")  # from the cache

    assert len(list((own_cache / "hybrid").glob("photos-train-*.npz"))) == 1
    assert len(first.labels) == 12
    for split in (first, again):
        assert [one.name for one in split.skipped] == ["ant/bad.png"]
        assert "bad.png is not a PNG" in split.skipped[0].sentence
    np.testing.assert_array_equal(first.images, again.images)


def test_a_zip_of_class_folders_is_divided_like_the_folder(tmp_path: Path) -> None:
    write_folder(tmp_path / "photos", per_class=10)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "photos")

    for split in data.SPLITS:
        of_folder, of_zip = (data.load(p, split) for p in (tmp_path / "photos", packed))

        np.testing.assert_array_equal(of_folder.images, of_zip.images)
        np.testing.assert_array_equal(of_folder.labels, of_zip.labels)
        assert of_folder.classes == of_zip.classes
