"""Energy, latency and uplink of a small made-up census, against arithmetic done by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid import energy
from hybrid.energy import Layer
from hybrid.errors import UnknownNameError

PURDUE = energy.load_profile("purdue-45nm")
BLE = energy.load_link("ble-nrf52840")

every_scope = pytest.mark.parametrize("scope", energy.SCOPES)
every_profile = pytest.mark.parametrize("name", energy.profile_names())


def layer(
    segment: str, stage: int, *, macs: int, bits: int = 32, exit_: int | None = None
) -> Layer:
    return Layer(
        name=f"{segment}{stage}",
        stage=stage,
        segment=segment,
        exit=exit_,
        kind="conv",
        macs=macs,
        fan_in=9,
        weight_bits=bits,
        activation_bits=bits,
        weights=10,
        inputs=20,
        outputs=30,
        output_shape=(30,),
        packed_bytes=10 * bits // 8,
    )


# A stem, two edge stages of 1 bit with a head each, one cloud stage and the final classifier.
LAYERS = [
    layer("edge", 0, macs=1000),
    layer("edge", 1, macs=2000, bits=1),
    layer("head", 1, macs=100, exit_=0),
    layer("edge", 2, macs=3000, bits=1),
    layer("head", 2, macs=200, exit_=1),
    layer("cloud", 3, macs=5000),
    layer("cloud", -1, macs=400),
]
ALONE = [replace(one, segment="edge") for one in LAYERS if one.exit is None]  # a static network
MAC_1, MAC_32 = 3.1 / 32 + 0.1, 3.2  # pJ
ACCESS_1, ACCESS_32 = (10 + 20 + 30) * 2.5, (10 + 20 + 30) * 2.5 * 32  # pJ a layer


def costs(scope: str, *, radio: bool = True, layers: list[Layer] = LAYERS) -> energy.ExitCosts:
    return energy.costs(
        layers, exits=2, uplink_bytes=64, profile=PURDUE, link=BLE, scope=scope, radio=radio
    )


def test_a_sample_pays_for_stages_and_heads_up_to_its_exit() -> None:
    first, second, final = costs("compute").energy_pj

    assert first == pytest.approx(1000 * MAC_32 + 2000 * MAC_1 + 100 * MAC_32)
    assert second == pytest.approx(first + 3000 * MAC_1 + 200 * MAC_32)
    assert final == pytest.approx(second + 5400 * MAC_32)


def test_memory_reads_weights_and_inputs_and_writes_outputs_once() -> None:
    compute, both = costs("compute").energy_pj, costs("compute + memory").energy_pj

    # Until the first exit: stem and head at 32 bits, one stage at 1 bit.
    assert both[0] - compute[0] == pytest.approx(2 * ACCESS_32 + ACCESS_1)
    # All of it: stem, two heads, cloud stage, classifier at 32 bits, two stages at 1 bit.
    assert both[2] - compute[2] == pytest.approx(5 * ACCESS_32 + 2 * ACCESS_1)


def test_the_device_pays_for_edge_memory_and_radio_but_not_for_the_cloud() -> None:
    first, second, final = costs("device").energy_pj

    assert first == pytest.approx(costs("compute + memory").energy_pj[0])
    assert final == pytest.approx(second + 64 * 8 * 27_000)  # bytes · bits · pJ a bit


def test_latency_is_edge_time_then_travel_then_cloud_time() -> None:
    first, second, final = costs("compute").latency_ms

    assert first == pytest.approx(3100 / 1e10 * 1000)
    assert second == pytest.approx(6300 / 1e10 * 1000)
    travel_ms = 50 + 64 * 8 / 0.7e6 * 1000
    assert final == pytest.approx(second + travel_ms + 5400 / 1e12 * 1000)


def test_narrow_macs_take_the_time_of_their_own_width() -> None:
    braintta = energy.load_profile("braintta")

    found = energy.costs(
        LAYERS, exits=2, uplink_bytes=64, profile=braintta, link=BLE, scope="compute", radio=True
    )

    assert found.latency_ms[0] == pytest.approx((1100 / 2.40625e9 + 2000 / 307e9) * 1000)


def test_only_the_final_exit_sends() -> None:
    assert costs("compute").uplink_bytes == (0, 0, 64)


@every_scope
def test_a_static_network_sends_nothing_and_runs_on_the_device(scope: str) -> None:
    found = energy.costs(
        ALONE, exits=0, uplink_bytes=64, profile=PURDUE, link=BLE, scope=scope, radio=False
    )

    priced = sum(energy.layer_energy_pj(one, PURDUE, scope) for one in ALONE)
    assert found.energy_pj == pytest.approx((priced,))
    assert found.latency_ms == pytest.approx((11400 / 1e10 * 1000,))
    assert found.uplink_bytes == (0,)


def test_the_twin_pays_for_every_layer_at_32_bits_and_for_no_head() -> None:
    def twin_pj(scope: str) -> float:
        return energy.twin_energy_pj(
            LAYERS, profile=PURDUE, link=BLE, scope=scope, image_bytes=3072
        )

    assert twin_pj("compute") == pytest.approx(11_400 * MAC_32)
    assert twin_pj("compute + memory") == pytest.approx(11_400 * MAC_32 + 5 * ACCESS_32)
    assert twin_pj("device") == 3072 * 8 * 27_000  # the raw image over the link


@every_scope
@given(st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any))
def test_the_parts_sum_to_the_mean_energy(scope: str, counts: list[int]) -> None:
    fractions = [count / sum(counts) for count in counts]

    parts = energy.by_part(
        LAYERS,
        exits=2,
        exit_fractions=fractions,
        uplink_bytes=64,
        profile=PURDUE,
        link=BLE,
        scope=scope,
        radio=True,
    )

    mean_pj = sum(f * e for f, e in zip(fractions, costs(scope).energy_pj, strict=True))
    assert list(parts) == ["stem", "stage 1", "stage 2", "heads", "radio", "cloud"]
    assert sum(parts.values()) == pytest.approx(mean_pj)


def test_a_static_network_has_a_classifier_and_no_cloud_among_its_parts() -> None:
    parts = energy.by_part(
        ALONE,
        exits=0,
        exit_fractions=[1.0],
        uplink_bytes=0,
        profile=PURDUE,
        link=BLE,
        scope="compute",
        radio=False,
    )

    names = ["stem", "stage 1", "stage 2", "stage 3", "classifier", "heads", "radio", "cloud"]
    assert list(parts) == names
    assert parts["cloud"] == parts["radio"] == parts["heads"] == 0
    assert parts["classifier"] == pytest.approx(400 * MAC_32)


CLOUD = replace(
    PURDUE,
    name="cloud",
    mac_pj_per_bit=0.0,
    mac_pj_fixed=0.5,
    access_pj_per_bit=0.25,
    cloud_macs_per_second=4e12,
)


@pytest.mark.parametrize(
    "scope, cloud_pj",
    [
        ("compute", 5400 * 0.5),
        # two layers of the cloud, each with 10 weights, 20 inputs and 30 outputs of 32 bits
        ("compute + memory", 5400 * 0.5 + 2 * (10 + 20 + 30) * 32 * 0.25),
        ("device", 64 * 8 * 27_000),  # the radio; the cloud is free
    ],
)
def test_a_cloud_with_a_profile_of_its_own_prices_only_the_clouds_layers(
    scope: str, cloud_pj: float
) -> None:
    found = energy.costs(
        LAYERS,
        exits=2,
        uplink_bytes=64,
        profile=PURDUE,
        link=BLE,
        scope=scope,
        radio=True,
        cloud=CLOUD,
    )

    assert found.energy_pj[:2] == costs(scope).energy_pj[:2]
    assert found.energy_pj[2] == pytest.approx(found.energy_pj[1] + cloud_pj)
    assert found.latency_ms[:2] == costs(scope).latency_ms[:2]
    travel_ms = 50 + 64 * 8 / 0.7e6 * 1000
    assert found.latency_ms[2] == pytest.approx(
        found.latency_ms[1] + travel_ms + 5400 / 4e12 * 1000
    )


@every_scope
def test_a_cloud_with_the_devices_profile_changes_no_digit(scope: str) -> None:
    found = energy.costs(
        LAYERS,
        exits=2,
        uplink_bytes=64,
        profile=PURDUE,
        link=BLE,
        scope=scope,
        radio=True,
        cloud=PURDUE,
    )

    assert found == costs(scope)


def test_the_parts_price_the_cloud_by_its_own_profile() -> None:
    parts = energy.by_part(
        LAYERS,
        exits=2,
        exit_fractions=[0.5, 0.25, 0.25],
        uplink_bytes=64,
        profile=PURDUE,
        link=BLE,
        scope="compute",
        radio=True,
        cloud=CLOUD,
    )

    assert parts["cloud"] == pytest.approx(0.25 * 5400 * 0.5)
    assert parts["stem"] == pytest.approx(1000 * MAC_32)


@every_profile
@every_scope
def test_leaving_later_never_costs_less(name: str, scope: str) -> None:
    found = energy.costs(
        LAYERS,
        exits=2,
        uplink_bytes=64,
        profile=energy.load_profile(name),
        link=BLE,
        scope=scope,
        radio=True,
    )

    assert sorted(found.energy_pj) == list(found.energy_pj)
    assert sorted(found.latency_ms) == list(found.latency_ms)


def test_a_mac_is_charged_at_the_wider_operand() -> None:
    assert PURDUE.mac_pj(1, 8) == PURDUE.mac_pj(8, 1) == PURDUE.mac_pj(8, 8)


def test_the_published_ratios_of_32_bits_to_k_bits_come_out() -> None:
    ratios = {k: round(PURDUE.mac_pj(32, 32) / PURDUE.mac_pj(k, k), 1) for k in (1, 2, 3, 4, 8)}

    assert ratios == {1: 16.3, 2: 10.9, 3: 8.2, 4: 6.6, 8: 3.7}


def test_an_unknown_scope_names_the_scopes_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"compute \+ memory, device.*Did you mean compute"):
        costs("computing")
