"""Choosing on a user's own images: chosen on one half, certified on the other."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hybrid import certificates, zoo
from hybrid.choosing import Limits, Point, choose, collect_candidates, point_file, to_toml
from hybrid.cli.main import app
from hybrid.errors import LimitError
from hybrid.traces.trace import Trace
from tests.own_images import write_halves, write_user_split
from tests.ui.fixtures import toy

__all__ = ["toy"]

pytestmark = pytest.mark.usefixtures("traces", "toy")


def answers(point: Point, split: str) -> list[int]:
    """What each sample is answered at the point, one sample after the other."""
    trace = zoo.trace(point.network, point.variant, split)
    return [_answer(trace, sample, point.thresholds) for sample in range(trace.samples)]


def _answer(trace: Trace, sample: int, thresholds: Sequence[float]) -> int:
    for exit_, threshold in enumerate(thresholds):
        if trace.confidences["max_probability"][sample, exit_] >= np.float32(threshold):
            return int(trace.classes[sample, exit_])
    return int(trace.classes[sample, -1])


def run(*arguments: str) -> str:
    """What `hybrid choose trees-toy` prints."""
    result = CliRunner().invoke(app, ["choose", "trees-toy", *arguments])
    assert result.exit_code in {0, 1}, result.stderr
    return result.stdout


def twin(split: str) -> list[int]:
    return [int(c) for c in zoo.trace("trees-toy", "static-32bit", split).classes[:, -1]]


def test_the_point_is_counted_on_the_half_to_choose_on_and_certified_on_the_other() -> None:
    write_halves("trees-toy")

    found = choose(
        collect_candidates(["trees-toy"], images="mine"), Limits(max_loss_points=25, confidence=0.9)
    )

    assert found.best is not None
    labels = zoo.trace("trees-toy", "static-32bit", "mine-tune").labels.tolist()
    right = sum(a == b for a, b in zip(answers(found.best, "mine-tune"), labels, strict=True))
    asked = sum(a == b for a, b in zip(twin("mine-tune"), labels, strict=True))
    assert found.best.tune.accuracy == right / 200
    assert found.best.tune.loss_points == pytest.approx(100 * (asked - right) / 200)
    assert found.best.tune.split == "mine-tune"
    assert found.best.test is None
    assert found.proof is not None
    assert found.proof.samples == 200
    truth = zoo.trace("trees-toy", "static-32bit", "mine-certify").labels.tolist()
    lost = [
        (a == label) - (b == label)
        for a, b, label in zip(
            twin("mine-certify"), answers(found.best, "mine-certify"), truth, strict=True
        )
    ]
    assert found.proof.observed_points == pytest.approx(100 * sum(lost) / 200)


def test_without_labels_what_the_twin_answers_is_right() -> None:
    write_halves("trees-toy", labelled=False)

    found = choose(
        collect_candidates(["trees-toy"], images="mine"), Limits(max_loss_points=60, confidence=0.9)
    )

    assert not found.labelled
    assert found.best is not None
    other = sum(
        a != b for a, b in zip(answers(found.best, "mine-tune"), twin("mine-tune"), strict=True)
    )
    assert found.best.tune.loss_points == pytest.approx(100 * other / 200)
    assert found.references == {"trees": ("trees-toy", "static-32bit")}


def test_the_bound_without_labels_holds_for_the_accuracy_too() -> None:
    write_halves("trees-toy", labelled=False)
    write_halves("trees-toy", "known")

    blind = collect_candidates(["trees-toy"], images="mine")
    seeing = collect_candidates(["trees-toy"], images="known")

    assert blind.candidates
    for without, labelled in zip(blind.candidates, seeing.candidates, strict=True):
        at = [0.7] * (without.seen["certify"].classes.shape[1] - 1) + [0.0]
        bounds = [
            certificates.certify(one.seen["certify"].against_reference, at, delta=0.1).observed
            for one in (without, labelled)
        ]
        assert bounds[0] >= bounds[1]


def test_a_network_without_these_images_stands_aside_with_its_reason() -> None:
    write_halves("trees-toy")

    field = collect_candidates(["trees-toy", "trees-wide"], images="mine")

    assert {one.network for one in field.candidates} == {"trees-toy"}
    assert field.absent[0] == (
        "trees-wide has no images called mine, recorded in two halves (it has none); record them "
        "with `hybrid import-images trees-wide … --name mine --tune-certify`."
    )


def test_images_that_were_not_divided_cannot_be_chosen_on() -> None:
    write_user_split("trees-toy", "mine")

    with pytest.raises(LimitError, match="has no images called mine, recorded in two halves"):
        collect_candidates(["trees-toy"], images="mine")


def test_the_file_of_the_point_says_which_images_it_was_chosen_on() -> None:
    write_halves("trees-toy")

    found = choose(collect_candidates(["trees-toy"], images="mine"), Limits())

    assert 'images = "mine"' in to_toml(point_file(found))


@pytest.mark.parametrize(
    "purposes, divisions",
    [
        (("tune", "certify"), ("of yesterday", "of today")),
        (("tune", "certify"), ("", "")),
        (("report", "report"), ("same", "same")),
    ],
)
def test_halves_that_may_share_images_are_not_paired_by_their_names(
    purposes: tuple[str, str], divisions: tuple[str, str]
) -> None:
    for name, purpose, division in zip(("tune", "certify"), purposes, divisions, strict=True):
        write_user_split("trees-toy", f"mine-{name}", purpose=purpose, division=division)

    with pytest.raises(LimitError, match="has no images called mine, recorded in two halves"):
        collect_candidates(["trees-toy"], images="mine")


def test_the_command_chooses_on_own_images() -> None:
    write_halves("trees-toy")

    said = json.loads(run("--images", "mine", "--max-loss", "30", "--uncertified", "--json"))

    assert said["images"] == "mine"
    assert said["best"]["tune"]["split"] == "mine-tune"
    assert said["best"]["test"] is None
    words = run("--images", "mine", "--max-loss", "30", "--uncertified")
    assert "none are left to report on" in " ".join(words.split())


def test_the_report_names_the_images(tmp_path: Path) -> None:
    write_halves("trees-toy")

    run("--images", "mine", "--report", str(tmp_path / "report.html"))

    report = (tmp_path / "report.html").read_text("utf-8")
    assert "Chosen on mine-tune, certified on mine-certify." in report
    assert "On mine-tune" in report
