"""The pictures of Try an image, read through their data."""

import numpy as np

from hybrid.inference.single import ExitSaid, StageRan
from hybrid.ui import palette
from hybrid.ui.try_image import figures

FIRST = ExitSaid(
    name="Exit 1", threshold=0.8, confidence=0.6, top=(("cat", 0.6), ("dog", 0.3)), left=False
)
SECOND = ExitSaid(name="Exit 2", threshold=0.7, confidence=0.9, top=(("cat", 0.9),), left=True)
CLOUD = ExitSaid(name="Cloud", threshold=None, confidence=None, top=(), left=False)
COLOURS = [palette.exit_colour(0), palette.exit_colour(1), palette.CLOUD]

RAN = (
    StageRan(name="stem", segment="edge", exit=None, layers=1, called=1, macs=1_000_000),
    StageRan(name="exit 1", segment="head", exit=0, layers=1, called=1, macs=1_000),
    StageRan(name="stage 1", segment="edge", exit=None, layers=2, called=0, macs=2_000_000),
    StageRan(name="exit 2", segment="head", exit=1, layers=1, called=0, macs=2_000),
    StageRan(name="classifier", segment="cloud", exit=None, layers=1, called=0, macs=3_000),
)


def test_classes_stand_likeliest_first_in_the_colour_of_their_exit() -> None:
    figure = figures.probabilities(FIRST, colour=COLOURS[0])

    (bars,) = figure.data
    assert list(figure.layout.yaxis.ticktext) == ["cat", "dog"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first row on top
    np.testing.assert_array_equal(bars.x, [0.6, 0.3])
    assert bars.marker.color[0] == COLOURS[0]
    assert [note.text for note in figure.layout.annotations] == ["60.0 %", "30.0 %"]


def test_a_digit_as_class_name_stays_a_name_and_its_number_stands_beside_its_bar() -> None:
    top = (("7", 0.6), ("2", 0.4))
    digit = ExitSaid(name="Exit 1", threshold=0.5, confidence=0.6, top=top, left=True)

    figure = figures.probabilities(digit, colour=COLOURS[0])

    (bars,) = figure.data
    texts = dict(zip(bars.y, figure.layout.yaxis.ticktext, strict=True))
    beside = {texts[note.y]: note.text for note in figure.layout.annotations}
    assert beside == {"7": "60.0 %", "2": "40.0 %"}


def test_every_exit_has_its_confidence_and_its_threshold() -> None:
    bars, marks = figures.confidences([FIRST, SECOND, CLOUD], colours=COLOURS).data

    np.testing.assert_array_equal(bars.x, [0.6, 0.9, 0.0])
    assert list(bars.marker.color) == COLOURS
    np.testing.assert_array_equal(marks.x, [0.8, 0.7, np.nan])  # the final exit has none


def test_an_exit_that_was_not_run_says_so() -> None:
    figure = figures.confidences([FIRST, SECOND, CLOUD], colours=COLOURS)

    assert [(note.y, note.text) for note in figure.layout.annotations] == [("Cloud", "not run")]


def test_a_part_that_was_not_called_is_hollow() -> None:
    (bars,) = figures.parts_run(RAN).data

    hollow = [str(colour).endswith("00") and len(str(colour)) == 9 for colour in bars.marker.color]
    assert hollow == [False, False, True, True, True]
    np.testing.assert_array_equal(bars.y, [1.0, 0.001, 2.0, 0.002, 0.003])
    assert "0 of 2 layers called" in bars.hovertext[2]


def test_a_part_has_the_colour_of_the_first_exit_behind_it() -> None:
    (bars,) = figures.parts_run(RAN).data

    assert list(bars.marker.line.color) == [
        COLOURS[0],
        COLOURS[0],
        COLOURS[1],
        COLOURS[1],
        palette.CLOUD,
    ]
