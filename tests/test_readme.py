"""The README says what is so: its blocks, its commands, its examples, its links."""

import doctest
import re
from pathlib import Path

import pytest

from scripts import readme

PAGES = ("README.md", "docs/attempts.md", "docs/how-it-works.md")
TEST_COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" '
    "&& .venv/bin/python scripts/check.py"
)


@pytest.fixture
def text(root: Path) -> str:
    return (root / "README.md").read_text()


@pytest.fixture(scope="module")
def renewed(root: Path) -> str:
    """The README written anew over a block that was edited by hand."""
    text = (root / "README.md").read_text()
    edited = text.replace("Usage: hybrid ", "Usage: bybrid ")
    assert edited != text
    return readme.renewed(edited)


def test_every_generated_block_is_as_it_would_be_written_now(text: str, renewed: str):
    assert renewed == text, "run `make readme`"


def test_the_readme_has_every_block_that_can_be_generated(text: str):
    assert {found[2] for found in readme.MARKED.finditer(text)} == set(readme.BLOCKS)


@pytest.mark.slow
def test_a_block_that_was_edited_by_hand_is_written_over(renewed: str):
    assert "Usage: bybrid " not in renewed


def test_every_command_of_the_command_line_is_in_the_readme(text: str):
    commands = re.findall(
        r"^│ ([a-z]+)  ", readme.help_texts().split("Commands", 1)[1], re.MULTILINE
    )

    assert {"evaluate", "trace", "energy", "predict"} <= set(commands)
    assert all(f"<code>hybrid {command}</code>" in text for command in commands)


def test_continuous_integration_runs_the_readmes_test_command(text: str, root: Path):
    assert TEST_COMMAND in text
    assert TEST_COMMAND in (root / ".ci" / "run").read_text()


def test_the_first_command_ends_in_the_dashboard(text: str):
    command = next(line for line in text.splitlines() if line.startswith("python3 -m venv"))

    assert command.endswith("streamlit run app.py")


def test_the_first_screen_has_the_picture_and_both_commands(text: str):
    first_screen = "\n".join(text.splitlines()[:40])

    assert "docs/dashboard.png" in first_screen
    assert TEST_COMMAND in first_screen


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_project_leads_somewhere(page: str, root: Path):
    links = re.findall(r"\]\(([^)#]+)\)", (root / page).read_text())

    assert links
    for link in links:
        assert link.startswith("http") or (root / page).parent.joinpath(link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_names_exists(page: str, root: Path):
    named = re.findall(r"`((?:hybrid|pages|tests|scripts|docs|benchmarks)/[\w./-]*)`",
                       (root / page).read_text())  # fmt: skip

    assert [name for name in named if not (root / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_example_runs_and_prints_what_the_page_says(page: str, root: Path):
    failed, _ = doctest.testfile(str(root / page), module_relative=False)

    assert failed == 0


def test_no_certificate_broke_its_promise_more_often_than_it_may(root: Path):
    lines = (root / "benchmarks" / "results.txt").read_text().splitlines()
    rows = [dict(pair.split("=", 1) for pair in line.split(", ")) for line in lines]
    counted = [row for row in rows if row["benchmark"] == "certificates"]

    assert {row["network"] for row in counted} >= {"cifar10-resnet32", "digits-vgg"}
    for row in counted:
        for kind in readme.KINDS:
            allowed = float(row["delta"]) + 3 * float(row[f"{kind}_se"])
            assert float(row[f"{kind}_broken"]) <= allowed, (row["network"], kind)
