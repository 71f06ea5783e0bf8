"""Audits are drawn by the plan, outlast a cloud that is down, and `hybrid monitor` reads them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid import zoo
from hybrid.deploy.edge.audits import load_policy
from hybrid.deploy.edge.bundle import EdgeBundle
from hybrid.deploy.edge.links import LinkError, Loopback, Reply
from hybrid.deploy.edge.runtime import EdgeRuntime
from hybrid.errors import LineError
from hybrid.monitor import AnswerLine, AuditLine
from hybrid.monitor.plan import Plan, save_plan
from hybrid.monitor.plans import plan_of
from hybrid.monitor.watch import Monitor
from tests.deploy.edge.clouds import Cloud, FailingLink

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
Lines = list[AnswerLine | AuditLine]
LONG_S = 30.0


@pytest.fixture
def plan(frozen: Path, bundle: EdgeBundle) -> Plan:
    """One that audits every early answer."""
    variant = zoo.variant("digits-vgg", 4, deployed=True)
    made = plan_of("digits-vgg", variant, bundle.thresholds, epsilon=0.1, share=1.0)
    return replace(made, window=5)


class Edge:
    """A runtime of one folder of audits, which keeps what it has written."""

    def __init__(self, bundle: EdgeBundle, cache: Path, spool: Path, plan: Plan) -> None:
        self.lines: Lines = []
        self._bundle, self._cache, self._spool = bundle, cache, spool
        self._policy = plan.policy

    def started(self, link: object) -> EdgeRuntime:
        return EdgeRuntime(
            self._bundle,
            link,  # type: ignore[arg-type]
            policy=self._policy,
            spool=self._spool,
            write=self.lines.append,
            cache=self._cache,
            rng=np.random.default_rng(0),
        )


@pytest.fixture
def edge(bundle: EdgeBundle, cache: Path, tmp_path: Path, plan: Plan) -> Edge:
    return Edge(bundle, cache, tmp_path / "spool", plan)


def down() -> FailingLink:
    def never(_: bytes) -> Reply:
        raise LinkError("refused")

    return FailingLink(iter([]), never)


def test_edge_to_monitor_every_audit_is_drawn_answered_and_counted(
    edge: Edge, plan: Plan, vectors: dict[str, np.ndarray], cloud: Cloud
):
    with edge.started(Loopback(cloud)) as runtime:
        for pixels in vectors["pixels"]:
            edge.lines.append(runtime.answer(pixels))
        assert runtime.auditor is not None
        assert runtime.auditor.finish(LONG_S) == 0
    watched = Monitor(plan)
    watched.read([line.to_json() for line in edge.lines])

    status = watched.status()
    early = [line for line in edge.lines if isinstance(line, AnswerLine) and line.source == "exit"]
    truth = dict(zip(map(bytes, vectors["packed"]), vectors["cloud_logits"].argmax(1), strict=True))
    differ = sum(
        line.class_index != cloud_class
        for line, cloud_class in zip(
            [one for one in edge.lines if isinstance(one, AnswerLine)], truth.values(), strict=True
        )
        if line.source == "exit"
    )
    assert early
    assert status.images == len(vectors["pixels"])
    assert (status.audits.drawn, status.audits.differed) == (len(early), differ)
    assert status.audits.agreed == len(early) - differ
    assert set(vars(status.refused).values()) == {0}


def test_no_audit_is_answered_before_its_answer_was_given(
    edge: Edge, vectors: dict[str, np.ndarray], cloud: Cloud
):
    with edge.started(Loopback(cloud)) as runtime:
        assert runtime.auditor is not None
        lines = [runtime.answer(pixels) for pixels in vectors["pixels"]]
        last = next(line for line in reversed(lines) if line.audited)
        assert last is lines[-1]
        assert last.image not in {line.image for line in edge.lines}

        runtime.written()
        assert runtime.auditor.finish(LONG_S) == 0

    assert edge.lines[-1].image == last.image


def test_the_audits_of_a_cloud_that_is_down_are_sent_after_a_restart(
    edge: Edge, plan: Plan, vectors: dict[str, np.ndarray], cloud: Cloud
):
    with edge.started(down()) as runtime:
        for pixels in vectors["pixels"]:
            edge.lines.append(runtime.answer(pixels))
    drawn = [one.image for one in edge.lines if isinstance(one, AnswerLine) and one.audited]
    assert drawn
    assert not any(isinstance(one, AuditLine) for one in edge.lines)

    with edge.started(Loopback(cloud)) as runtime:
        assert runtime.auditor is not None
        assert runtime.auditor.finish(LONG_S) == 0

    assert [one.image for one in edge.lines if isinstance(one, AuditLine)] == drawn
    watched = Monitor(plan)
    watched.add(edge.lines)
    status = watched.status()
    stayed = sum(isinstance(one, AnswerLine) and one.source == "fallback" for one in edge.lines)
    assert (status.waiting, status.fallbacks) == (0, stayed)
    assert status.audits.drawn == status.audits.agreed + status.audits.differed == len(drawn)


def test_an_audit_leaves_the_spool_only_after_its_line_was_written(
    edge: Edge, bundle: EdgeBundle, vectors: dict[str, np.ndarray], cloud: Cloud, tmp_path: Path
):
    spooled = tmp_path / "spool" / bundle.weights[:12]
    seen = []
    edge.lines = Watching(lambda: seen.append(len(list(spooled.glob("*.audit")))))
    with edge.started(down()) as runtime:
        for pixels in vectors["pixels"]:
            runtime.answer(pixels)
    waiting = len(list(spooled.glob("*.audit")))
    assert waiting

    with edge.started(Loopback(cloud)) as runtime:
        assert runtime.auditor is not None
        runtime.auditor.finish(LONG_S)

    assert seen == list(range(waiting, 0, -1))


class Watching(list):  # type: ignore[type-arg]
    """A list that looks around whenever something is written."""

    def __init__(self, look: object) -> None:
        super().__init__()
        self._look = look

    def append(self, line: object) -> None:
        self._look()  # type: ignore[operator]
        super().append(line)


def test_a_device_without_a_plan_claims_no_probability_and_is_no_evidence(
    bundle: EdgeBundle, cache: Path, plan: Plan, vectors: dict[str, np.ndarray], cloud: Cloud
):
    with EdgeRuntime(bundle, Loopback(cloud), cache=cache) as runtime:
        lines = [runtime.answer(pixels) for pixels in vectors["pixels"]]
    watched = Monitor(plan)
    watched.read([line.to_json() for line in lines])

    rows = [json.loads(line.to_json()) for line in lines]
    assert {(row["audited"], row["audit_probability"]) for row in rows} == {(False, None)}
    status = watched.status()
    assert (status.images, status.refused.no_plan) == (0, len(lines))
    assert status.audits.drawn == 0


def test_probabilities_are_those_of_the_plan(
    bundle: EdgeBundle, cache: Path, plan: Plan, tmp_path: Path, vectors: dict[str, np.ndarray],
    cloud: Cloud,
):  # fmt: skip
    rare = replace(plan.policy, scale=0.2, least=0.01)
    edge = Edge(bundle, cache, tmp_path / "spool", replace(plan, policy=rare))
    with edge.started(Loopback(cloud)) as runtime:
        lines = [runtime.answer(pixels) for pixels in vectors["pixels"]]

    early = [line for line in lines if line.source == "exit"]
    expected = rare.probabilities([x.exit_index for x in early], [x.confidence for x in early])
    assert [line.audit_probability for line in early] == pytest.approx(expected.tolist())
    assert {line.audit_probability for line in lines if line.source != "exit"} <= {None}


@pytest.fixture
def saved(plan: Plan, tmp_path: Path) -> Iterator[Path]:
    save_plan(plan, tmp_path / "plan.json")
    return tmp_path / "plan.json"


def test_a_plan_is_read_for_its_bundle_only(saved: Path, bundle: EdgeBundle, plan: Plan):
    assert load_policy(saved, bundle) == plan.policy

    for other in (
        replace(bundle, weights="00" * 32),
        replace(bundle, thresholds=(0.9, 0.9)),
        replace(bundle, measure="margin"),
    ):
        with pytest.raises(LineError, match="a plan for other weights, thresholds"):
            load_policy(saved, other)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"policy": {}}', '{"policy": {"scale": "a"}}'])
def test_what_is_no_plan_is_refused(bundle: EdgeBundle, tmp_path: Path, text: str):
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(LineError, match=r"plan\.json is no plan"):
        load_policy(tmp_path / "plan.json", bundle)
