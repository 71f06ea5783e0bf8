"""A day of a fleet for the network of handwritten digits, against its trace and costs."""

import json

import pytest
from typer.testing import CliRunner

from hybrid import evaluation, zoo
from hybrid.cli.main import app
from hybrid.deploy.fleet.plan import Fleet, by_threshold, plan
from hybrid.deploy.fleet.queueing import Cloud
from hybrid.errors import FleetError
from hybrid.evaluation import Prices

pytest.importorskip("simpy", reason="simpy is not installed")

NETWORK, THRESHOLDS = "digits-vgg", (0.95, 0.95)
FLEET = Fleet(devices=200, images_per_day=500)
SLOW = Cloud(replicas=2, image_ms=40.0)


@pytest.fixture(scope="module")
def variant() -> zoo.Variant:
    return zoo.variant(NETWORK, 4)


def test_a_day_has_the_traffic_and_energy_of_its_images(variant: zoo.Variant) -> None:
    made = plan(NETWORK, variant, THRESHOLDS, FLEET, SLOW)

    device = Prices(scope="device")
    point = evaluation.evaluate_variant(zoo.card(NETWORK), variant, THRESHOLDS, prices=device)
    sent = 100_000 * (1 - point.outcome.edge_fraction)
    row = made.as_row()
    assert row["requests"] == pytest.approx(sent, abs=5 * sent**0.5)
    assert row["uplink_bytes"] == pytest.approx(point.uplink_bytes * 100_000)
    assert row["device_energy_j"] == pytest.approx(point.energy_pj * 1e-12 * 100_000)
    assert row["edge_fraction"] == point.outcome.edge_fraction
    # without a queue, an image that is sent takes what the costs say, its time in the cloud aside
    layers = sum(one.macs for one in variant.layers if one.segment == "cloud")
    usual_ms = layers / device.profile.cloud_macs_per_second * 1000
    latency_ms = evaluation.costs(variant, device).latency_ms[-1]
    assert row["latency_ms"]["p50"] - 40 == pytest.approx(latency_ms - usual_ms)


def test_the_replicas_needed_are_the_fewest_that_keep_the_time(variant: zoo.Variant) -> None:
    busy = Fleet(devices=60_000, images_per_day=500, pattern="flat")
    asked = {"as_needed": True, "within_ms": 60.0}

    needed = plan(NETWORK, variant, THRESHOLDS, busy, SLOW, **asked)

    assert needed.needed is not None
    assert needed.needed > 1
    assert needed.cloud.replicas == needed.needed
    assert needed.served.percentile_ms(0.99) < 1.1 * 60  # the day is not the hour that was searched
    fewer = Cloud(replicas=needed.needed - 1, image_ms=40.0)
    assert plan(NETWORK, variant, THRESHOLDS, busy, fewer).served.percentile_ms(0.99) > 0.9 * 60


def test_no_number_of_replicas_is_faster_than_one_image(variant: zoo.Variant) -> None:
    assert plan(NETWORK, variant, THRESHOLDS, FLEET, SLOW, within_ms=40).needed is None


def test_higher_thresholds_send_more_and_cost_more(variant: zoo.Variant) -> None:
    rows = list(by_threshold(NETWORK, variant, FLEET, SLOW))

    assert len(rows) > 5
    for name in ("threshold", "peak_requests_per_s", "uplink_bytes", "device_energy_j", "replicas"):
        values = [row[name] for row in rows]
        assert values == sorted(values)


def test_a_fleet_that_cannot_be_simulated_is_refused(variant: zoo.Variant) -> None:
    with pytest.raises(FleetError, match="at least one device"):
        Fleet(devices=0, images_per_day=1)
    with pytest.raises(FleetError, match="part of the fleet"):
        plan(NETWORK, variant, (1, 1), Fleet(devices=10**6, images_per_day=10**6), SLOW)


def test_the_command_prints_a_table_and_the_same_as_json() -> None:
    words = ["fleet", NETWORK, "--bits", "4", "--thresholds", "0.95,0.95", "--devices", "50"]
    words += ["--images-per-day", "200", "--cloud-ms", "3"]

    table = CliRunner().invoke(app, words)
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)

    assert table.exit_code == 0, table.output
    assert found["images"] == 10_000
    assert f"{100 * found['edge_fraction']:.2f} %" in table.stdout
    assert found["replicas_needed"] == 1
    assert len(found["by_threshold"]) == 7


def test_a_wrong_pattern_is_one_sentence() -> None:
    words = ["fleet", NETWORK, "--bits", "4", "--thresholds", "0.9,0.9", "--pattern", "noon"]

    result = CliRunner().invoke(app, words)

    assert result.exit_code == 2
    assert "flat" in result.stderr
