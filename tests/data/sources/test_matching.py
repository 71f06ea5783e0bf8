"""Tables of labels joined to files: every usual spelling of a name, and no guesses."""

import csv
import io
import unicodedata
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.data.sources import tables
from hybrid.data.sources.matching import Joined, join
from hybrid.data.sources.tables import read_table
from hybrid.errors import SourceError

FILES = ["train/Käfer 1.png", "train/Löwe 2.png", "val/Käfer 3.png"]
WORDS = ("bug", "lion", "bug")

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda name: name,
    "./ before": lambda name: f"./{name}",
    "backslashes": lambda name: name.replace("/", "\\"),
    "other case": str.upper,
    "without the folder": lambda name: name.partition("/")[2],
    "without the suffix": lambda name: name.removesuffix(".png"),
    "an id": lambda name: name.partition("/")[2].removesuffix(".png"),
    "absolute": lambda name: f"/home/me/data/{name}",
    "absolute on Windows": lambda name: "C:\\Users\\me\\" + name.replace("/", "\\"),
    "another root": lambda name: f"data/images/{name}",
    "decomposed": lambda name: unicodedata.normalize("NFD", name),
    "composed": lambda name: unicodedata.normalize("NFC", name),
    "spaces around": lambda name: f"  {name} ",
}


def table(rows: list[tuple[str, ...]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("composition", ["NFC", "NFD"])
def test_a_name_in_any_spelling_means_its_file(spelling: str, composition: str) -> None:
    files = [unicodedata.normalize(composition, file) for file in FILES]
    rows = [(SPELLINGS[spelling](file), word) for file, word in zip(FILES, WORDS, strict=True)]

    assert join(table([("file", "label"), *rows]), files).words == WORDS
    assert join(table(rows), files).words == WORDS


@given(st.permutations(range(6)), st.sampled_from(sorted(SPELLINGS)), st.sampled_from(",;\t|"))
def test_rows_and_columns_may_be_in_any_order(
    order: list[int], spelling: str, delimiter: str
) -> None:
    files = [f"{folder}/{number}.png" for folder in ("a", "b") for number in range(3 * 2)][::2]
    rows = [(str(i % 3), "7", SPELLINGS[spelling](files[i])) for i in order]
    if spelling in {"without the folder", "an id"}:  # then two files have each name
        with pytest.raises(SourceError, match="names none of the images"):
            join(table([("label", "width", "path"), *rows], delimiter), files)
        return

    joined = join(table([("label", "width", "path"), *rows], delimiter), files)

    assert joined.words == tuple(str(i % 3) for i in range(6))


def test_a_base_name_means_a_file_only_where_it_is_unique() -> None:
    files = ["a/1.png", "b/1.png", "b/2.png"]

    assert join(b"1.png,cat\nx/2.png,dog\n", files).words == (None, None, "dog")
    assert join(b"b/1.png,cat\n", files).words == (None, "cat", None)
    assert join(b"z/b/1.png,cat\nq/a/1.png,dog\n", files).words == ("dog", "cat", None)


def test_the_same_case_and_the_whole_path_decide_between_two() -> None:
    assert join(b"a.png,cat\nA.png,dog\n", ["A.png", "a.png"]).words == ("dog", "cat")
    assert join(b"1.png,cat\n", ["1.png", "a/1.png"]).words == ("cat", None)


def test_an_id_that_two_files_have_means_neither() -> None:
    assert join(b"1,cat\n2,dog\n", ["1.jpg", "1.png", "2.png"]).words == (None, None, "dog")


def test_a_file_that_two_rows_claim_is_the_nearer_ones_or_nobodys() -> None:
    files = ["b/1.png", "b/2.png"]

    near = join(b"a/1.png,cat\nb/1.png,dog\n2.png,cow\n", files)
    equal = join(b"a/1.png,cat\nc/1.png,dog\n2.png,cow\n", files)

    assert near.words == ("dog", "cow")
    assert equal.words == (None, "cow")


KAGGLE = b"Width,Height,Roi.X1,Roi.Y1,ClassId,Label,Path\n5,6,1,1,9,2,Train/2/1.png\n"
HEADINGS = [
    (KAGGLE, "'Label'", "'Path'"),
    (b"Filename;Width;Roi.X1;Category\n1.png;5;1;2\n", "'Category'", "'Filename'"),
    (b"id,breed\n1,2\n", "'breed'", "'id'"),
    (b"path,class_id,class_name\n1,7,2\n", "'class_name'", "'path'"),
    (b"image,level\n1,2\n", "'level'", "'image'"),
    (b"image_id,whatever\n1,2\n", "'whatever'", "'image_id'"),
    (b",file,label\n0,1.png,2\n", "'label'", "'file'"),
    (b"id,path,label\n17,a/1.png,2\n", "'label'", "'path'"),
    (b"# by a tool\n#file,label,score\n1.png,2,0.5\n", "'label'", "'file'"),
    (b"was,label\n1.png,2\n", "'label'", "'was'"),  # only one other column is there
    (b"a,was,label\n9,1.png,2\n", "'label'", "'was'"),  # only one column names files
]


@pytest.mark.parametrize("data, label, file", HEADINGS)
def test_the_columns_that_are_taken_are_named(data: bytes, label: str, file: str) -> None:
    joined = join(data, ["1.png"])

    assert joined.words == ("2",)
    assert joined.note == f"Labels: column {label} of the table, files: column {file}."


@pytest.mark.parametrize(
    "data, words",
    [
        (b"Filename;Width;ClassId\n1.png;5;2\n", "headings, but none for the label; call .*Width"),
        (b"file,label,class\n1.png,1,2\n", r"could be the label \(label and class\); rename"),
        (b"1.png,5,2\n", "has 3 columns and no headings; write `file` and `label` above two"),
        (b"label,a,b\n2,5,6\n", "headings, but none for the file; call that column file"),
        (b"file,path,label\n1.png,2.png,x\n", r"could name the files \(file and path\); rename"),
        (b"file,label\n7.png,cat\n8.png,dog\n", "it has 7.png, 8.png, but the images are 1.png, 2"),
    ],
)
def test_no_column_and_no_file_is_guessed(data: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        join(data, ["1.png", "2.png"])


def test_two_columns_that_agree_are_one() -> None:
    assert join(b"file,label,class\n1.png,2,2\n", ["1.png"]).words == ("2",)


def test_rows_without_an_image_are_counted_and_named() -> None:
    rows = b"file,label\n" + b"".join(b"%d.png,cat\n" % n for n in range(6))

    joined = join(rows, ["0.png"])

    assert joined.missing_rows == 5
    assert joined.note.endswith("; 5 rows name no single image here (1.png, 2.png, 3.png, …).")


def test_a_heading_in_another_language_is_no_image() -> None:
    joined = join(b"Datei;Art\n1.png;Hund\n2.png;Hund\n", ["1.png", "2.png"])

    assert joined.words == ("Hund", "Hund")
    assert joined.missing_rows == 0


_CELL = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(_CELL, _CELL, _CELL), min_size=1, max_size=6),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_cells_are_those_that_pandas_reads(
    rows: list[tuple[str, str, str]], delimiter: str, end: str, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("file", "label", "note"), *rows])
    data = text.getvalue().encode(encoding)

    frame = pd.read_csv(
        io.BytesIO(data), sep=delimiter, encoding=encoding, dtype=str, keep_default_na=False
    )

    assert [list(row) for row in read_table(data).rows[1:]] == frame.to_numpy().tolist()


def test_twenty_thousand_files_of_one_name_are_joined_at_once() -> None:
    """Each row is compared with the files of its own folder, not with all of that name."""
    files = [f"{n}/image.png" for n in range(20_000)]
    rows = b"file,label\n" + b"".join(b"%d/image.png,%d\n" % (n, n) for n in range(20_000))

    joined: Joined = join(rows, files)

    assert joined.words == tuple(str(n) for n in range(20_000))


def test_more_rows_than_are_read_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 10)

    with pytest.raises(
        SourceError, match="more than 10 rows, 1,000 columns or 5,000,000 cells, the most"
    ):
        read_table(b"a,b\n" * 11)
