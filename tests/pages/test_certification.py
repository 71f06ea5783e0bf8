"""Explore's certificate through AppTest: at the grid, between its points, and where none is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from hybrid import certificates, zoo
from hybrid.ui import cache
from hybrid.ui.explore import certification
from hybrid.ui.session import View

Explore = Callable[..., AppTest]
TOY = {"network": "trees-toy", "bits": "2"}
CHOICES = (3 + 2) * 3  # bit widths of trees-toy and of trees-wide, × measures


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def certificate(*thresholds: float, measure: str = "max_probability") -> certificates.Certificate:
    """Computed alone: delta shared by the 11 × 11 points of each choice on offer."""
    return certificates.certify(
        zoo.trace("trees-toy", "hybrid-2bit", "certify"),
        thresholds,
        delta=0.05,
        comparisons=121 * CHOICES,
        measure=measure,
    )


def test_where_the_sliders_start_the_certificate_stands_beside_the_accuracy(
    explore: Explore,
) -> None:
    app = explore(**TOY)

    made = certificate(0.8, 0.8)
    assert made.sentence in captions(app)
    assert made.sentence.startswith("With 95 % confidence, early exits cost at most ")
    assert made.sentence.endswith("on images like these (500 images).")
    assert not [button for button in app.button if button.key == "explore_certified"]


def test_each_exit_has_a_certificate_of_those_that_leave_there(explore: Explore) -> None:
    app = explore(**TOY)

    table = next(text.value for text in app.markdown if text.value.startswith("| Exit |"))
    recorded = zoo.trace("trees-toy", "hybrid-2bit", "certify")
    exits = certificates.certify_exits(recorded, (0.8, 0.8), delta=0.05, comparisons=121 * CHOICES)
    assert table == certification.by_exit(exits)
    taken = zoo.trace("trees-toy", "hybrid-2bit", "certify").confidences["max_probability"]
    assert f"| Exit 1 | {(taken[:, 0] >= np.float32(0.8)).sum()} |" in table


def test_between_the_points_it_is_not_certified_and_the_nearest_is_one_click_away(
    explore: Explore,
) -> None:
    app = explore(**TOY, t1="0.63", t2="0.913")

    made = certificate(0.6, 0.9)
    said = (
        "Not certified at these thresholds. The nearest certified thresholds are 0.6, 0.9, where "
        f"{made.claim}."
    )
    assert said in captions(app)
    assert made.sentence not in captions(app)
    button = app.button(key="explore_certified")
    assert button.label == "Move to 0.6, 0.9"
    button.click().run()
    assert [slider.value for slider in app.slider] == [0.6, 0.9]
    assert made.sentence in captions(app)


def test_one_slider_for_all_stays_one_when_it_moves_to_a_certificate(explore: Explore) -> None:
    app = explore(**TOY, t="0.63")

    app.button(key="explore_certified").click().run()

    assert [(slider.key, slider.value) for slider in app.slider] == [("t", 0.6)]
    assert certificate(0.6, 0.6).sentence in captions(app)


def test_the_certificate_is_of_the_measure_that_decides(explore: Explore) -> None:
    app = explore(**TOY, measure="entropy")

    assert certificate(0.8, 0.8, measure="entropy").sentence in captions(app)


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


def test_the_exported_point_has_its_certificate_or_says_that_it_has_none(toy: Path) -> None:
    view = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8))
    made = certificate(0.8, 0.8)

    assert certification.export(view) == {
        "certificate": made.to_dict() | {"sentence": made.sentence}
    }
    assert certification.export(replace(view, thresholds=(0.8, 0.81))) == {"certificate": None}
    (toy / "trees-toy" / "hybrid-2bit" / "trace-certify.parquet").unlink()
    assert certification.export(view) == {"certificate": None}


def test_the_band_is_computed_once_whatever_the_sliders_and_prices(
    explore: Explore, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []
    band = certificates.band

    def counted(*arguments: object, **named: object) -> certificates.Band:
        computed.append(named)
        return band(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(certificates, "band", counted)
    app = explore(**TOY)

    app.slider(key="t1").set_value(0.44).run()
    app.selectbox(key="link").set_value("lora-sf12").run()

    assert [one["offers"] for one in computed] == [CHOICES]


def test_a_trace_recorded_meanwhile_is_certified_anew(toy: Path, explore: Explore) -> None:
    explore(**TOY)
    view = View(network="trees-toy", bits=2, thresholds=(0.8, 0.8))
    before = cache.band(view)
    folder = toy / "trees-toy"
    other = folder / "hybrid-4bit" / "trace-certify.parquet"
    card = zoo.card("trees-toy")
    assert card.variants["hybrid-4bit"].files == card.variants["hybrid-2bit"].files

    (folder / "hybrid-2bit" / "trace-certify.parquet").write_bytes(other.read_bytes())

    assert cache.band(view).bounds.tolist() != before.bounds.tolist()


def test_an_exit_that_nobody_takes_has_dashes() -> None:
    assert certification.by_exit([None]).splitlines()[2] == "| Exit 1 | 0 | – | – |"
