"""README.md and docs/ are true: their blocks, commands, examples and links."""

import doctest
import re
import shlex
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest

from scripts import documents

ROOT = Path(__file__).resolve().parent.parent
README, CLI = ROOT / "README.md", ROOT / "docs" / "cli.md"
PAGES = [*documents.pages(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
TEST_COMMAND = (
    'python3 -m venv .venv && .venv/bin/pip install -e ".[test]" '
    "&& .venv/bin/python scripts/check.py"
)
MOST_README_LINES = 150
FOLDERS = "hybrid|pages|tests|scripts|docs|benchmarks|examples|pretrained|static"
page_name = attrgetter("name")
every_page = pytest.mark.parametrize("page", PAGES, ids=page_name)


def blocks(page: Path) -> list[str]:
    return [found[2] for found in documents.MARKED.finditer(page.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_name)
def test_every_generated_block_is_as_it_would_be_written_now(page: Path):
    text = page.read_text()

    assert documents.renewed(text) == text, "run `make documents`"


def test_every_block_that_can_be_generated_is_in_one_document():
    assert sorted(name for page in PAGES for name in blocks(page)) == sorted(documents.BLOCKS)


def test_every_marker_begins_or_ends_a_block():
    markers = sum(len(re.findall(r"<!-- (?:begin|end)", page.read_text())) for page in PAGES)

    assert markers == 2 * len(documents.BLOCKS)


@pytest.mark.slow
def test_a_block_that_was_edited_by_hand_is_overwritten():
    text = CLI.read_text()
    edited = text.replace("Usage: hybrid ", "Usage: bybrid ")

    assert edited != text
    assert documents.renewed(edited) == text


def test_every_command_of_the_command_line_has_a_section():
    text, commands = CLI.read_text(), documents.commands()

    assert {"evaluate", "trace", "energy", "predict"} <= set(commands)
    assert [name for name in commands if f"\n## hybrid {name}\n" not in text] == []


@every_page
def test_every_command_and_option_that_a_page_names_exists(page: Path):
    wrong = [words for words in named_commands(page.read_text()) if not is_offered(words)]

    assert wrong == []


def named_commands(text: str) -> Iterator[list[str]]:
    """The words of every `hybrid …` in shell blocks and in inline code."""
    shell = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in shell for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for line in [*lines, *re.findall(r"`((?:\.venv/bin/)?hybrid [a-z][^`]*)`", prose)]:
        found = re.search(r"(?:^|[ /])hybrid ([a-z-]+.*)", line)
        if found:
            yield shlex.split(found[1], comments=True)


def is_offered(words: list[str]) -> bool:
    command = documents.commands().get(words[0])
    if command is None:
        return False
    offered = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return {word.split("=")[0] for word in words if word.startswith("--")} <= offered


def test_the_readme_has_at_most_150_lines():
    assert len(README.read_text().splitlines()) <= MOST_README_LINES


def test_continuous_integration_runs_the_readmes_test_command():
    assert TEST_COMMAND in README.read_text()
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text()


def test_the_first_command_ends_in_the_dashboard():
    lines = README.read_text().splitlines()
    command = next(line for line in lines if line.startswith("python3 -m venv"))

    assert command.endswith("streamlit run app.py")


def test_the_first_screen_has_the_picture_and_both_commands():
    first_screen = "\n".join(README.read_text().splitlines()[:24])

    assert "docs/dashboard.png" in first_screen
    assert "streamlit run app.py" in first_screen
    assert TEST_COMMAND in first_screen


@pytest.mark.parametrize("name", [page.name for page in documents.pages()[1:]])
def test_every_document_can_be_reached_from_the_readme(name: str):
    seen: set[Path] = set()
    waiting = [README]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        found = [(page.parent / link).resolve() for link in links(page) if link.endswith(".md")]
        waiting += [path for path in found if path not in seen and path.is_file()]

    assert ROOT / "docs" / name in seen


@every_page
def test_every_link_within_the_project_leads_somewhere(page: Path):
    inner = [link for link in links(page) if not link.startswith("http")]

    assert [link for link in inner if not (page.parent / link).exists()] == []


@every_page
def test_every_link_to_a_heading_finds_it(page: Path):
    anchored = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())

    assert [both for both in anchored if both[1] not in anchors(page, both[0])] == []


def anchors(page: Path, target: str) -> set[str]:
    """GitHub's anchors of the headings of a page, or of the one it links to."""
    text = (page.parent / target if target else page).read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())


@every_page
def test_every_file_a_page_names_exists(page: Path):
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", page.read_text())

    assert [name for name in named if not (ROOT / name).exists()] == []


# docs/api.md reads a folder of photos, which tests/test_api.py makes
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "api.md"], ids=page_name)
def test_every_example_runs_and_prints_what_the_page_shows(page: Path):
    failed, _ = doctest.testfile(str(page), module_relative=False)

    assert failed == 0


def test_the_readme_and_two_documents_have_examples():
    examples = [page.name for page in PAGES if ">>> " in page.read_text()]

    assert {"README.md", "certificates.md", "deploying.md"} <= set(examples)


def test_no_certificate_was_violated_more_often_than_it_may_be():
    lines = (ROOT / "benchmarks" / "results.txt").read_text().splitlines()
    rows = [dict(pair.split("=", 1) for pair in line.split(", ")) for line in lines]
    counted = [row for row in rows if row["benchmark"] == "certificates"]

    assert {row["network"] for row in counted} >= {"cifar10-resnet32", "digits-vgg"}
    for row in counted:
        for kind in (kind for kind in documents.KINDS if f"{kind}_broken" in row):
            allowed = float(row["delta"]) + 3 * float(row[f"{kind}_se"])
            assert float(row[f"{kind}_broken"]) <= allowed, (row["network"], kind)
