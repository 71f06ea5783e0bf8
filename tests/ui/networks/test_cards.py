"""What the page Networks says of a card's accuracies."""

from scipy.stats import binomtest

from hybrid import zoo
from hybrid.ui.networks import cards

DIGITS = 359  # test images of scikit-learn's digits


def half_width(accuracy: float) -> float:
    found = binomtest(round(accuracy * DIGITS), DIGITS).proportion_ci(method="wilson")
    return float(found.high - found.low) / 2


def test_accuracies_of_few_images_say_how_far_they_may_be_off() -> None:
    card = zoo.card("digits-vgg")

    said = cards.uncertainty(card, split="test")

    seen = [value for one in card.variants.values() for value in one.accuracy["test"]]
    assert said == (
        f"They are of 359 images: on many more, each may be {100 * max(map(half_width, seen)):.1f} "
        "points higher or lower (95 % confidence)."
    )


def test_accuracies_of_many_images_need_no_such_words() -> None:
    assert cards.uncertainty(zoo.card("cifar10-resnet32"), split="test") == ""
