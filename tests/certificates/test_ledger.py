"""The ledger: numbers for questions, on disk, for every process, once and for ever."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.certificates import Ledger, Question, spent
from hybrid.errors import CertificateError

SHA256 = "0" * 64


def about(*thresholds: float, delta: float = 0.05, measure: str = "margin") -> Question:
    return Question(
        weights_sha256=SHA256, thresholds=thresholds, measure=measure, method="exact", delta=delta
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(path=tmp_path / "not there yet" / "trees-certify.json")


@given(st.floats(1e-6, 0.9), st.integers(1, 3000))
def test_all_questions_together_spend_at_most_delta(delta: float, questions: int):
    total = math.fsum(spent(number, delta) for number in range(1, questions + 1))

    # the rest, from the next question on, lies between delta 6 / (pi^2 (n + 1)) and 6 / (pi^2 n)
    rest = delta * 6 / math.pi**2
    assert total == pytest.approx(delta - rest / (questions + 0.5), rel=0.03)
    assert total <= delta - rest / (questions + 1)


def test_questions_are_numbered_and_the_same_one_keeps_its_number(ledger: Ledger):
    asked = [about(0.8, 0.8), about(0.8, 0.7), about(0.8, 0.8), about(0.8, 0.7), about(0.1)]

    assert [ledger.ask(one) for one in asked] == [1, 2, 1, 2, 3]
    assert [Ledger(path=ledger.path).number(one) for one in asked] == [1, 2, 1, 2, 3]
    assert ledger.number(about(0.9, 0.9)) is None
    assert ledger.asked == 3


def test_thresholds_are_the_same_question_where_they_compare_the_same(ledger: Ledger):
    assert ledger.ask(about(0.8)) == 1
    assert ledger.ask(about(0.8 + 1e-12)) == 1
    assert ledger.ask(about(0.8 + 1e-6)) == 2


def test_all_else_makes_another_question_and_confidences_share_the_numbers(ledger: Ledger):
    questions = [
        about(0.8),
        about(0.8, measure="entropy"),
        about(0.8, delta=0.01),
        Question(
            weights_sha256="1" * 64,
            thresholds=(0.8,),
            measure="margin",
            method="exact",
            delta=0.05,
        ),
    ]

    assert [ledger.ask(one) for one in questions] == [1, 2, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.05, 0.01])), max_size=30))
def test_of_all_answers_at_a_confidence_the_chances_add_up_to_at_most_its_delta(
    asked: list[tuple[int, float]],
):
    path = Path(os.environ["HYBRID_TRACES"]) / "some.json"
    path.unlink(missing_ok=True)
    ledger = Ledger(path=path)
    numbers: dict[float, set[int]] = {0.05: set(), 0.01: set()}

    for threshold, delta in asked:
        numbers[delta].add(ledger.ask(about(threshold / 5, delta=delta)))

    assert len(numbers[0.05] | numbers[0.01]) == len(numbers[0.05]) + len(numbers[0.01])
    for delta, some in numbers.items():
        assert math.fsum(spent(one, delta) for one in some) <= delta


ASK = """
import sys
from pathlib import Path
from hybrid.certificates import Ledger, Question
path, first = Path(sys.argv[1]), int(sys.argv[2])
for place in range(first, first + 5):
    question = Question(
        weights_sha256="0", thresholds=(place / 100,), measure="margin", method="exact", delta=0.05
    )
    print(Ledger(path=path).ask(question))
"""


def test_two_processes_at_once_give_no_number_twice(ledger: Ledger):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(ledger.path), str(first)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, 5, 10)
    ]

    numbers = [int(line) for one in started for line in one.communicate()[0].split()]

    assert all(one.returncode == 0 for one in started)
    assert sorted(numbers) == list(range(1, 16))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "questions": {}}', "\0" * 20]
)
def test_a_damaged_file_is_one_sentence_and_stays_as_it_is(ledger: Ledger, text: str):
    ledger.path.parent.mkdir()
    ledger.path.write_text(text)

    for call in (ledger.ask, ledger.number):
        with pytest.raises(CertificateError, match=r"cannot be read .* delete it to count from 1"):
            call(about(0.8))
    assert ledger.path.read_text() == text


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    ledger = Ledger(path=tmp_path / "file" / "trees-certify.json")

    with pytest.raises(
        CertificateError, match=r"cannot be noted in .* name another with HYBRID_TR"
    ):
        ledger.ask(about(0.8))
