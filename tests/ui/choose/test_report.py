"""The report of a choice: what it says about itself, and nothing about the machine it is from."""

import datetime as dt
import re
from pathlib import Path

from hybrid import __version__, choosing
from hybrid.choosing import Limits
from hybrid.evaluation import Prices
from hybrid.ui.choose.report import to_html
from tests.ui.fixtures import toy

__all__ = ["toy"]

DAY = dt.date(2026, 3, 1)


def report(limits: Limits) -> str:
    """The report's own words and figures, without the script of Plotly."""
    field = choosing.collect_candidates(["trees-toy"])
    answer = choosing.choose(field, limits)
    seen = choosing.pareto_sets(field, limits, Prices())
    text = to_html(answer, seen, choosing.loss_curve(field, limits), on=DAY)
    return text[: text.index("<script>")] + text[text.index("</script>") :]


def test_a_report_bears_its_date_version_and_command(toy: Path) -> None:
    text = report(Limits(max_loss_points=20, confidence=0.9))

    assert f"Made on 2026-03-01 by hybrid {__version__} with" in text
    assert "<pre>hybrid choose trees-toy --max-loss 20 --confidence 0.9</pre>" in text


def test_a_report_without_a_certificate_says_so(toy: Path) -> None:
    words = "Not certified: the accuracy lost was only measured on the tuning images"

    assert words in report(Limits(max_loss_points=20, confidence=None))
    assert words not in report(Limits(max_loss_points=20))


def test_a_report_names_no_folder_of_the_machine(toy: Path) -> None:
    damaged = toy / "trees-toy" / "hybrid-2bit" / "trace-tune.parquet"
    damaged.write_text("no trace")

    text = report(Limits(max_loss_points=20, confidence=0.9))

    assert "trees-toy/hybrid-2bit/trace-tune.parquet is not a readable Parquet file" in text
    assert str(toy) not in text
    assert str(Path.home()) not in text
    assert not re.search(r"[\s'\"(>]/(home|root|work|tmp|Users)/", text)
