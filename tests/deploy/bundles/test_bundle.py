"""A bundle is written whole or not at all, with the same bytes each time; changes are found."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hybrid import evaluation, zoo
from hybrid.certificates import certify
from hybrid.choosing import Limits, choose, collect_candidates, load_point, point_file, save_point
from hybrid.deploy.bundles import writing
from hybrid.deploy.bundles.checking import check_bundle
from hybrid.deploy.bundles.manifest import read_manifest
from hybrid.deploy.bundles.promises import check_point, promises
from hybrid.deploy.bundles.writing import Point, bundle_files, write_bundle, zipped
from hybrid.errors import BundleError, FormError, PointError, ThresholdError
from hybrid.evaluation import Prices

NETWORK, LIMITS = "digits-vgg", (0.9, 0.8)
POINT = Point(thresholds=LIMITS)


@pytest.fixture
def bundle(frozen: Path, tmp_path: Path) -> Path:
    write_bundle(NETWORK, 4, tmp_path / "bundle", POINT)
    return tmp_path / "bundle"


def test_a_manifest_names_network_exits_payload_and_every_file(bundle: Path):
    manifest = read_manifest(bundle)

    there = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == there - {"manifest.json"}
    assert manifest["classes"] == [str(digit) for digit in range(10)]
    assert [one["threshold"] for one in manifest["exits"]] == [0.9, 0.8]
    assert manifest["exits"][1]["threshold_whole"] == 13421773  # 2^24 * float32(0.8), exact
    assert manifest["payload"] == {
        "bits": 4, "bytes": 64, "shape": [32, 2, 2], "step": manifest["payload"]["step"],
    }  # fmt: skip
    assert (manifest["network"], manifest["bits"], manifest["exact"]) == (NETWORK, 4, True)


def test_equal_input_gives_equal_bytes(frozen: Path):
    assert bundle_files(NETWORK, 4, POINT) == bundle_files(NETWORK, 4, POINT)


@pytest.mark.parametrize("name", ["c/hybrid_net.c", "onnx/edge-1.onnx", "vectors.safetensors"])
def test_a_changed_byte_is_found(bundle: Path, name: str):
    data = bytearray((bundle / name).read_bytes())
    data[-1] ^= 1
    (bundle / name).write_bytes(data)

    with pytest.raises(BundleError, match=f"{name} was changed"):
        next(check_bundle(bundle))


def test_a_missing_and_an_additional_file_are_found(bundle: Path):
    (bundle / "c" / "more.c").write_text("")
    with pytest.raises(BundleError, match=r"more\.c is not part of this bundle"):
        next(check_bundle(bundle))

    (bundle / "c" / "main.c").unlink()
    with pytest.raises(BundleError, match=r"main\.c is missing"):
        next(check_bundle(bundle))


def test_wrong_vectors_are_found_even_if_the_manifest_agrees(bundle: Path):
    from safetensors.numpy import load_file, save_file

    from hybrid.files import sha256_of

    path = bundle / "vectors.safetensors"
    vectors = load_file(path)
    vectors["confidences"][3, 1] += 1
    save_file(vectors, path)
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][path.name] = sha256_of(path)
    (bundle / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match="ONNX Runtime gives other answers"):
        list(check_bundle(bundle))


def test_a_newer_format_is_refused(bundle: Path):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))

    with pytest.raises(BundleError, match="format 9, and this version reads format 1"):
        read_manifest(bundle)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', "\x00", '{"format": 1, "files": 3}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str):
    (tmp_path / "manifest.json").write_text(text)

    with pytest.raises(BundleError, match="export it again"):
        read_manifest(tmp_path)


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="There is no bundle in"):
        read_manifest(tmp_path / "nowhere")


def test_nothing_is_left_of_a_bundle_that_a_full_disk_cut_short(
    frozen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "hybrid_vectors.h":
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_bundle(NETWORK, 4, tmp_path / "out", POINT)

    assert caught.value.filename == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_replaced_and_anything_else_is_not(bundle: Path, tmp_path: Path):
    write_bundle(NETWORK, 4, bundle, Point(thresholds=(0.5, 0.5)))
    assert read_manifest(bundle)["exits"][0]["threshold"] == 0.5

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(BundleError, match="is not a bundle, so it is not replaced"):
        write_bundle(NETWORK, 4, tmp_path / "other", POINT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "other"]


def test_thresholds_must_fit_the_exits(frozen: Path, tmp_path: Path):
    with pytest.raises(ThresholdError, match="Too many thresholds"):
        write_bundle(NETWORK, 4, tmp_path / "out", Point(thresholds=(0.5, 0.5, 0.5)))


def test_bits_that_were_not_frozen_name_the_command(frozen: Path, tmp_path: Path):
    with pytest.raises(FormError, match="hybrid freeze digits-vgg --bits 2"):
        write_bundle(NETWORK, 2, tmp_path / "out", POINT)


def test_random_images_make_the_vectors_where_the_data_set_is_missing(
    frozen: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(*_: object) -> None:
        raise writing.DataMissingError("not here")

    monkeypatch.setattr(zoo, "images", missing)
    manifest = json.loads(bundle_files(NETWORK, 4, POINT)["manifest.json"])

    assert manifest["vectors"] == {"images": 16, "split": "random"}


def test_both_certificates_come_from_the_forms_own_trace(frozen: Path):
    made = promises(NETWORK, 4, LIMITS, measure="margin", confidence=0.9)

    recorded = zoo.trace(NETWORK, "deployed-4bit", "certify")
    sure = recorded.confidences["margin"][:, :-1]
    correct = recorded.classes == recorded.labels[:, None]
    early = sure >= np.float32(LIMITS)
    lost = 0  # images that the whole network answers correctly, and a device alone does not
    for image, leaves in enumerate(early):
        exit_ = leaves.argmax() if leaves.any() else sure[image].argmax()
        lost += int(correct[image, -1]) - int(correct[image, exit_])
    down, there = made["cloud_down"], made["cloud_there"]
    assert down["observed"] == pytest.approx(lost / len(correct))
    assert there["question"], down["question"] == (1, 2)
    assert there["bound"] <= down["bound"]
    expected = certify(
        recorded, LIMITS, delta=down["delta_spent"], method="exact", measure="margin", cloud=False
    )
    assert down["bound"] == expected.bound
    assert "with the cloud down, early exits" in down["sentence"]


def test_the_same_bundle_asks_no_new_question(frozen: Path):
    first = promises(NETWORK, 4, LIMITS, measure="margin", confidence=0.9)
    again = promises(NETWORK, 4, LIMITS, measure="margin", confidence=0.9)

    assert first == again
    assert evaluation.ledger(NETWORK, "test").asked == 2


def test_a_zip_holds_the_same_files_with_the_same_bytes_each_time(frozen: Path):
    files = bundle_files(NETWORK, 4, POINT)

    data = zipped(files, folder="digits")

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        read = {name.removeprefix("digits/"): archive.read(name) for name in archive.namelist()}
    assert read == files
    assert zipped(dict(reversed(files.items())), folder="digits") == data


def test_a_chosen_point_of_a_form_brings_both_certificates(frozen: Path, tmp_path: Path):
    field = collect_candidates([NETWORK], deployed=True)
    answer = choose(field, Limits(max_loss_points=8.0, confidence=0.95), Prices())
    save_point(point_file(answer), tmp_path / "point.toml")

    chosen = load_point(tmp_path / "point.toml")
    made = promises(
        NETWORK, 4, chosen.thresholds, measure=chosen.measure, confidence=0.95, chosen=chosen
    )

    assert {one.variant.kind for one in field.candidates} == {"static", "deployed"}
    assert (chosen.variant, chosen.deployed) == ("deployed-4bit", True)
    assert made["cloud_there"]["bound_points"] == 8.0
    assert made["cloud_down"]["bound_points"] >= 0
    assert evaluation.ledger(NETWORK, "test").asked == 0


def test_a_point_of_the_trained_network_is_refused(frozen: Path):
    field = collect_candidates([NETWORK])
    answer = choose(field, Limits(max_energy_uj=20.0), Prices())
    point = point_file(answer)

    with pytest.raises(PointError, match=f"chosen for {point.variant}, whose answers differ"):
        check_point(point, NETWORK, point.bits)
    with pytest.raises(PointError, match="not of cifar10-wide9 at 4"):
        check_point(point, "cifar10-wide9", 4)
