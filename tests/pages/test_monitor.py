"""The page Monitor, driven without a browser: a made-up device, and uploads of a real one."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from hybrid import zoo
from hybrid.monitor.plan import Plan, Promise, make_plan
from tests.monitor.edge import answers
from tests.ui.synthetic import write_pretrained

NETWORK = "trees-toy"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> AppTest:
    """The page after its first run, at 4 bits."""
    write_pretrained(tmp_path, network=NETWORK, samples=300)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
    app.query_params["bits"] = "4"
    app.switch_page("pages/monitor.py").run()
    assert not app.exception
    return app


def chart(page: AppTest, key: str) -> dict:
    found = [one for one in page.get("plotly_chart") if key in one.proto.id]
    return json.loads(found[0].proto.spec)


def headings(page: AppTest) -> list[str]:
    return [heading.value for heading in page.subheader]


def uploaded(page: AppTest, plan: bytes, lines: bytes) -> AppTest:
    page.segmented_control(key="monitor_source").set_value("upload").run()
    page.file_uploader(key="monitor_plan").upload("plan.json", plan, "application/json")
    page.file_uploader(key="monitor_lines").upload("edge.jsonl", lines, "text/plain")
    return page.run()


def device(epsilon: float) -> tuple[Plan, bytes]:
    """A plan, and the lines of a device that has seen the test images."""
    tune, test = (zoo.trace(NETWORK, "hybrid-4bit", split) for split in ("tune", "test"))
    plan = make_plan(
        tune,
        (0.5, 0.5),
        Promise(epsilon=epsilon),
        bundle=tune.weights_sha256,
        share=1.0,
        window=100,
    )
    return plan, "\n".join(line.to_json() for line in answers(plan, test)).encode()


def test_a_device_that_keeps_its_promise_raises_no_alarm(page: AppTest):
    page.number_input[0].set_value(90.0).run()

    assert page.success[0].value.startswith("No alarm")
    assert headings(page) == [
        "Evidence against the promise", "Certified now", "Exits and confidences",
    ]  # fmt: skip
    assert next(one for one in page.metric if one.label == "Images").value == "40,000"


def test_a_promise_that_is_too_small_raises_an_alarm(page: AppTest):
    page.number_input[0].set_value(0.5).run()

    assert page.error[0].value.startswith("Alarm after ")
    evidence = chart(page, "monitor_evidence")["data"]
    assert [trace["name"] for trace in evidence] == [
        "Evidence", "Evidence: alarm", "Restarting test", "Restarting test: alarm",
    ]  # fmt: skip


def test_the_lines_of_a_device_are_read(page: AppTest):
    plan, lines = device(epsilon=0.9)

    uploaded(page, json.dumps(plan.to_dict()).encode(), lines)

    assert not page.exception
    count = len(lines.splitlines())
    assert next(one for one in page.metric if one.label == "Images").value == str(count)
    assert page.success[0].value.startswith("No alarm")


def test_until_both_files_are_there_nothing_is_shown(page: AppTest):
    page.segmented_control(key="monitor_source").set_value("upload").run()

    assert headings(page) == []
    assert any("Upload both files" in one.value for one in page.caption)


def test_a_file_that_is_no_plan_gets_a_sentence(page: AppTest):
    uploaded(page, b"[1, 2]", b"")

    assert page.error[0].value == (
        "plan.json is no plan; write one with `hybrid monitor --save-plan`."
    )


def test_lines_of_another_bundle_are_listed(page: AppTest):
    plan, lines = device(epsilon=0.9)
    other = plan.to_dict() | {"bundle": "f" * 64}

    uploaded(page, json.dumps(other).encode(), lines)

    listed = [one.value for one in page.text]
    assert f"lines of another bundle: {len(lines.splitlines())}" in listed


def test_corruption_without_images_gets_a_sentence(page: AppTest):
    page.select_slider(key="monitor_strength").set_value(3).run()

    assert not page.exception
    assert len(page.error) + len(page.warning) == 1
