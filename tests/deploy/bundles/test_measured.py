"""REPORT.md shows what was measured of an edge, and says where nothing was."""

from dataclasses import replace
from pathlib import Path

import pytest

from hybrid.deploy.bundles import measured as recorded
from hybrid.deploy.bundles import sources
from hybrid.deploy.bundles.measured import Measured, engine_of, measured, save
from hybrid.deploy.c_code import c_files
from tests.deploy.forms import one_form

FORM = one_form(4)
ROW = Measured(
    network=FORM.network, bits=4, processor="cortex-m4f", code_bytes=6220, table_bytes=18508,
    ram_bytes=10560, stack_bytes=1020, instructions_per_mac=2.79, engine=engine_of(c_files(FORM)),
)  # fmt: skip


def report(rows: list[Measured], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sources, "measured", lambda: rows)
    return sources.report(FORM, c_files(FORM), ["stem"])


def test_the_report_has_code_stack_and_instructions(monkeypatch: pytest.MonkeyPatch):
    text = report([replace(ROW, bits=2, stack_bytes=7), ROW], monkeypatch)

    assert "| cortex-m4f | 6,220 | 18,508 | 10,560 | 1,020 | 2.79 |" in text
    assert "| 7 |" not in text
    assert "earlier version" not in text


def test_the_report_says_what_is_not_known_or_old(monkeypatch: pytest.MonkeyPatch):
    other = report([replace(ROW, network="other")], monkeypatch)
    old = report([replace(ROW, engine="0" * 12)], monkeypatch)

    assert f"`python -m scripts.microcontrollers {FORM.network} 4` in a clone" in other
    assert "Measured with an earlier version of this code." in old


def test_rows_that_are_saved_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [replace(ROW, bits=8), ROW]

    save(rows, tmp_path / recorded.FILE)

    monkeypatch.setattr("hybrid.deploy.bundles.measured.resources.files", lambda _: tmp_path)
    assert measured() == [ROW, rows[0]]


def test_each_edge_of_the_documents_was_measured_on_each_processor():
    edges = {("digits-vgg", bits) for bits in (1, 2, 4, 8)}
    edges |= {("cifar10-resnet32", bits) for bits in (1, 2, 4)}
    found = {edge: {row.processor for row in measured() if (row.network, row.bits) == edge}
             for edge in edges}  # fmt: skip

    assert all(len(processors) == 4 for processors in found.values()), found
    assert max(row.ram_bytes for row in measured()) <= 128_000
    assert max(row.code_bytes for row in measured()) <= 12_000
