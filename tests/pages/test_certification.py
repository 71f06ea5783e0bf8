"""Explore's bound for all settings at once, through AppTest: anywhere, and where none is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from hybrid import certificates, evaluation, zoo
from hybrid.text import certificate as texts
from hybrid.traces import trace
from hybrid.ui.choose.certified import CertifiedPoint
from hybrid.ui.explore import bands, certification, load
from hybrid.ui.view import View
from tests.ui.synthetic import write_pretrained

Explore = Callable[..., AppTest]
TOY = {"network": "trees-toy", "bits": "2"}
VIEW = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8))


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def bound(*thresholds: float, measure: str = "max_probability", part: float = 0.8 / 9) -> float:
    """Of trees-toy at 2 bits, computed from its traces; a ninth of delta for each bit width."""
    certify, tune = (zoo.trace("trees-toy", "hybrid-2bit", split) for split in ("certify", "tune"))
    path = {one.bits: one for one in load.frontiers(replace(VIEW, bits=4, measure=measure))}[2]
    cells = certificates.slider_cells(tune, path.thresholds, measure)
    found = certificates.band(certify, cells, guide=tune, delta=0.05, part=part, measure=measure)
    return found.bound(thresholds)


@pytest.mark.parametrize("thresholds", [(0.8, 0.8), (0.63, 0.913), (0.0, 1.0)])
def test_at_any_setting_the_bound_of_all_settings_stands_beside_the_accuracy(
    explore: Explore, thresholds: tuple[float, float]
) -> None:
    app = explore(**TOY, t1=str(thresholds[0]), t2=str(thresholds[1]))

    points = certificates.rounded_up(bound(*thresholds))
    assert points > 0
    assert (
        "For all settings at once, with 95 % confidence: here early exits cost at most "
        f"{points:.1f} points of accuracy, compared with sending every image through the whole "
        "network, on images like these (500 images)."
    ) in captions(app)


def test_the_bound_is_of_the_measure_that_decides(explore: Explore) -> None:
    app = explore(**TOY, measure="entropy")

    points = certificates.rounded_up(bound(0.8, 0.8, measure="entropy", part=0.1 / 9))
    assert f"at most {points:.1f} points" in captions(app)


def test_without_a_trace_of_certify_it_says_so_and_all_else_works(
    explore: Explore, toy: Path
) -> None:
    (toy / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet").unlink()

    app = explore(**TOY)

    assert "Nothing is certified here. There is no trace of trees-toy hybrid-2bit on certify" in (
        captions(app)
    )
    assert len(app.metric) == 6


def test_a_damaged_trace_of_certify_is_said_and_all_else_works(explore: Explore, toy: Path) -> None:
    (toy / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet").write_bytes(b"no Parquet")

    app = explore(**TOY)

    assert "is not a readable Parquet file" in captions(app)
    assert len(app.metric) == 6


def test_the_exported_point_has_its_bound_or_says_that_it_has_none(toy: Path) -> None:
    exported = certification.export(VIEW)["bound_for_all_settings"]

    assert certification.export(VIEW)["certificate"] is None
    assert exported == {
        "method": "betting",
        "bound": bound(0.8, 0.8),
        "confidence": 0.95,
        "samples": 500,
        "split": "certify",
        "sentence": texts.band_sentence(bands.band(VIEW), (0.8, 0.8)),
    }
    (toy / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet").unlink()
    assert certification.export(VIEW) == {"bound_for_all_settings": None, "certificate": None}


def test_the_band_is_computed_once_a_bit_width_whatever_the_sliders_and_prices(
    explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    band = certificates.band

    def counted(*arguments: object, **named: object) -> certificates.Band:
        computed.append(named["part"])
        return band(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(certificates, "band", counted)
    app = explore(**TOY)

    app.slider(key="t1").set_value(0.44).run()
    app.selectbox(key="link").set_value("lora-sf12").run()

    assert computed == [pytest.approx(0.8 / 9)] * 3  # 1, 2 and 4 bits


def test_a_network_that_is_added_loosens_no_other(toy: Path) -> None:
    before = bands.band(VIEW).bounds.tolist()

    write_pretrained(toy, network="trees-own", exits=2, bits=(1, 2, 4))
    (toy / "trees-toy" / "card.toml").touch()  # so that the band is computed again

    assert bands.band(VIEW).bounds.tolist() == before


def test_the_networks_that_ship_share_one_delta_and_no_other_network_has_a_part() -> None:
    assert sorted(bands.SHIPPED) == zoo.networks()
    assert bands.holds_together(replace(VIEW, network="digits-vgg")) == "the 5 networks that ship"
    assert bands.holds_together(VIEW) == "trees-toy"


def test_the_payload_has_the_bounds_of_every_bit_width(toy: Path) -> None:
    found = bands.payload(VIEW)

    assert list(found["widths"]) == ["1", "2", "4"]
    assert found["widths"]["2"] == bands.packed(bands.band(VIEW))
    filled = found["templates"]["cost"].replace("{tenths:tenths}", "1.2")
    assert "here early exits cost at most 1.2 points of accuracy" in filled
    (toy / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet").unlink()
    assert list(bands.payload(VIEW)["widths"]) == ["1", "4"]


def test_along_common_thresholds_the_bound_is_that_of_each_of_them(toy: Path) -> None:
    along = bands.along_common(VIEW)

    assert along[160] == bound(0.8, 0.8)
    assert along[[0, 77, 200]].tolist() == [bound(one, one) for one in (0, 0.385, 1)]


def test_a_point_of_the_frontier_has_a_cell_of_its_own(toy: Path) -> None:
    path = {one.bits: one.thresholds for one in load.frontiers(replace(VIEW, bits=4))}[2]
    found = bands.band(VIEW)

    assert len(path)
    for point in path:
        codes = np.rint(point * 10_000).astype(int)
        assert ((found.low == codes) & (found.high == codes)).all(axis=1).any()


def test_a_trace_recorded_meanwhile_is_certified_anew(toy: Path, explore: Explore) -> None:
    explore(**TOY)
    before = bands.band(VIEW)
    other = zoo.trace("trees-toy", "hybrid-4bit", "certify")
    card = zoo.card("trees-toy")
    assert card.variants["hybrid-4bit"].files == card.variants["hybrid-2bit"].files

    again = replace(other, variant="hybrid-2bit")
    trace.save(again, zoo.trace_path("trees-toy", "hybrid-2bit", "certify"))

    assert bands.band(VIEW).bounds.tolist() != before.bounds.tolist()


# A point's own certificate


def asked(*thresholds: float) -> evaluation.Certified:
    """The answer as the command line gives it."""
    variant = zoo.variant("trees-toy", 2)
    return evaluation.certified("trees-toy", variant, thresholds)


def test_the_button_certifies_the_point_as_the_command_line_does(explore: Explore) -> None:
    app = explore(**TOY)
    assert "question 1" not in captions(app)

    app.button(key="explore_certify").click().run()

    made = asked(0.8, 0.8)
    assert (made.question, made.overall.bound < bound(0.8, 0.8)) == (1, True)
    assert f"{made.overall.sentence[:-1]}: question 1 to these 500 images; at most " in captions(
        app
    )
    assert made.answer in captions(app)
    assert not [button for button in app.button if button.key == "explore_certify"]
    table = next(text.value for text in app.markdown if text.value.startswith("| Exit |"))
    assert table == certification.by_exit(made.exits)
    assert certification.export(VIEW)["certificate"] == made.to_dict()


def test_a_certified_point_stays_certified_and_another_is_the_next_question(
    explore: Explore,
) -> None:
    app = explore(**TOY)
    app.button(key="explore_certify").click().run()

    app.slider(key="t1").set_value(0.63).run()
    assert "question 1" not in captions(app)
    assert "this is question 2 to these 500 images" in app.button(key="explore_certify").help
    app.button(key="explore_certify").click().run()
    assert "question 2 to these 500 images" in captions(app)

    app.slider(key="t1").set_value(0.8).run()
    assert "question 1 to these 500 images" in captions(app)
    assert asked(0.63, 0.8).question == 2


def test_a_damaged_ledger_is_said_and_all_else_works(explore: Explore) -> None:
    path = evaluation.ledger("trees-toy", "test").path
    path.parent.mkdir(parents=True)
    path.write_text("{")

    app = explore(**TOY)

    assert "cannot be read" in captions(app)
    assert "For all settings at once" in captions(app)
    assert len(app.metric) == 6


def test_a_ledger_that_cannot_be_written_certifies_nothing(
    explore: Explore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "file" / "traces"))
    app = explore(**TOY)

    app.button(key="explore_certify").click().run()

    assert "so nothing is certified; make the folder writable" in captions(app)


def test_a_point_that_choose_certified_is_certified_in_explore(explore: Explore) -> None:
    app = explore(**TOY, t2="0.61")
    point = CertifiedPoint(
        network="trees-toy",
        bits=2,
        thresholds=(0.8, 0.61),
        measure="max_probability",
        splits=("test",),
        sentence="At most 2 points.",
        certificate={"bound_points": 2.0},
    )
    app.session_state["choose_certified"] = {
        ("trees-toy", "trained", 2, (0.8, 0.61), "max_probability", "test"): point
    }

    app.run()

    assert "Certified by Choose. At most 2 points." in captions(app)
    assert not [button for button in app.button if button.key == "explore_certify"]
    app.slider(key="t2").set_value(0.62).run()
    assert "Certified by Choose" not in captions(app)
    assert "this is question 1" in app.button(key="explore_certify").help


def test_an_exit_that_nobody_takes_has_dashes() -> None:
    assert certification.by_exit([None]).splitlines()[2] == "| Exit 1 | 0 | – | – |"
