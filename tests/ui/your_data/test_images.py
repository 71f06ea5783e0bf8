"""What the page Your data says: corrected labels, cautions, differences, the order of variants."""

import numpy as np
import pytest

from hybrid import certificates, policy, zoo
from hybrid.data import labels
from hybrid.ui.view import View
from hybrid.ui.your_data import figures, images, shifts
from hybrid.ui.your_data.images import Upload

NETWORK = "digits-vgg"
CLASSES = ("cat", "dog", "deer")


def test_few_images_to_certify_on_are_said_to_promise_little() -> None:
    fewest = certificates.fewest_samples(0.01, delta=0.05)
    assert fewest is not None

    said = images.promise(30)
    least = certificates.betting_bound(np.zeros(30), delta=0.05)
    assert f"no loss below {certificates.rounded_up(least):g} points" in said
    assert f"1 point takes {fewest}" in said
    assert images.promise(fewest) == ""


def test_an_edited_row_has_the_class_that_was_chosen_and_an_emptied_one_none() -> None:
    found = labels.match(["cat", "dear", "dog", "bear"], CLASSES)
    assert [one.word for one in found] == ["bear", "cat", "dear", "dog"]

    table = images.corrected(found, {0: {"Class": "dog"}, 1: {"Class": None}, 3: {}})

    assert table == {"bear": "dog", "cat": None, "dear": "deer", "dog": "dog"}


def test_few_images_are_cautioned_with_how_far_chance_can_take_them() -> None:
    (few,) = images.cautions(np.array([0, 1] * 8), CLASSES)

    # 1.96 · √(½ · ½ / 16) = 0.245
    assert few == (
        "16 images are few: by chance alone, a share of them can be off by 24 percentage points."
    )
    assert images.cautions(np.array([0, 1] * 20), CLASSES) == []


def test_a_single_class_is_cautioned_and_no_labels_are_not() -> None:
    assert "All images are labelled dog" in images.cautions(np.ones(40, int), CLASSES)[0]
    assert images.cautions(np.full(40, -1), CLASSES) == []


def test_the_present_variant_is_recorded_first_and_the_twin_second() -> None:
    card = zoo.card(NETWORK)

    names = images.variants(card, "hybrid-2bit")

    assert names[:2] == ["hybrid-2bit", "static-32bit"]
    assert sorted(names) == sorted(card.variants)


def test_the_same_zip_has_the_same_key_and_another_table_another() -> None:
    one, same = (Upload(title=title, where=b"zip") for title in ("a", "b"))

    assert one.key == same.key
    assert one.key != Upload(title="a", where=b"zip", labels=b"x,y").key


def test_a_split_beside_itself_does_not_differ() -> None:
    trace = zoo.trace(NETWORK, "hybrid-2bit")
    view = View(network=NETWORK, bits=2, thresholds=(0.8, 0.8))

    found = shifts.beside(trace, trace, view, classes=10)

    assert found.variation == 0
    assert found.gaps == (0, 0, 0)
    assert found.confusion is not None
    assert np.trace(found.confusion) == sum(policy.outcome(trace, (0.8, 0.8)).correct_counts)
    assert found.labels == pytest.approx(np.bincount(trace.labels) / trace.samples)


def test_the_figures_hold_what_they_were_given() -> None:
    own, test = np.array([0.25, 0.75]), np.array([0.5, 0.5])

    sure = figures.confidences(own, test, colour="#000001", names=("Yours", "Tests"))
    shares = figures.shares([("Yours", own, "#000001")], ("a", "b"))
    confused = figures.confusion(np.array([[3, 1], [0, 0]]), ("a", "b"))

    np.testing.assert_array_equal(sure.data[0].y, [25, 75])
    np.testing.assert_array_equal(sure.data[1].y, [50, 50, 50])  # the last step is drawn out
    np.testing.assert_array_equal(shares.data[0].x, [25, 75])
    np.testing.assert_array_equal(confused.data[0].z, [[75, 25], [0, 0]])
