"""`hybrid monitor`: a plan from a network, an edge's lines from a file or stdin, and an alarm."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hybrid import certificates, zoo
from hybrid.cli.main import app
from hybrid.monitor.plan import Plan, load_plan
from tests.monitor.edge import answers
from tests.ui.synthetic import write_pretrained

POINT = ("--network", "trees-toy", "--bits", "4", "--thresholds", "0.9,0.8")
Command = Callable[..., Result]


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`hybrid monitor` with the networks of a folder made here."""
    monkeypatch.setenv("HYBRID_PRETRAINED", str(write_pretrained(tmp_path / "pretrained")))
    return lambda *words, **more: CliRunner().invoke(app, ["monitor", *map(str, words)], **more)


@pytest.fixture
def planned(tmp_path: Path, monitor: Command) -> Callable[..., tuple[Path, Plan]]:
    """A plan for the network with the promise that is given, and its file."""

    def make(*words: str) -> tuple[Path, Plan]:
        path = tmp_path / "plan.json"
        result = monitor(*POINT, "--audit", "0.2", "--save-plan", path, *words)
        assert result.exit_code == 0, result.output
        return path, load_plan(path)

    return make


def written(path: Path, plan: Plan, copies: int = 8, end: str = "\n") -> Path:
    """The lines of an edge that sees the images of `test` some times."""
    trace = zoo.trace("trees-toy", "hybrid-4bit", "test")
    lines = [
        replace(line, image=f"{copy}-{line.image}").to_json()
        for copy in range(copies)
        for line in answers(plan, trace, seed=copy)
    ]
    path.write_text("\n".join(lines) + end)
    return path


def as_json(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_the_promise_is_the_certified_disagreement(planned: Callable[..., tuple[Path, Plan]]):
    _, plan = planned()

    recorded = zoo.trace("trees-toy", "hybrid-4bit", "certify")
    first = 0.9 * 0.05 * 6 / math.pi**2  # of the first question to these images
    made = certificates.certify(recorded, (0.9, 0.8), delta=first, method="disagreement")
    assert plan.promise.epsilon == pytest.approx(made.bound)
    assert plan.promise.images == recorded.samples
    assert plan.bundle == recorded.weights_sha256


def test_a_promise_that_holds_exits_with_0_and_one_that_does_not_with_1(
    tmp_path: Path, monitor: Command, planned: Callable[..., tuple[Path, Plan]]
):
    for promise, code in (("0.9", 0), ("0.01", 1)):
        path, plan = planned("--promise", promise)
        lines = written(tmp_path / "edge.jsonl", plan)

        result = monitor(lines, "--plan", path, "--json")

        assert result.exit_code == code, result.output
        status = as_json(result)
        assert status["alarm"] == bool(code)
        assert status["promise"]["epsilon"] == float(promise)
        assert status["images"] == len(lines.read_text().splitlines())
        assert sum(status["exit_shares"]) == pytest.approx(1)


def test_the_table_says_what_is_promised_and_what_is_certified_now(
    tmp_path: Path, monitor: Command, planned: Callable[..., tuple[Path, Plan]]
):
    path, plan = planned("--promise", "0.6", "--window", "1000")
    lines = written(tmp_path / "edge.jsonl", plan)

    said = monitor(lines, "--plan", path).output

    assert "At most 60.00 % of the answers differ from the cloud's (set by hand)." in said
    assert "No alarm: the audits do not contradict the promise." in said
    assert "All such bounds hold together with 99 % confidence." in said
    assert "exit 1 " in said


def test_stdin_with_a_half_written_last_line_is_read(
    tmp_path: Path, monitor: Command, planned: Callable[..., tuple[Path, Plan]]
):
    path, plan = planned("--promise", "0.9")
    text = written(tmp_path / "edge.jsonl", plan, copies=1, end='\n{"kind": "ans').read_text()

    status = as_json(monitor("-", "--plan", path, "--json", input=text))

    assert status["images"] == len(text.splitlines()) - 1
    assert (status["refused"]["unfinished"], status["refused"]["damaged"]) == (1, 0)


def test_lines_of_another_bundle_are_said_to_be_so(
    tmp_path: Path, monitor: Command, planned: Callable[..., tuple[Path, Plan]]
):
    path, plan = planned("--promise", "0.9")
    lines = written(tmp_path / "edge.jsonl", replace(plan, bundle="f" * 64), copies=1)

    said = monitor(lines, "--plan", path).output

    assert f"lines of another bundle {len(lines.read_text().splitlines()):,}" in " ".join(
        said.split()
    )


@pytest.mark.parametrize(
    "words, sentence",
    [
        ((), "Name the plan with --plan, or make one with --network"),
        (POINT, "Name the edge's lines: a file, - for stdin, or an http address."),
        (("x.jsonl", "--plan", "there-is-none.json"), "there-is-none.json is no plan; write one"),
        (("there-is-none.jsonl", *POINT), "there-is-none.jsonl cannot be read or written"),
        ((*POINT, "--audit", "7"), "A share of 7 cannot be audited; give one from 0.001 to 1"),
        ((*POINT, "--alpha", "1"), "A delta of 1 (confidence 0) certifies nothing"),
        ((*POINT, "--promise", "2"), "A promise of 2 cannot be watched"),
        (("--network", "trees-toy", "--bits", "32", "--static"), "has no early exits"),
    ],
)
def test_bad_input_gets_one_sentence(monitor: Command, words: tuple[str, ...], sentence: str):
    result = monitor(*words)

    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())
