"""The report of a choice: what it says about itself, and nothing about the machine it is from."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hybrid import __version__, choosing
from hybrid.choosing import Limits
from hybrid.evaluation import Prices
from hybrid.ui.choose.report import to_html
from tests.ui.fixtures import toy

__all__ = ["toy"]

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def report(limits: Limits) -> str:
    """The report's own words and figures, without the script of Plotly."""
    field = choosing.collect_candidates(["trees-toy"])
    answer = choosing.choose(field, limits)
    text = to_html(answer, choosing.pareto_sets(field, limits, Prices()), made=NOON)
    return text[: text.index("<script>")] + text[text.index("</script>") :]


def test_a_report_bears_its_date_and_version(toy: Path) -> None:
    assert f"Made on 2026-03-01 at 12:00 UTC by hybrid {__version__}." in report(Limits())


def test_a_report_names_no_folder_of_the_machine(toy: Path) -> None:
    damaged = toy / "trees-toy" / "hybrid-2bit" / "trace-tune.parquet"
    damaged.write_text("no trace")

    text = report(Limits(max_loss_points=20, confidence=0.9))

    assert "trees-toy/hybrid-2bit/trace-tune.parquet is not a readable Parquet file" in text
    assert str(toy) not in text
    assert str(Path.home()) not in text
    assert not re.search(r"[\s'\"(>]/(home|root|work|tmp|Users)/", text)
