"""`hybrid evaluate --certify`: the certificate as a sentence and as JSON, and what it refuses."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hybrid import certificates, evaluation, zoo
from hybrid.cli.main import app
from hybrid.errors import CertificateError
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


def by_hand(
    number: int, *, delta: float = 0.05, measure: str = "max_probability"
) -> certificates.Certificate:
    """The answer to the question of this number: nine tenths of its part of delta."""
    recorded = zoo.trace("trees-toy", "hybrid-4bit", "certify")
    part = 0.9 * delta * 6 / (math.pi * number) ** 2
    made = certificates.certify(recorded, (0.9, 0.8), delta=part, method="exact", measure=measure)
    return replace(made, delta=delta)


def test_the_certificate_is_of_the_certify_split_and_the_same_question_has_the_same_answer(
    evaluate: Evaluate,
) -> None:
    made = by_hand(1)

    for split in ("test", "certify", "test"):
        found = as_json(evaluate(*POINT, "--split", split, "--json"))

        assert found["split"] == split
        promised = found["certificate"]
        assert promised["sentence"] == made.sentence
        assert promised["bound"] == pytest.approx(made.bound, abs=1e-12)
        assert (promised["question"], promised["delta"]) == (1, 0.05)
        assert promised["delta_spent"] == pytest.approx(0.05 * 6 / math.pi**2)
        assert (promised["samples"], promised["split"]) == (500, "certify")
        recorded = zoo.trace("trees-toy", "hybrid-4bit", "certify")
        exits = certificates.certify_exits(
            recorded, (0.9, 0.8), delta=0.1 * promised["delta_spent"], method="exact"
        )
        assert [one["bound"] for one in promised["exits"]] == [one.bound for one in exits if one]


def test_the_next_question_spends_less_and_so_gets_a_wider_answer(evaluate: Evaluate) -> None:
    evaluate("--bits", "1", "--thresholds", "0.9,0.6", "--certify")
    evaluate("--bits", "1", "--thresholds", "0.9,0.7", "--certify", "--confidence", "0.99")

    third = as_json(evaluate(*POINT, "--json"))["certificate"]

    assert third["question"] == 3
    assert third["bound"] == pytest.approx(by_hand(3).bound, abs=1e-12)
    assert third["bound"] > by_hand(1).bound
    assert third["answer"] == (
        f"question 3 to these 500 images; at most {certificates.rounded_up(third['bound']):.1f} "
        f"points; {100 * third['observed']:.1f} were seen"
    )


def test_the_table_has_the_certificate_in_a_sentence_its_number_and_those_by_exit(
    evaluate: Evaluate,
) -> None:
    made = by_hand(1, delta=0.01, measure="margin")

    shown = evaluate(*POINT, "--confidence", "0.99", "--measure", "margin").stdout

    assert f"certificate             {made.sentence}\n" in shown
    assert made.sentence.startswith("With 99 % confidence")
    assert "  counted as            question 1 to these 500 images; at most " in shown
    assert "exit 1 alone" in shown
    assert "exit 2 alone" in shown


@pytest.mark.parametrize(
    "wrong", [("--thresholds", "0.9"), ("--measure", "mood"), ("--confidence", "95")]
)
def test_a_question_that_has_no_answer_is_not_counted(
    evaluate: Evaluate, wrong: tuple[str, str]
) -> None:
    assert evaluate(*POINT, *wrong).exit_code == 2

    assert as_json(evaluate(*POINT, "--json"))["certificate"]["question"] == 1


def test_without_a_folder_for_the_ledger_nothing_is_certified(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "file" / "traces"))

    refused = evaluate(*POINT)

    assert refused.exit_code == 2
    assert "nothing is certified; make the folder writable" in " ".join(refused.stderr.split())


def test_without_a_home_folder_nothing_is_certified(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HYBRID_TRACES", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def lost(_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(lost))

    with pytest.raises(CertificateError, match="no home folder to note the question in"):
        evaluation.ledger("trees-toy", "test")


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
        ((), "early exits ", "exact"),
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
