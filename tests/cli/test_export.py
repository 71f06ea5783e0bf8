"""`hybrid export`, and the commands that take deployment forms, as a user sees them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hybrid import zoo
from hybrid.cli.main import app
from hybrid.traces import trace
from tests.deploy.frozen import frozen, frozen_once
from tests.own_images import pngs, write_folder

__all__ = ["frozen", "frozen_once"]

FORM = ["digits-vgg", "--bits", "4"]
POINT = [*FORM, "--thresholds", "0.9,0.8"]

Run = Callable[..., Result]


@pytest.fixture
def run(frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, words)


def test_export_writes_a_bundle_and_states_both_certificates(run: Run, tmp_path: Path):
    result = run("export", *POINT, "--out", "bundle")

    there, down = result.stdout.splitlines()
    assert result.exit_code == 0, result.stderr
    assert there.startswith("cloud there: With 95 % confidence, early exits cost at most")
    assert down.startswith("cloud down: With 95 % confidence, with the cloud down, early exits")
    assert (tmp_path / "bundle" / "c" / "hybrid_point.h").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
def test_check_prints_what_it_compared(run: Run):
    run("export", *POINT, "--out", "bundle")

    result = run("export", "--check", "bundle")

    assert result.exit_code == 0, result.stderr
    files, edge, cloud, *in_c = result.stdout.splitlines()
    assert files.endswith("files have the SHA-256 of the manifest.")
    assert edge.startswith("ONNX Runtime, optimized and not: 16 images")
    assert cloud.startswith("ONNX Runtime, cloud: 16 images, the same classes")
    assert in_c[0].startswith("C library, plain, packed weights: 16 images")
    assert len(in_c) >= 2  # unpacked weights too


def test_without_a_compiler_the_rest_is_compared_and_one_sentence_tells_why(
    run: Run, monkeypatch: pytest.MonkeyPatch
):
    run("export", *POINT, "--out", "bundle")
    monkeypatch.setattr("hybrid.deploy.compiling.shutil.which", lambda _: None)

    result = run("export", "--check", "bundle")

    assert result.exit_code == 2
    assert "ONNX Runtime, cloud: 16 images" in result.stdout
    assert "There is no C compiler here; install gcc or clang" in result.stderr


def test_a_bundle_without_thresholds_sends_every_image_and_certifies_nothing(run: Run):
    manifest = json.loads(run("export", *FORM, "--out", "bundle", "--json").stdout)

    assert manifest["certificates"] == {"cloud_down": None, "cloud_there": None}
    assert [one["threshold"] for one in manifest["exits"]] == [1.0, 1.0]


def test_a_chosen_form_goes_from_choose_to_evaluate_and_export(run: Run, tmp_path: Path):
    chosen = run("choose", "digits-vgg", "--deployed", "--max-loss", "8", "--out", "point.toml")
    shown = json.loads(run("evaluate", "--point", "point.toml", "--json").stdout)
    exported = run("export", "--point", "point.toml", "--out", "bundle")

    assert chosen.exit_code == exported.exit_code == 0, exported.stderr
    assert "digits-vgg, deployed 4 bit" in chosen.stdout
    assert "--deployed" in chosen.stdout
    accuracy = zoo.card("digits-vgg").forms["deployed-4bit"].accuracy["test"]
    assert shown["final_exit_accuracy"] == pytest.approx(accuracy[-1], abs=1e-5)
    assert "cloud there: at most 8.0 points, as chosen." in exported.stdout


def test_predict_answers_with_the_form(run: Run, tmp_path: Path):
    from PIL import Image

    image = zoo.images("digits-vgg", "test").images[0]
    Image.fromarray(image[:, :, 0]).save(tmp_path / "digit.png")

    answer = json.loads(run("predict", *POINT, "--deployed", "digit.png", "--json").stdout)[0]

    recorded = zoo.trace("digits-vgg", "deployed-4bit", "test")
    first = recorded.confidences["max_probability"][0, 0]
    assert answer["exits"][0]["confidence"] == pytest.approx(float(first), abs=0)


COMPILED = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")]


@pytest.mark.parametrize("engine", ["numpy", "torch", pytest.param("c", marks=COMPILED)])
def test_every_engine_records_the_trace_that_freeze_recorded(run: Run, tmp_path: Path, engine: str):
    result = run("trace", *FORM, "--engine", engine, "--split", "tune", "--out", "tune.parquet")

    assert result.exit_code == 0, result.stderr
    again = trace.load(tmp_path / "tune.parquet", expect_variant="deployed-4bit")
    recorded = zoo.trace("digits-vgg", "deployed-4bit", "tune")
    assert np.array_equal(again.classes, recorded.classes)
    for measure, sure in recorded.confidences.items():
        assert np.array_equal(again.confidences[measure][:, :-1], sure[:, :-1])


@pytest.mark.parametrize("engine", ["torch", pytest.param("c", marks=COMPILED)])
def test_your_own_images_are_recorded_as_deployed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
):
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "own"))
    test = zoo.images("digits-vgg", "test")
    some = replace(test, images=test.images[:30], labels=test.labels[:30])
    write_folder(tmp_path / "photos", pngs(some))

    words = ["--images", "photos", "--name", "mine", "--bits", "4", "--engine", engine]
    result = run("import-images", "digits-vgg", *words)

    assert result.exit_code == 0, result.stderr
    found = zoo.trace("digits-vgg", "deployed-4bit", "mine")
    by_label = np.argsort(some.labels, kind="stable")  # as files in folders are
    recorded = zoo.trace("digits-vgg", "deployed-4bit", "test").classes[:30][by_label]
    assert np.array_equal(found.classes, recorded)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--out", "new"], "Name a network, its --bits"),
        (["digits-vg", "--bits", "4", "--out", "new"], "Did you mean digits-vgg?"),
        (["digits-vgg", "--bits", "2", "--out", "new"], "hybrid freeze digits-vgg --bits 2"),
        ([*FORM, "--thresholds", "2,0", "--out", "new"], "0 to 1"),
        ([*FORM, "--thresholds", "0.5", "--out", "new"], "Too few thresholds"),
        (["--check", "new"], "There is no bundle in new"),
        ([*POINT, "--confidence", "1", "--out", "new"], "certifies nothing"),
        ([*FORM, "--measure", "mood", "--out", "new"], "No confidence measure is called"),
        ([*POINT, "--measure", "mood", "--out", "new"], "No confidence measure is called"),
    ],
)
def test_bad_input_gives_one_sentence_and_no_bundle(
    run: Run, tmp_path: Path, words: list[str], sentence: str
):
    result = run("export", *words)

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
    assert not (tmp_path / "new").exists()
