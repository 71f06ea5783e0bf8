"""Uploads: an image or a zip of images, each file read or refused in one sentence."""

import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hybrid.data.images import Picture, Rejected
from hybrid.data.sources import uploads
from hybrid.data.sources.uploads import read_upload
from tests.own_images import encoded, photograph, zipped


def pictures(results: list[Picture | Rejected]) -> list[str]:
    return [result.name for result in results if isinstance(result, Picture)]


def sentences(results: list[Picture | Rejected]) -> list[str]:
    return [result.sentence for result in results if isinstance(result, Rejected)]


def test_one_image_gives_one_picture() -> None:
    (result,) = read_upload("cat.png", encoded(photograph(), "PNG"))

    assert isinstance(result, Picture)
    assert result.name == "cat.png"


def test_one_bad_file_in_a_zip_costs_no_other() -> None:
    good = encoded(photograph(), "PNG")

    results = read_upload("all.zip", zipped({"a.png": good, "b.png": b"bad", "sub/c.png": good}))

    assert pictures(results) == ["a.png", "sub/c.png"]
    assert sentences(results) == [
        "b.png is not a PNG, JPEG or other image that is read; save it as PNG or JPEG."
    ]


@pytest.mark.parametrize(
    "name", ["../up.png", "/root.png", "a/../../b.png", "..\\up.png", "C:\\b.png", "C:b.png"]
)
def test_a_path_outside_the_zip_is_refused(name: str) -> None:
    good = encoded(photograph(), "PNG")

    results = read_upload("all.zip", zipped({name: good, "good.png": good}))

    assert pictures(results) == ["good.png"]
    assert sentences(results) == [f"{name} points outside its zip; pack it under a plain name."]


def test_a_zip_in_a_zip_is_not_unpacked() -> None:
    inner = zipped({"a.png": encoded(photograph(), "PNG")})

    results = read_upload("all.zip", zipped({"inner.zip": inner}))

    assert sentences(results) == [
        "inner.zip is a zip, not an image; unpack it and give its images."
    ]


def test_of_a_thousand_files_the_first_are_read_and_the_rest_is_counted() -> None:
    good = encoded(Image.new("L", (8, 8)), "PNG")

    results = read_upload("all.zip", zipped({f"{n:04}.png": good for n in range(1000)}))

    assert len(pictures(results)) == uploads.MAX_FILES
    (sentence,) = sentences(results)
    assert sentence.startswith("all.zip holds 1,000 files and only the first 200 were read; pack")


def test_what_systems_add_to_a_zip_is_passed_over() -> None:
    files = {
        "a.png": encoded(photograph(), "PNG"),
        "folder/": b"",
        "__MACOSX/._a.png": b"x",
        ".DS_Store": b"x",
        "folder/Thumbs.db": b"x",
    }

    results = read_upload("all.zip", zipped(files))

    assert [result.name for result in results] == ["a.png"]


def test_a_zip_that_unpacks_to_too_much_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    good = encoded(photograph(), "BMP")
    monkeypatch.setattr(uploads, "MAX_UNPACKED_BYTES", 2 * len(good))

    results = read_upload(
        "all.zip", zipped({f"{n}.bmp": good for n in range(4)}, compression=zipfile.ZIP_DEFLATED)
    )

    assert pictures(results) == ["0.bmp", "1.bmp"]
    assert len(sentences(results)) == 2
    assert "split the zip" in sentences(results)[0]


def test_a_huge_file_in_a_small_zip_is_read_no_further_than_allowed() -> None:
    data = zipped({"zeros.bmp": bytes(100_000_000)}, compression=zipfile.ZIP_DEFLATED)
    assert len(data) < 200_000

    results = read_upload("all.zip", data)

    assert sentences(results) == ["zeros.bmp is larger than 64 MB; save a smaller copy."]


def test_an_encrypted_file_says_so() -> None:
    data = bytearray(zipped({"a.png": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag of both headers

    results = read_upload("all.zip", bytes(data))

    assert sentences(results) == ["a.png is encrypted; pack it without a password."]


@pytest.mark.parametrize(
    "data, sentence",
    [
        (zipped({}), "all.zip holds no files; pack images into it."),
        (
            zipped({"a": b"b"})[:20],
            "all.zip is not an intact zip; pack the images into a zip again.",
        ),
    ],
    ids=["empty", "damaged"],  # a zip's bytes have the time in them, which no two workers share
)
def test_a_zip_with_nothing_to_read_says_why(data: bytes, sentence: str) -> None:
    assert sentences(read_upload("all.zip", data)) == [sentence]


@given(
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
@settings(max_examples=200)
def test_a_damaged_zip_gives_pictures_or_sentences(
    cut: float, changes: list[tuple[float, int]]
) -> None:
    good = encoded(Image.new("L", (8, 8)), "PNG")
    data = bytearray(zipped({f"{n}.png": good for n in range(4)}, compression=zipfile.ZIP_LZMA))
    for where, value in changes:
        data[int(where * len(data))] = value

    results = read_upload("all.zip", bytes(data[: int(cut * len(data))]))

    assert {type(result) for result in results} <= {Picture, Rejected}
