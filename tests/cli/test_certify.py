"""`hybrid evaluate --certify`: the certificate as a sentence and as JSON, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hybrid import certificates, zoo
from hybrid.cli.main import app
from tests.own_images import digits, pngs, write_folder
from tests.ui.synthetic import write_pretrained

POINT = ("--bits", "4", "--thresholds", "0.9,0.8", "--certify")
Evaluate = Callable[..., Result]


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """`hybrid evaluate trees-toy` on a folder made here."""
    monkeypatch.setenv("HYBRID_PRETRAINED", str(write_pretrained(tmp_path / "pretrained")))
    return lambda *words: CliRunner().invoke(app, ["evaluate", "trees-toy", *words])


def as_json(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_certificate_is_of_the_certify_split_whatever_split_is_reported(
    evaluate: Evaluate,
) -> None:
    recorded = zoo.trace("trees-toy", "hybrid-4bit", "certify")
    made = certificates.certify(recorded, (0.9, 0.8), delta=0.05)

    for split in ("test", "certify"):
        found = as_json(evaluate(*POINT, "--split", split, "--json"))

        assert found["split"] == split
        promised = found["certificate"]
        assert promised.pop("sentence") == made.sentence
        exits = promised.pop("exits")
        assert promised == made.to_dict()
        assert exits == [
            one.to_dict() if one else None
            for one in certificates.certify_exits(recorded, (0.9, 0.8), delta=0.05)
        ]


def test_the_table_says_the_certificate_in_a_sentence_and_by_exit(evaluate: Evaluate) -> None:
    recorded = zoo.trace("trees-toy", "hybrid-4bit", "certify")
    made = certificates.certify(recorded, (0.9, 0.8), delta=0.01, measure="margin")

    shown = evaluate(*POINT, "--confidence", "0.99", "--measure", "margin").stdout

    assert f"certificate             {made.sentence}\n" in shown
    assert made.sentence.startswith("With 99 % confidence")
    assert "exit 1 alone" in shown
    assert "exit 2 alone" in shown


def test_without_certify_there_is_none(evaluate: Evaluate) -> None:
    assert "certificate" not in as_json(evaluate(*POINT[:-1], "--json"))


@pytest.mark.parametrize("confidence", ["0", "1", "95", "nan", "-1"])
def test_a_confidence_of_0_or_1_gives_one_sentence(evaluate: Evaluate, confidence: str) -> None:
    refused = evaluate(*POINT, "--confidence", confidence)

    assert refused.exit_code == 2
    assert "certifies nothing; give one above 0 and below 1" in refused.stderr


def test_a_network_that_nobody_leaves_has_nothing_to_certify(evaluate: Evaluate) -> None:
    refused = evaluate("--bits", "4", "--static", "--certify")

    assert refused.exit_code == 2
    assert "trees-toy static-4bit has no early exits" in refused.stderr


def test_without_a_trace_of_certify_it_says_how_to_get_one(
    evaluate: Evaluate, tmp_path: Path
) -> None:
    folder = tmp_path / "pretrained" / "trees-toy" / "hybrid-4bit"
    (folder / "trace-certify.parquet").unlink()

    refused = evaluate(*POINT)

    assert refused.exit_code == 2
    assert "no trace of trees-toy hybrid-4bit on certify" in refused.stderr


@pytest.mark.parametrize(
    "labels, words, method",
    [
        ((), "early exits ", "betting"),
        (("--no-labels",), "of the answers differ from", "disagreement"),
    ],
)
def test_a_split_of_ones_own_certifies_for_images_like_its_own(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    labels: tuple[str, ...],
    words: str,
    method: str,
) -> None:
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "traces"))
    images = write_folder(tmp_path / "images", pngs(digits(40)))
    record = [
        "import-images",
        "digits-vgg",
        "--bits",
        "4",
        "--name",
        "mine",
        "--images",
        str(images),
    ]
    recorded = CliRunner().invoke(app, [*record, *labels])
    assert recorded.exit_code == 0, recorded.output

    found = as_json(
        CliRunner().invoke(app, ["evaluate", "digits-vgg", *POINT, "--split", "mine", "--json"])
    )

    promised = found["certificate"]
    assert (promised["method"], promised["samples"], promised["split"]) == (method, 40, "mine")
    assert words in promised["sentence"]
