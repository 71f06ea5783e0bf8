"""Profiles against the figures of their sources, and files that are no profile."""

from pathlib import Path

import pytest

from hybrid.energy import profiles
from hybrid.errors import ProfileError, UnknownNameError

every_profile = pytest.mark.parametrize("name", profiles.profile_names())
every_link = pytest.mark.parametrize("name", profiles.link_names())

OWN = """
format = 1
name = "mine"
title = "My chip"
source = "my bench"
mac_pj_per_bit = 0.5
access_pj_per_bit = 1
cloud_macs_per_second = 1e12

[edge_macs_per_second_at_bits]
32 = 1e9

[basis]
mac_pj_per_bit = "read: my meter"
access_pj_per_bit = "assumed"
cloud_macs_per_second = "assumed"
edge_macs_per_second_at_bits = "computed: from the clock"
"""


def own(tmp_path: Path, old: str = "", new: str = "") -> Path:
    assert old in OWN
    path = tmp_path / "mine.toml"
    path.write_text(OWN.replace(old, new) if old else OWN, encoding="utf-8")
    return path


@every_profile
def test_a_hardware_profile_is_called_like_its_file_and_names_its_source(name: str) -> None:
    profile = profiles.load_profile(name)

    assert profile.name == name
    assert profile.title
    assert profile.source


@every_profile
def test_wider_macs_never_cost_less_and_never_run_faster(name: str) -> None:
    profile = profiles.load_profile(name)
    widths = (1, 2, 3, 4, 5, 6, 7, 8, 32)

    energies = [profile.mac_pj(bits, bits, 144) for bits in widths]
    rates = [profile.edge_macs_per_second(bits) for bits in widths]

    assert energies == sorted(energies)
    assert rates == sorted(rates, reverse=True)


@every_link
def test_a_link_is_called_like_its_file_and_sending_costs(name: str) -> None:
    link = profiles.load_link(name)

    assert link.name == name
    assert link.source
    assert link.energy_pj(1) > 0
    assert link.transfer_ms(1) > 0


def test_the_defaults_come_first() -> None:
    assert profiles.profile_names()[0] == profiles.DEFAULT_PROFILE == "purdue-45nm"
    assert profiles.link_names()[0] == profiles.DEFAULT_LINK


def test_purdue_is_linear_in_bits() -> None:
    purdue = profiles.load_profile("purdue-45nm")

    assert purdue.mac_pj(32, 32) == pytest.approx(3.2)
    assert purdue.mac_pj(8, 8) == pytest.approx(3.1 * 8 / 32 + 0.1)
    assert purdue.access_pj(4) == 10


def test_horowitz_charges_floating_point_at_32_bits_and_integers_below() -> None:
    horowitz = profiles.load_profile("horowitz-45nm-fp32")

    assert horowitz.mac_pj(32, 32) == 4.6  # 3.7 + 0.9
    assert horowitz.mac_pj(8, 8) == pytest.approx(0.2 + 0.1)


def test_qkeras_charges_the_accumulator_by_its_width() -> None:
    qkeras = profiles.load_profile("qkeras-45nm")

    # 144 products of 4 bit weights and 8 bit activations: 4 + 8 + 8 accumulator bits.
    expected = 0.002995 * 8**2 + 0.00104 * 8 + 0.003125 * 20
    assert qkeras.mac_pj(4, 8, fan_in=144) == pytest.approx(expected)


def test_braintta_takes_the_narrowest_width_that_holds_the_operands() -> None:
    braintta = profiles.load_profile("braintta")

    assert braintta.mac_pj(1, 1) == 0.070  # 2 · 35 fJ
    assert braintta.mac_pj(2, 1) == 0.134  # 2 · 67 fJ
    assert braintta.mac_pj(3, 3) == braintta.mac_pj(8, 8) == 0.810  # 2 · 405 fJ


@pytest.mark.parametrize(
    "name, pj",
    [
        ("cortex-m4-stm32l4r5", 553),
        ("cortex-m7-stm32h7a3", 407),
        ("cortex-m33-stm32u575", 205),
        ("cortex-m33-stm32u385", 77),
        ("gap9", 2.2),
        ("syntiant-ndp9120", 8.1),
        ("edge-tpu", 1.0),
    ],
)
def test_chips_gain_nothing_below_8_bits_and_include_their_memory(name: str, pj: float) -> None:
    chip = profiles.load_profile(name)

    assert chip.mac_pj(1, 1) == chip.mac_pj(8, 8) == pj
    assert chip.whole_chip
    assert chip.access_pj(8) == 0


def test_a_raw_cifar_image_costs_two_thirds_of_a_millijoule_over_ble() -> None:
    ble = profiles.load_link("ble-nrf52840")

    assert ble.energy_pj(3072) == pytest.approx(0.66e9, rel=0.01)
    assert ble.transfer_ms(3072) == pytest.approx(3072 * 8 / 700)


def test_a_profile_of_ones_own_is_loaded_by_path(tmp_path: Path) -> None:
    nothing = "mac_pj_per_square_bit = 0\naccess_pj_per_bit = 1"
    text = OWN.replace("access_pj_per_bit = 1", nothing) + 'mac_pj_per_square_bit = "assumed"\n'
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")

    profile = profiles.load_profile(path)

    assert profile.mac_pj(4, 4) == 2.0
    assert profile.edge_macs_per_second(1) == 1e9
    assert profile.basis["mac_pj_per_bit"] == "read: my meter"


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("format = 1", "format = 2", "must set format = 1"),
        ("access_pj_per_bit = 1\n", "", "lacks access_pj_per_bit"),
        ('title = "My chip"', 'titel = "My chip"', "lacks title and has the unknown titel"),
        ("mac_pj_per_bit = 0.5", "mac_pj_per_bit = -1", "mac_pj_per_bit is -1.*0 or more"),
        ("mac_pj_per_bit = 0.5", f"mac_pj_per_bit = 1{'0' * 400}", "is 1000.*0 or more"),
        ("mac_pj_per_bit = 0.5", "mac_pj_per_bit = nan", "mac_pj_per_bit is nan.*0 or more"),
        ("mac_pj_per_bit = 0.5", 'mac_pj_per_bit = "x"', "mac_pj_per_bit is 'x'.*0 or more"),
        ("mac_pj_per_bit = 0.5", "mac_pj_per_bit = 0", "no energy for a MAC"),
        ("32 = 1e9", "32 = 0", "at_bits.32 is 0; a rate must be more"),
        ("32 = 1e9", "wide = 1e9", "must be a table from bit widths"),
        ('mac_pj_per_bit = "read: my meter"', "", "was read, computed, measured, assumed"),
        ("[basis]", "[basis", "cannot be read as TOML"),
    ],
)
def test_a_file_that_is_no_profile_says_what_is_wrong(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(ProfileError, match=sentence):
        profiles.load_profile(own(tmp_path, old, new))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()

    with pytest.raises(ProfileError, match="There is no file"):
        profiles.load_profile(tmp_path / "none.toml")
    with pytest.raises(ProfileError, match="cannot be read"):
        profiles.load_profile(tmp_path / "folder.toml")


def test_a_link_that_sends_nothing_is_refused(tmp_path: Path) -> None:
    text = (profiles.FOLDER / "links" / "ble-nrf52840.toml").read_text(encoding="utf-8")
    path = tmp_path / "dead.toml"
    path.write_text(text.replace("uplink_mbit_per_s = 0.7", "uplink_mbit_per_s = 0"))

    with pytest.raises(ProfileError, match="uplink_mbit_per_s is 0; a rate"):
        profiles.load_link(path)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"No hardware profile is called 'purdue'.*Did you"):
        profiles.load_profile("purdue")
    with pytest.raises(UnknownNameError, match="No link profile is called 'pigeon'"):
        profiles.load_link("pigeon")
