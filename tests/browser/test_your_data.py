"""From a zip of images to Explore, in a real browser."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hybrid import evaluation, policy, zoo
from hybrid.choosing import Limits, choose, collect_candidates
from hybrid.cli.main import app
from hybrid.text import numbers
from hybrid.text.point import UNLABELLED, unlabelled_note
from tests.browser.waiting import PATIENCE_MS, said_by_address, settled
from tests.own_images import digits, pngs, write_user_split, zipped
from tests.strange_zips import raw_zip

pytestmark = pytest.mark.browser


@pytest.fixture
def digits_address(
    serve: Callable[[Path], str], root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server over the networks that ship, with an empty folder for own splits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_TRACES", str(tmp_path_factory.mktemp("traces")))
        patch.setenv("HYBRID_PRETRAINED", str(root / "pretrained"))
        yield serve(root / "pretrained")


def test_a_zip_is_recorded_and_opened_in_explore(page: Any, digits_address: str) -> None:
    page.goto(f"{digits_address}/?network=digits-vgg&bits=2&t1=0.9")
    page.wait_for_selector(".js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("link", name="Your data").click()
    page.wait_for_selector("text=A zip of images", timeout=PATIENCE_MS)
    files = pngs(digits(60)) | {"7/broken.png": b"no image"}

    page.locator(".st-key-your_zip input[type=file]").set_input_files(
        [{"name": "mine.zip", "mimeType": "application/zip", "buffer": zipped(files)}]
    )
    page.get_by_text("All bit widths and static networks").click(timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("button", name="Record 61 images").click()
    page.get_by_role("button", name="Open in Explore").wait_for(timeout=PATIENCE_MS)
    assert page.get_by_text("1 file could not be read").count() == 1
    settled(page)
    page.get_by_role("button", name="Open in Explore").click()

    page.wait_for_selector(".st-key-explore_edge", timeout=PATIENCE_MS)
    settled(page)
    assert "split=mine" in page.url
    counted = policy.outcome(zoo.trace("digits-vgg", "hybrid-2bit", "mine"), (0.9, 0.8))
    shown = page.locator(".st-key-explore_edge").inner_text()
    assert f"{sum(counted.exit_counts[:-1])} of 60" in shown
    accuracy = page.locator(".st-key-explore_accuracy").inner_text()
    assert re.search(r"[\d.]+ %", accuracy)[0] == f"{100 * counted.accuracy:.2f} %"


def test_a_zip_leads_to_a_certified_point_and_its_file_is_read_by_the_command_line(
    page: Any, digits_address: str, tmp_path: Path
) -> None:
    page.goto(f"{digits_address}/?network=digits-vgg&bits=2")
    page.wait_for_selector(".js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("link", name="Your data").click()
    page.wait_for_selector("text=A zip of images", timeout=PATIENCE_MS)
    page.locator(".st-key-your_zip input[type=file]").set_input_files(
        [{"name": "a.zip", "mimeType": "application/zip", "buffer": zipped(pngs(digits(300)))}]
    )
    page.get_by_text("Divide: half to choose on, half to certify").click(timeout=PATIENCE_MS)
    settled(page)
    name = page.get_by_label("Name of the split")
    name.fill("halved")
    name.press("Enter")
    settled(page)
    page.get_by_role("button", name="Record 300 images").click()

    button = page.get_by_role("button", name="Choose on them")
    button.wait_for(timeout=PATIENCE_MS)
    settled(page)
    button.click()
    for key, value in (("loss", "15"), ("confidence", "80")):
        box = page.locator(f".st-key-choose_{key} input")
        box.wait_for(timeout=PATIENCE_MS)
        settled(page)
        box.fill(value)
        box.press("Enter")
        said_by_address(page, f"{key}={value}")
    settled(page)
    assert "Chosen on halved-tune, certified on halved-certify." in page.content()
    with page.expect_download(timeout=PATIENCE_MS) as started:
        page.locator(".st-key-choose_toml button").click()
    path = tmp_path / "operating-point.toml"
    started.value.save_as(path)

    point = tomllib.loads(path.read_text())
    limits = Limits(max_loss_points=15, confidence=0.8)
    found = choose(collect_candidates(["digits-vgg"], images="halved"), limits)
    assert found.best is not None
    assert (point["variant"], point["images"]) == (found.best.variant, "halved")
    assert tuple(point["thresholds"]) == found.best.thresholds
    assert point["certificate"]["bound_points"] == 15
    said = CliRunner().invoke(app, ["evaluate", "--point", str(path), "--json"])
    assert json.loads(said.stdout)["thresholds"] == list(found.best.thresholds)


FOLLOWER = """() => {
    const hosts = [...document.querySelectorAll('.st-key-explore_follower *')];
    for (const root of [document, ...hosts.map((host) => host.shadowRoot).filter(Boolean)]) {
        const found = root.querySelector('.follower');
        if (found?.follower) return found.follower;
    }
    return null;
}"""


@pytest.fixture
def unlabelled_address(
    serve: Callable[[Path], str], pretrained: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server over made-up networks, with an own split that has no labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_TRACES", str(tmp_path_factory.mktemp("unlabelled")))
        patch.setenv("HYBRID_PRETRAINED", str(pretrained))
        write_user_split("trees-toy", "mine", labelled=False)
        yield serve(pretrained)


def test_without_labels_the_browser_says_the_same_as_python(
    page: Any, unlabelled_address: str
) -> None:
    page.goto(f"{unlabelled_address}/?network=trees-toy&bits=2&split=mine")
    page.wait_for_function(f"({FOLLOWER})()?.held().length > 0", timeout=PATIENCE_MS)

    shown = page.evaluate(f"({FOLLOWER})().at(2, [6000, 5000])")

    recorded = zoo.trace("trees-toy", "hybrid-2bit", "mine")
    apart = evaluation.disagreement(recorded, (0.6, 0.5), "max_probability")
    assert 0 < apart < 1
    assert shown["words"]["accuracy"] == ["unknown", unlabelled_note(1 - apart)]
    assert shown["words"]["verdict"][0] == UNLABELLED
    assert shown["labels"][-2:] == [
        f"Same as cloud {numbers.percent(1 - apart)}", f"Different {numbers.percent(apart)}",
    ]  # fmt: skip


def test_a_zip_that_is_kept_on_disk_is_listed_and_shown(page: Any, digits_address: str) -> None:
    """Over a megabyte an upload stays in its file; stored names of PowerShell, and no flag."""
    padding = bytes(3_000_000)
    images = {f"Käse\\{n}.png": data for n, data in enumerate(pngs(digits(6)).values())}
    data = raw_zip(
        {name.encode(): content for name, content in images.items()} | {b"x.raw": padding}
    )
    page.goto(f"{digits_address}/?network=digits-vgg&bits=2")
    page.wait_for_selector(".js-plotly-plot", timeout=PATIENCE_MS)
    settled(page)
    page.get_by_role("link", name="Your data").click()
    page.wait_for_selector(".st-key-your_zip input[type=file]", state="attached")

    page.locator(".st-key-your_zip input[type=file]").set_input_files(
        [{"name": "win.zip", "mimeType": "application/zip", "buffer": data}]
    )

    page.wait_for_selector("text=6 with one of 1 label from their folders")
    page.wait_for_selector("text=1 other file or folder was ignored (1 .raw).")
    page.get_by_text("Käse").first.wait_for(state="attached", timeout=PATIENCE_MS)
