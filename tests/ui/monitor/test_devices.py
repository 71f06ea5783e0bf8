"""The devices of the page Monitor: uploads, and one whose images are corrupted."""

import io

import pytest

from hybrid import certificates, zoo
from hybrid.errors import LineError
from hybrid.ui.monitor import devices
from hybrid.ui.view import View
from tests.monitor.edge import answers, made_up_plan, made_up_trace

VARIANT = "hybrid-4bit"


def digits_view() -> View:
    early = zoo.card("digits-vgg").variants[VARIANT].early_exits
    return View(network="digits-vgg", bits=4, thresholds=(0.8,) * early)


def test_an_upload_is_read_line_by_line():
    plan = made_up_plan()
    lines = answers(plan, made_up_trace(samples=300))

    text = "\n".join(line.to_json() for line in lines)
    status = devices.watched(plan, text.encode())

    assert status.images == len(io.StringIO(text).readlines())


def test_an_upload_of_more_lines_than_are_read_gets_a_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(devices, "MOST_LINES", 10)

    with pytest.raises(LineError, match="has more than 10 lines, the most that a page reads; "):
        devices.watched(made_up_plan(), 11 * b"\n")
    assert devices.watched(made_up_plan(), 10 * b"\n").refused.damaged == 10


def test_the_promise_to_start_with_is_above_the_disagreement_on_tune():
    view = digits_view()

    seen, promise = devices.usual(view)

    tune = zoo.trace("digits-vgg", VARIANT, "tune")
    assert seen == certificates.disagreements(tune, view.thresholds).mean()
    assert 100 * seen + 1 <= promise <= 125 * seen + 2


@pytest.mark.slow
def test_a_dirty_lens_raises_an_alarm_only_when_it_gets_dirty():
    view = digits_view()
    plan = devices.plan_at(view.network, VARIANT, view.thresholds, view.measure, 0.03)

    clean, dirty = (devices.made_up(plan, "contrast", strength) for strength in (0, 5))

    assert not clean.alarm
    assert clean.history[:100] == dirty.history[:100]
    assert dirty.diagnostics.exits_apart > clean.diagnostics.exits_apart
    assert dirty.observed > clean.observed
