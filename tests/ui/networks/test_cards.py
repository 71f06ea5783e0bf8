"""What the page Networks says of a card's accuracies."""

from dataclasses import replace

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


def test_an_exits_branch_is_said_to_be_ours_and_not_the_papers() -> None:
    shipped = zoo.card("digits-vgg").variants["hybrid-1bit"]
    plain = {k: v for k, v in shipped.spec.items() if not k.startswith("branch")}
    branched = plain | {"branch_blocks": [0, 1], "branch_bits": [32, 2]}

    ours, papers = (cards.describe(replace(shipped, spec=spec)) for spec in (branched, plain))

    assert ours.removeprefix(papers) == (
        " Exit 2 has a branch of 1 block at 2 bits. The paper's exits are a pooled linear layer "
        "alone; branches before it are ours."
    )
