"""operating-point.toml: what is written is read, and what is wrong with a file is one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid.choosing import (
    Limits,
    PointFile,
    choose,
    collect_candidates,
    load_point,
    point_file,
    save_point,
    to_json,
)
from hybrid.errors import PointError, UnknownNameError
from tests.ui.synthetic import write_pretrained


@pytest.fixture
def point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PointFile:
    write_pretrained(tmp_path, exits=2, bits=(2,))
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    limits = Limits(max_loss_points=8.0, images_per_day=10, battery_mah=100, battery_volts=3)
    return point_file(choose(collect_candidates(["trees-toy"]), limits), profile="mine.toml")


def test_a_point_that_was_written_is_read_back(point: PointFile, tmp_path: Path) -> None:
    save_point(point, tmp_path / "point.toml")

    read = load_point(tmp_path / "point.toml")

    assert replace(read, certificate={}, figures={}) == replace(point, certificate={}, figures={})
    assert read.profile == "mine.toml"
    assert read.certificate["confidence"] == 0.95
    assert set(read.figures) == {"tune", "test"}
    assert read.figures["test"]["days"] == point.figures["test"]["days"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("bound_points", "much"), ("bound_points", float("nan")), ("observed_points", True),
        ("confidence", 1.0), ("confidence", [0.95]), ("samples", 1.5), ("samples", 10**400),
        ("comparisons", -1), ("samples", 0), ("reference", "trees-toy"),
        ("reference", ["trees-toy", 1]), ("reference", {"a": "b"}),
    ],
)  # fmt: skip
def test_a_certificate_with_values_of_other_kinds_is_refused(
    point: PointFile, tmp_path: Path, field: str, value: object
) -> None:
    crafted = replace(point, certificate={**point.certificate, field: value})
    save_point(crafted, tmp_path / "point.toml")

    with pytest.raises(PointError, match="has a certificate with values of other kinds"):
        load_point(tmp_path / "point.toml")


def test_the_twin_is_certified_without_a_comparison(point: PointFile, tmp_path: Path) -> None:
    alone = replace(point, certificate={**point.certificate, "comparisons": 0})
    save_point(alone, tmp_path / "point.toml")

    assert load_point(tmp_path / "point.toml").certificate["comparisons"] == 0


@pytest.mark.parametrize(
    "change, words",
    [
        ({"weights_sha256": "1" * 64}, "was chosen for other weights"),
        ({"thresholds": (0.5,)}, "Too few thresholds"),
        ({"thresholds": (0.5, 1.5)}, "is outside 0 to 1"),
        ({"mode": "pigeon"}, "has mode = 'pigeon'; allowed are edge, hybrid, static, cloud"),
        ({"measure": "mood"}, "has measure = 'mood'"),
        ({"scope": "galaxy"}, "has scope = 'galaxy'"),
        ({"bits": 4}, "names hybrid-2bit but 4 bits"),
        ({"mode": "cloud"}, "hybrid-2bit has no deployment mode cloud"),
        ({"mode": "static"}, "hybrid-2bit has no deployment mode static"),
        ({"certificate": {"confidence": 0.95}}, "has a certificate without bound_points"),
    ],
)
def test_a_point_that_does_not_fit_is_refused(
    point: PointFile, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    hybrid = replace(point, mode="hybrid", variant="hybrid-2bit", bits=2, thresholds=(0.5, 0.5))
    save_point(replace(hybrid, **change), tmp_path / "point.toml")  # type: ignore[arg-type]

    with pytest.raises(PointError, match=words):
        load_point(tmp_path / "point.toml")


@pytest.mark.parametrize(
    "content, words",
    [
        ("format = 1", "is of format 1, and this version reads format 2"),
        ("format = 2", "is not an operating point"),
        ("format = 2\nthresholds = 3", "is not an operating point"),
        ("format =", "cannot be read as TOML"),
    ],
)
def test_a_file_that_is_no_point_is_refused(
    point: PointFile, tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "point.toml").write_text(content)

    with pytest.raises(PointError, match=words):
        load_point(tmp_path / "point.toml")


@pytest.mark.parametrize(
    "images, limits, split, refused",
    [
        ("", {"max_loss_points": 1.0}, "test", "certify"),
        ("", {"max_loss_points": 1.0}, "certify", "certify"),
        ("", {"max_loss_points": 1.0}, "field", None),
        ("", {"max_energy_uj": 1.0}, "test", None),  # its bound is the first that certify gave
        ("mine", {"max_loss_points": 1.0}, "mine-certify", "mine-certify"),
        ("mine", {"max_energy_uj": 1.0}, "mine-tune", "mine-tune"),
        ("mine", {"max_loss_points": 1.0}, "test", None),
    ],
)
def test_the_images_a_point_was_chosen_with_do_not_certify_it_again(
    point: PointFile, images: str, limits: dict[str, float], split: str, refused: str | None
) -> None:
    one = replace(point, images=images, limits=limits)

    if refused is None:
        one.check_unseen(split)
        return
    with pytest.raises(PointError, match=f"chosen with the images of {refused}, which cannot"):
        one.check_unseen(split)


def test_a_missing_file_says_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(PointError, match="write one with `hybrid choose --out`"):
        load_point(tmp_path / "nothing.toml")


def test_a_point_of_a_network_that_is_not_here_says_so(point: PointFile, tmp_path: Path) -> None:
    save_point(replace(point, network="pixel"), tmp_path / "point.toml")

    with pytest.raises(UnknownNameError, match="No network is called 'pixel'"):
        load_point(tmp_path / "point.toml")


def test_limits_that_nobody_keeps_have_no_file(point: PointFile) -> None:
    nobody = choose(collect_candidates(["trees-toy"]), Limits(max_energy_uj=0))

    with pytest.raises(PointError, match="No candidate meets these limits"):
        point_file(nobody)


def test_a_point_in_json_is_read_without_the_figures_around_it(
    point: PointFile, tmp_path: Path
) -> None:
    written = to_json(replace(point, split="test")) | {"accuracy": 0.9, "certificate": None}
    (tmp_path / "point.json").write_text(json.dumps(written))

    read = load_point(tmp_path / "point.json")

    assert read.answers == point.answers
    assert (read.mode, read.bits, read.split) == (point.mode, point.bits, "test")
    assert read.certificate == {}


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "cannot be read as JSON"),
        ("3", "cannot be read as JSON"),
        ('["format"]', "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("{}", "is of format None"),
        ('{"format": 2, "thresholds": [0.5]}', "is not an operating point"),
        ('{"format": 2, "thresholds": 3}', "is not an operating point"),
    ],
)
def test_a_json_file_that_is_no_point_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "point.json").write_text(content)

    with pytest.raises(PointError, match=words):
        load_point(tmp_path / "point.json")
