"""Images arrive from a watched folder and from a camera, also if these go away for a while."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.inputs import Reader, camera, watched
from hybrid.errors import BundleError, SourceError
from tests.deploy.edge.clouds import Waiting


def png(value: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


class Steps:
    """Does one thing at each wait; ends the loop after the last."""

    def __init__(self, clock: Waiting, *steps: Callable[[], object]) -> None:
        self.clock, self.steps = clock, list(steps)

    def __call__(self, seconds: float) -> None:
        self.clock.wait(seconds)
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()


class Watch:
    """A watched folder whose waits are steps of a test; what came out of it, and what was said."""

    def __init__(self, folder: Path, bundle: EdgeBundle) -> None:
        self.folder, self.bundle = folder, bundle
        self.said: list[str] = []

    def names(self, *steps: Callable[[], object]) -> list[tuple[str, int]]:
        clock, found = Waiting(), []
        images = watched(
            self.folder,
            Reader(self.bundle),
            say=self.said.append,
            wait=Steps(clock, *steps),
            clock=clock,
        )
        with suppress(KeyboardInterrupt):
            for name, pixels in images:
                found.append((Path(name).name, int(pixels[0, 0, 0])))
        return found


@pytest.fixture
def watch(bundle: EdgeBundle, tmp_path: Path) -> Watch:
    (tmp_path / "incoming").mkdir()
    return Watch(tmp_path / "incoming", bundle)


def test_images_are_answered_once_as_they_arrive(watch: Watch):
    (watch.folder / "first.png").write_bytes(png(1))

    found = watch.names(
        lambda: None,
        lambda: (watch.folder / "second.png").write_bytes(png(2)),
        lambda: (watch.folder / "notes.txt").write_text("no image"),
        lambda: (watch.folder / ".hidden.png").write_bytes(png(9)),
        lambda: None,
    )

    assert found == [("first.png", 1), ("second.png", 2)]
    assert watch.said == []


def test_a_half_written_image_is_answered_once_it_is_whole(watch: Watch):
    data, path = png(7), watch.folder / "slow.png"
    parts = [lambda n=n: path.write_bytes(data[:n]) for n in (0, 10, 50, len(data) - 14, len(data))]

    assert watch.names(*parts, lambda: None) == [("slow.png", 7)]
    assert watch.said == []


def test_an_image_that_stays_damaged_is_named_once_and_the_next_is_answered(watch: Watch):
    (watch.folder / "broken.png").write_bytes(png(7)[:50])
    later = [lambda: None] * 30

    found = watch.names(*later, lambda: (watch.folder / "good.png").write_bytes(png(3)), *later)

    assert found == [("good.png", 3)]
    assert watch.said == ["broken.png is damaged or cut short; copy or save it again."]


def test_a_file_that_was_replaced_is_a_new_image(watch: Watch):
    path, other = watch.folder / "a.png", watch.folder.parent / "b.png"
    path.write_bytes(png(1))
    other.write_bytes(png(2))

    steps = [lambda: None, lambda: other.replace(path), lambda: None]

    assert watch.names(*steps) == [("a.png", 1), ("a.png", 2)]


def test_a_folder_that_vanishes_is_waited_for(watch: Watch):
    away = watch.folder.parent / "away"
    (watch.folder / "a.png").write_bytes(png(1))

    def back() -> None:
        away.rename(watch.folder)
        (watch.folder / "b.png").write_bytes(png(2))

    found = watch.names(lambda: watch.folder.rename(away), lambda: None, back, lambda: None)

    assert ("b.png", 2) in found
    assert watch.said == [f"{watch.folder} is gone; the edge waits for it."]


def test_a_folder_that_was_never_there_is_refused(bundle: EdgeBundle, tmp_path: Path):
    with pytest.raises(SourceError, match=r"no folder .*nowhere to watch"):
        next(watched(tmp_path / "nowhere", Reader(bundle), say=print))


def test_an_image_that_vanishes_while_it_is_read_is_no_error(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
):
    path = watch.folder / "a.png"
    path.write_bytes(png(1))

    def gone(*_: object, **__: object) -> bytes:
        path.unlink(missing_ok=True)
        raise FileNotFoundError

    monkeypatch.setattr("hybrid.data.sources.folders.file_bytes", gone)

    assert watch.names(lambda: None, lambda: None) == []
    assert watch.said == []


class Camera:
    """Gives these frames in turn; None for one that does not come."""

    def __init__(self, frames: Iterator[np.ndarray | None]) -> None:
        self.frames, self.released = frames, 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        frame = next(self.frames, None)
        return frame is not None, frame

    def release(self) -> None:
        self.released += 1


def frame(red: int, green: int, blue: int) -> np.ndarray:
    """As OpenCV has it: blue first."""
    return np.full((12, 20, 3), (blue, green, red), np.uint8)


def test_a_camera_that_goes_away_is_waited_for_and_opened_again(bundle: EdgeBundle):
    cameras = [
        Camera(iter([frame(255, 255, 255), frame(0, 0, 0)])),
        Camera(iter([])),
        Camera(iter([frame(255, 0, 0)])),
    ]
    said: list[str] = []
    opened = iter(cameras)
    images = camera(
        0, Reader(bundle), say=said.append, wait=lambda _: None, open_=lambda _: next(opened)
    )

    found = [next(images) for _ in range(3)]

    grey = [int(pixels[0, 0, 0]) for _, pixels in found]
    assert grey == [255, 0, 76]  # red is 0.299 of grey
    assert {name for name, _ in found} == {"camera 0"}
    assert said == ["Camera 0 is gone; the edge waits for it."]
    assert [one.released for one in cameras] == [1, 1, 0]


def test_a_camera_that_never_gives_an_image_is_an_error(bundle: EdgeBundle):
    images = camera(3, Reader(bundle), say=print, open_=lambda _: Camera(iter([])))

    with pytest.raises(SourceError, match=r"Camera 3 gives no image; check that it is connected"):
        next(images)


def test_a_bundle_whose_input_is_no_square_takes_no_files(bundle: EdgeBundle):
    from dataclasses import replace

    with pytest.raises(BundleError, match="are 8 × 6, and only squares"):
        Reader(replace(bundle, shape=(8, 6, 1)))
