"""The figures of Choose, through their data."""

import numpy as np

from hybrid.choosing import LossCurve
from hybrid.ui.choose import figures, tables

NAN = float("nan")


def curve(certified_pj: list[float]) -> LossCurve:
    return LossCurve(
        allowed_points=np.array([0.0, 0.5, 1.0]),
        certified_energy_pj=np.array(certified_pj),
        uncertified_energy_pj=np.array([8e6, 4e6, 2e6]),
    )


def test_the_curves_keep_their_energy_up_to_the_next_loss_and_the_limit_is_a_line() -> None:
    figure = figures.loss_curve(curve([NAN, 9e6, 5e6]), 0.5)

    with_, without = figure.data
    assert (with_.name, without.name) == ("With the certificate", "Without it")
    np.testing.assert_array_equal(with_.x, [0, 0.5, 1])
    np.testing.assert_array_equal(with_.y, [np.nan, 9, 5])  # µJ
    np.testing.assert_array_equal(without.y, [8, 4, 2])
    assert {one.line.shape for one in figure.data} == {"hv"}
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(0.5, 0.5)]
    assert "(µJ" in figure.layout.yaxis.title.text


def test_a_curve_without_a_point_is_not_drawn_and_its_table_says_so() -> None:
    nothing = curve([NAN, NAN, NAN])

    assert [one.name for one in figures.loss_curve(nothing, None).data] == ["Without it"]
    rows = tables.costs(nothing)
    assert [row["With the certificate"] for row in rows] == ["no point"] * 3
    assert rows[1] == {
        "Accuracy that may be lost": "0.50 points",
        "With the certificate": "no point",
        "Without it": "4.00 µJ",
    }
