"""`hybrid cuts` and `hybrid adapt`: what they print and what they refuse."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from hybrid import zoo
from hybrid.cli.main import app
from tests.adaptation.test_adapt import weights

__all__ = ["weights"]

CUTS = ("cuts", "tests.own_models:plain", "--size", "16")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def test_cuts_lists_every_worthwhile_place_with_both_sides():
    lines = run(*CUTS).stdout.splitlines()

    assert [line.split()[0] for line in lines[1:-1]] == ["stem", "norm", "point", "wide"]
    assert "8×8×8 + 8×8×8" in lines[2]
    assert "tests.own_models:plain, images of 3×16×16: 41,120 MACs" in lines[-1]


def test_cuts_as_json_has_the_same_and_every_place_where_asked():
    few, every = (json.loads(run(*CUTS, "--json", *more).stdout) for more in ((), ("--all",)))

    assert few["macs"] == 41_120
    assert few["followed_by"] == "torch.fx"
    assert [cut["name"] for cut in few["cuts"]] == ["stem", "norm", "point", "wide"]
    assert [cut["name"] for cut in every["cuts"]][:3] == ["stem.0", "stem.1", "stem"]
    assert few["cuts"][0]["wire_bytes"] == {"32": 2070, "4": 278}
    assert few["cuts"][0]["edge"]["macs"] + few["cuts"][0]["cloud"]["macs"] == few["macs"]


def test_cuts_draws_a_page_that_needs_no_network(tmp_path: Path):
    path = tmp_path / "cuts.html"

    result = run(*CUTS, "--picture", str(path))

    assert result.exit_code == 0
    page = path.read_text()
    assert "tests.own_models:plain" in page
    assert "norm" in page
    assert 'src="http' not in page


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("cuts", "tests.own_models:plane"), "has no function plane; did you mean plain?"),
        (("cuts", "tests.own_models:plain", "--bits", "9"), "9 bits are not offered"),
        ((*CUTS, "--picture", "cuts.gif"), "A picture is written as .html or .png, not as cuts"),
        (("cuts", "tests.own_models:plain", "--channels", "1"), "on images of 1×224×224 raises"),
    ],
)
def test_what_cuts_cannot_do_is_one_sentence_and_code_2(words: tuple[str, ...], sentence: str):
    result = run(*words)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_help_says_that_a_strangers_code_runs():
    assert "runs the code of the module" in run("cuts", "--help").stdout


def adapt(weights: Path, *more: str) -> Result:
    words = ("--model", "tests.own_models:plain", "--weights", str(weights), "--data", "digits")
    return run("adapt", *words, "--cut", "wide.0", "--exits", "stem", "--size", "16", *more)


def test_adapt_prints_every_variant_and_puts_the_network_beside_the_others(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))

    result = adapt(weights, "--bits", "8", "--name", "mine")

    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "static-32bit",
        "hybrid-8bit",
        "static-8bit",
    ]
    assert zoo.networks() == ["mine"]
    point = json.loads(
        run("evaluate", "mine", "--bits", "8", "--thresholds", "0.9", "--json").stdout
    )
    assert point["network"] == "mine"
    assert point["energy_reduction"] > 1


def test_adapt_refuses_in_one_sentence(weights: Path):
    for words, sentence in (
        (("--bits", "four"), "--bits takes numbers separated by commas, such as 4,8, not 'four'"),
        (("--bits", "4", "--mean", "0.5,x"), "--mean takes numbers"),
        (("--bits", "4", "--cut", "wid"), "did you mean wide?"),
    ):
        result = adapt(weights, *words)

        assert result.exit_code == 2
        assert sentence in result.stderr.splitlines()[-1]


def test_the_help_of_adapt_says_that_later_uses_run_the_code_too():
    words = " ".join(run("adapt", "--help").stdout.split())

    assert "whenever the network's weights are loaded" in words
