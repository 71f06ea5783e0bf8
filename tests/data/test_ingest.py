"""Own images to a split and its trace: as from arrays, killed or not, in bounded memory."""

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid import evaluation, zoo
from hybrid.data import Dataset, ingest, labels, sources, user_splits
from hybrid.data.ingest import IngestPlan
from hybrid.data.sources import Entry
from hybrid.data.user_splits import UserSplit
from hybrid.errors import DataMissingError, SourceError, TraceError, UnknownNameError
from hybrid.inference import record
from hybrid.models import Network
from hybrid.traces import trace
from hybrid.traces.trace import Trace
from tests.own_images import digits, png, pngs, write_folder, zipped

NETWORK, VARIANT = "digits-vgg", "hybrid-4bit"
BITS = 4

pytestmark = pytest.mark.usefixtures("traces")


@pytest.fixture(scope="module")
def network() -> Network:
    return zoo.load(NETWORK, bits=BITS)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 20 images, so that few images are several parts."""
    monkeypatch.setattr(ingest, "BATCH", 20)
    monkeypatch.setattr(ingest, "_PART_BATCHES", 1)


def planned(files: dict[str, bytes], name: str = "mine", *, labelled: bool = True) -> IngestPlan:
    card = zoo.card(NETWORK)
    with sources.opened(zipped(files)) as source:
        words = sources.label_words(source, card.classes)
        found = labels.match(words, card.classes)
        table = {one.word: one.class_name for one in found} if labelled else None
        return ingest.plan_ingest(source, card, name=name, words=words, table=table)


def gathered(files: dict[str, bytes], name: str = "mine", *, labelled: bool = True) -> UserSplit:
    return ingest.ingest(planned(files, name, labelled=labelled), reader(files))


def reader(files: dict[str, bytes]) -> Callable[[Entry], bytes]:
    return lambda entry: files[entry.name]


def recorded(network: Network, about: UserSplit, **options: object) -> Trace:
    sha256 = zoo.card(NETWORK).variants[VARIANT].files[zoo.WEIGHTS]
    record.record_user_split(network, about, variant=VARIANT, weights_sha256=sha256, **options)  # type: ignore[arg-type]
    return zoo.trace(NETWORK, VARIANT, about.name)


def same(one: Trace, other: Trace) -> bool:
    """Equal to the last bit, whatever the splits are called."""
    return (
        np.array_equal(one.labels, other.labels)
        and np.array_equal(one.classes, other.classes)
        and all(np.array_equal(one.confidences[m], other.confidences[m]) for m in one.confidences)
        and all(
            np.array_equal(a.counts, b.counts)
            and np.array_equal(a.accuracy, b.accuracy, equal_nan=True)
            for a, b in zip(one.reliability_before, other.reliability_before, strict=True)
        )
    )


def test_the_trace_of_a_zip_is_that_of_the_same_arrays(network: Network) -> None:
    some = digits()
    expected = record.record(network, some, name=NETWORK, variant=VARIANT, weights_sha256="0" * 64)

    found = recorded(network, gathered(pngs(some)))

    assert found.split == "mine"
    assert same(found, expected)


def test_an_user_split_is_evaluated_as_any_other(network: Network) -> None:
    some = digits()
    recorded(network, gathered(pngs(some)))

    point = evaluation.evaluate(NETWORK, BITS, "0,1", split="mine")

    answers = network(_batch(some))[0].argmax(1).numpy()  # at threshold 0 everybody leaves first
    assert point.outcome.samples == len(some.labels)
    assert point.outcome.exit_counts == (len(some.labels), 0, 0)
    assert point.outcome.accuracy == np.mean(answers == some.labels)


def test_a_split_without_labels_knows_disagreement_and_no_accuracy(network: Network) -> None:
    some = digits()
    found = recorded(network, gathered(pngs(some), labelled=False))
    limits = (0.9, 0.9)

    point = evaluation.evaluate(NETWORK, BITS, limits, split="mine")

    taken = [next((i for i in (0, 1) if sure[i] >= np.float32(0.9)), 2)
             for sure in found.confidences["max_probability"]]  # fmt: skip
    differs = [c[e] != c[2] for c, e in zip(found.classes, taken, strict=True)]
    assert point.as_row()["accuracy"] is None
    assert point.as_row()["twin_accuracy"] is None
    assert point.outcome.exit_counts == tuple(taken.count(e) for e in (0, 1, 2))
    assert point.energy_pj > 0
    disagreement = evaluation.disagreement(found, limits, "max_probability")
    assert disagreement == pytest.approx(np.mean(differs))


@pytest.mark.parametrize("stop_at", [1, 19, 20, 21, 45, 59])
def test_a_killed_collection_goes_on_and_ends_the_same(small_parts: None, stop_at: int) -> None:
    files = pngs(digits())
    files["3/corrupt.png"] = b"no image"
    whole = gathered(files, "whole")
    plan = planned(files)
    seen: list[str] = []

    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(plan, _dying(files, after=stop_at))
    assert user_splits.names(NETWORK) == ["whole"]
    about = ingest.ingest(plan, _counting(files, seen))

    assert len(seen) <= len(files) - stop_at + 20  # what lay in whole parts was not read again
    assert replace(about, name="whole", key=whole.key) == whole
    assert same_images(about, whole)
    assert user_splits.skipped(about) == user_splits.skipped(whole)
    assert not ingest.drafts(NETWORK)


def test_a_killed_recording_goes_on_and_ends_the_same(small_parts: None, network: Network) -> None:
    about = gathered(pngs(digits()))
    expected = recorded(network, about)
    user_splits.trace_path(NETWORK, "mine", VARIANT, expected.weights_sha256).unlink()

    def die(done: int, _: int) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded(network, about, progress=die)
    with pytest.raises(DataMissingError, match="no trace of digits-vgg hybrid-4bit on mine"):
        zoo.trace(NETWORK, VARIANT, "mine")
    told: list[int] = []
    found = recorded(network, about, progress=lambda done, _: told.append(done))

    assert told[0] == 20  # the first part was there and is only counted
    assert same(found, expected)
    assert not list(user_splits.path_of(NETWORK, "mine").glob(".*"))


def test_half_a_part_that_a_kill_left_is_not_kept(small_parts: None) -> None:
    files = pngs(digits())
    plan = planned(files)
    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(plan, _dying(files, after=45))
    (plan.draft / ".part-00002.npz.0123abcd").write_bytes(b"half")

    about = ingest.ingest(plan, reader(files))

    kept = sorted(path.name for path in user_splits.path_of(NETWORK, "mine").iterdir())
    assert kept == ["part-00000.npz", "part-00001.npz", "part-00002.npz", "split.toml"]
    assert about.samples == 60


def test_parts_that_are_thrown_away_meanwhile_make_no_split(small_parts: None) -> None:
    files = pngs(digits())
    plan = planned(files)

    def read(entry: Entry) -> bytes:
        if entry == plan.entries[-1]:
            ingest.discard(plan.draft)
        return files[entry.name]

    with pytest.raises(SourceError, match="incomplete or changed"):
        ingest.ingest(plan, read)
    assert user_splits.names(NETWORK) == []


def test_an_unfinished_collection_is_listed_and_can_be_thrown_away(small_parts: None) -> None:
    files = pngs(digits())
    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(planned(files), _dying(files, after=45))

    (draft,) = ingest.drafts(NETWORK)
    ingest.discard(draft)

    assert ingest.drafts(NETWORK) == []
    assert user_splits.names(NETWORK) == []


def test_a_damaged_part_of_a_draft_is_read_again(small_parts: None) -> None:
    files = pngs(digits())
    plan = planned(files)
    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(plan, _dying(files, after=45))
    (plan.draft / "part-00001.npz").write_bytes(b"half")

    about = ingest.ingest(plan, reader(files))

    assert same_images(about, gathered(files, "whole"))


def test_other_files_under_the_same_name_start_anew(small_parts: None) -> None:
    files = pngs(digits())
    with pytest.raises(KeyboardInterrupt):
        ingest.ingest(planned(files), _dying(files, after=45))
    changed = files | {next(iter(files)): png(np.zeros((8, 8), np.uint8))}

    about = gathered(changed)

    assert (user_splits.load(about).images[0] == 0).all()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images() -> None:
    blank = png(np.zeros((8, 8), np.uint8))
    card = zoo.card(NETWORK)
    peaks = []
    for count in (2_000, 7_000):
        entries = tuple(Entry(name=f"0/{i:06d}.png", stamp="") for i in range(count))
        source = sources.Source(
            title="many",
            entries=entries,
            refused=(),
            ignored={},
            folders=frozenset(),
            table=None,
            read=lambda _: blank,
        )
        plan = ingest.plan_ingest(source, card, name=f"many-{count}")
        tracemalloc.start()
        ingest.ingest(plan, source.read)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    image_bytes = 8 * 8
    assert peaks[1] - peaks[0] < 5_000 * image_bytes / 2
    assert user_splits.split(NETWORK, "many-7000").samples == 7_000


def test_what_cannot_be_read_is_listed_and_costs_no_other() -> None:
    files = pngs(digits(20)) | {"0/a.png": b"", "0/b.png": b"GIF89a", "1/c.png": b"words"}

    about = gathered(files)

    assert about.samples == 20
    assert about.skipped == 3
    assert [one.sentence for one in user_splits.skipped(about)] == [
        "0/a.png is empty; choose the file again.",
        "0/b.png is not a PNG, JPEG or other image that is read; save it as PNG or JPEG.",
        "1/c.png is not a PNG, JPEG or other image that is read; save it as PNG or JPEG.",
    ]


def test_images_of_words_without_a_class_are_counted_and_left_out() -> None:
    files = pngs(digits(20)) | {"ten/a.png": png(np.zeros((8, 8), np.uint8)), "b.png": b"x"}

    about = gathered(files)

    assert about.samples == 20
    assert about.left_out == {"": 1, "ten": 1}


def test_other_sizes_and_modes_become_what_the_network_sees() -> None:
    grey = np.tile(np.arange(24, dtype=np.uint8) * 10, (24, 1))
    files = {"0/a.png": png(grey), "1/b.png": png(np.stack([grey] * 3, axis=-1))}

    images = user_splits.load(gathered(files)).images

    assert images.shape == (2, 8, 8, 1)
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


@pytest.mark.parametrize("count", [1, 3])
def test_very_few_images_of_one_class_are_a_split_too(network: Network, count: int) -> None:
    files = {f"7/{i}.png": png(np.full((8, 8), i, np.uint8)) for i in range(count)}

    found = recorded(network, gathered(files))

    assert found.labels.tolist() == [7] * count
    assert evaluation.evaluate(NETWORK, BITS, "1,1", split="mine").outcome.samples == count


@pytest.mark.parametrize(
    "files, words",
    [
        ({"cow/1.png": b"", "pig/2.png": b""}, r"None of the labels \(cow, pig\) is a class of"),
        ({"1.png": b"x"}, "The images have no labels"),
        ({"1/1.png": b"x"}, r"None of the 1 images could be read; the first: 1/1.png is not a PNG"),
    ],
)
def test_images_that_make_no_split_are_one_sentence_and_leave_nothing(
    files: dict[str, bytes], words: str, traces: Path
) -> None:
    with pytest.raises(SourceError, match=words):
        gathered(files)

    assert not [path for path in traces.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a" * 41, "ü", "mine."])
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="cannot name a split"):
        planned(pngs(digits(10)), name)


@pytest.mark.parametrize("name", ["test", "Tune", "certify", "train"])
def test_a_name_of_the_data_sets_user_splits_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="is a split of the data set"):
        planned(pngs(digits(10)), name)


def test_a_taken_name_is_refused_unless_it_is_the_same_again() -> None:
    files = pngs(digits(10))
    about = gathered(files)

    assert gathered(files) == about
    with pytest.raises(SourceError, match="digits-vgg already has a split called mine;"):
        gathered(pngs(digits(20)))
    assert user_splits.split(NETWORK, "mine") == about


def test_a_split_divided_in_two_shares_no_image_and_halves_each_class() -> None:
    files = pngs(digits(200))

    halves = ingest.divided(planned(files))
    abouts = [ingest.ingest(half, reader(files)) for half in halves]

    assert [(about.name, about.purpose) for about in abouts] == [
        ("mine-tune", "tune"), ("mine-certify", "certify"),
    ]  # fmt: skip
    names = [{entry.name for entry in half.entries} for half in halves]
    assert names[0] | names[1] == set(files)
    assert not names[0] & names[1]
    counts = [np.bincount(user_splits.labels(about), minlength=10) for about in abouts]
    assert (np.abs(counts[0] - counts[1]) <= 1).all()
    again = ingest.divided(planned(files))
    assert [half.entries for half in again] == [half.entries for half in halves]


def test_other_images_are_not_divided_while_a_half_of_that_name_is_kept() -> None:
    for half in ingest.divided(planned(files := pngs(digits(40)))):
        ingest.ingest(half, reader(files))
    user_splits.delete(NETWORK, "mine-tune")

    with pytest.raises(SourceError, match="digits-vgg already has a split called mine-certify"):
        ingest.divided(planned(pngs(digits(60))))

    assert user_splits.names(NETWORK) == ["mine-certify"]
    assert user_splits.halved(NETWORK) == []
    ingest.ingest(ingest.divided(planned(files))[0], reader(files))  # the same images again
    assert user_splits.halved(NETWORK) == ["mine"]


def test_a_class_of_one_image_cannot_be_divided() -> None:
    with pytest.raises(SourceError, match="7 has a single image"):
        ingest.divided(planned({"7/1.png": b"x", "8/1.png": b"x", "8/2.png": b"x"}))


def test_a_full_disk_while_collecting_is_one_sentence_and_what_was_read_stays(
    small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pngs(digits())
    plan = planned(files)
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", _full_after(1, np.savez))
        with pytest.raises(SourceError, match=r"No space left on device.*continues from there"):
            ingest.ingest(plan, reader(files))

    assert user_splits.names(NETWORK) == []
    assert [path.name for path in plan.draft.iterdir()] == ["part-00000.npz"]
    assert ingest.ingest(plan, reader(files)).samples == 60


def test_a_full_disk_while_recording_is_one_sentence_and_no_half_trace(
    small_parts: None, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = gathered(pngs(digits()))
    with monkeypatch.context() as patch:
        patch.setattr(trace, "save", _full_after(0, trace.save))
        with pytest.raises(TraceError, match=r"No space left on device.*continues from there"):
            recorded(network, about)

    assert not list(user_splits.path_of(NETWORK, "mine").glob("*.parquet"))
    assert recorded(network, about).samples == 60


def test_a_deleted_split_is_gone_with_its_traces(network: Network, traces: Path) -> None:
    recorded(network, gathered(pngs(digits(20))))

    user_splits.delete(NETWORK, "mine")

    assert not [path for path in traces.rglob("*") if path.is_file()]
    with pytest.raises(UnknownNameError, match="No split is called 'mine'; there are: certify"):
        zoo.trace(NETWORK, VARIANT, "mine")


def test_other_weights_have_a_trace_of_their_own(network: Network) -> None:
    about = gathered(pngs(digits(20)))
    recorded(network, about)

    record.record_user_split(network, about, variant=VARIANT, weights_sha256="f" * 64)

    assert len(list(user_splits.path_of(NETWORK, "mine").glob("trace-*.parquet"))) == 2
    assert zoo.trace(NETWORK, VARIANT, "mine").weights_sha256 != "f" * 64


def test_single_images_are_found_without_the_others(small_parts: None) -> None:
    some = digits()
    about = gathered(pngs(some))

    found = user_splits.images(about, [45, 3, 3, 59, 20])

    np.testing.assert_array_equal(found, some.images[[45, 3, 3, 59, 20]])


def test_a_split_with_a_lost_part_says_so(small_parts: None) -> None:
    about = gathered(pngs(digits()))
    (user_splits.path_of(NETWORK, "mine") / "part-00001.npz").unlink()

    for use in (user_splits.load, user_splits.labels, lambda a: user_splits.images(a, [25])):
        with pytest.raises(SourceError, match="images of mine are incomplete or changed"):
            use(about)


def test_a_split_is_described_in_a_file_that_is_read_back() -> None:
    about = gathered(pngs(digits(20)) | {"ten/a.png": b"x", "0/a.png": b"x"})

    assert user_splits.split(NETWORK, "mine") == about


def test_a_description_of_another_format_is_one_sentence() -> None:
    gathered(pngs(digits(20)))
    path = user_splits.path_of(NETWORK, "mine") / "split.toml"
    path.write_text(path.read_text().replace("format = 1", "format = 2"))

    with pytest.raises(SourceError, match=r"cannot be read .*; delete the split"):
        user_splits.split(NETWORK, "mine")


def test_user_splits_are_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYBRID_TRACES")
    monkeypatch.setenv("XDG_DATA_HOME", "/home/somebody/data")

    assert user_splits.folder() == Path("/home/somebody/data/hybrid/traces")


def test_a_folder_gives_the_same_split_as_its_zip(tmp_path: Path) -> None:
    files_ = pngs(digits(20))
    card = zoo.card(NETWORK)
    with sources.opened(write_folder(tmp_path / "photos", files_)) as source:
        words = sources.label_words(source, card.classes)
        plan = ingest.plan_ingest(
            source, card, name="folder", words=words, table=dict.fromkeys("7", "7")
        )
        about = ingest.ingest(plan, source.read)

    sevens = [content for name, content in files_.items() if name.startswith("7/")]
    assert about.samples == len(sevens)
    assert about.source == "photos"


def same_images(one: UserSplit, other: UserSplit) -> bool:
    mine, theirs = user_splits.load(one), user_splits.load(other)
    return bool((mine.images == theirs.images).all() and (mine.labels == theirs.labels).all())


def _batch(some: Dataset):
    import torch

    from hybrid.data.preprocess import normalise

    return torch.from_numpy(normalise(some.images, "digits"))


def _counting(files: dict[str, bytes], seen: list[str]) -> Callable[[Entry], bytes]:
    def read(entry: Entry) -> bytes:
        seen.append(entry.name)
        return files[entry.name]

    return read


def _dying(files: dict[str, bytes], *, after: int) -> Callable[[Entry], bytes]:
    left: Iterator[int] = iter(range(after))

    def read(entry: Entry) -> bytes:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return files[entry.name]

    return read


def _full_after(times: int, write: Callable[..., None]) -> Callable[..., None]:
    left: Iterator[int] = iter(range(times))

    def full(*args: object, **options: object) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        write(*args, **options)

    return full


def test_images_that_would_take_more_disk_than_all_splits_may_are_refused(
    small_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = write_folder(tmp_path / "photos", pngs(digits(60)))
    monkeypatch.setattr(user_splits, "MAX_BYTES", 3_000)  # two parts of 20 images of 64 bytes

    with sources.opened(folder) as source:
        plan = ingest.plan_ingest(source, zoo.card(NETWORK), name="mine")
        with pytest.raises(SourceError, match=r"would take more than 0 GB, the most they may; del"):
            ingest.ingest(plan, source.read)

    assert user_splits.names(NETWORK) == []


def test_a_network_has_so_many_splits_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(user_splits, "_MOST_SPLITS", 0)

    with pytest.raises(SourceError, match="digits-vgg has 0 splits, the most it can; delete some"):
        user_splits.check_free(NETWORK, "mine")
