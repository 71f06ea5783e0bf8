"""What decided a choice, in words."""

from dataclasses import replace

import pytest

from hybrid import choosing
from hybrid.choosing import Answer, Limits
from hybrid.text import choice, decision
from tests.choosing.test_choosing import drawn

FIELD = drawn(900, 3, seed=2)
FOUR_POINTS = Limits(max_loss_points=4.0)


@pytest.fixture(scope="module")
def ruled_out() -> Answer:
    """Limits that hybrids meet on tune, that none can be certified for, and no twin keeps."""
    return choosing.choose(FIELD, replace(FOUR_POINTS, max_energy_uj=11.0))


def test_points_that_only_the_certificate_rules_out_are_named_with_what_they_take(
    ruled_out: Answer,
) -> None:
    assert ruled_out.best is None
    nearest = ruled_out.uncertifiable[0]
    words = choice.headline(ruled_out)

    assert "No network meets" not in words
    assert "every limit on the tuning images and cannot be certified" in words
    assert f"it would take {nearest.images:,} images, or " in words
    shown = float(words.split("images, or ")[1].split(" points")[0])
    assert 0 <= shown - nearest.bound_points <= 0.01  # rounded up
    assert "The certificate decided" in decision.decided(ruled_out)
    assert decision.without(ruled_out).startswith("Without a certificate: made-up, hybrid 4 bit")


def test_the_certificate_costs_the_difference_in_energy() -> None:
    answer = choosing.choose(FIELD, FOUR_POINTS)

    assert answer.best is not None
    assert answer.without is not None
    assert answer.certificate_cost_pj is not None
    share = answer.best.tune.energy_pj / answer.without.tune.energy_pj - 1
    assert decision.without(answer).endswith(f"({100 * share:.0f} % more).")
    assert answer.to_dict()["decided"] == "certificate"


def test_a_choice_without_a_certificate_tells_so() -> None:
    answer = choosing.choose(FIELD, replace(FOUR_POINTS, confidence=None))

    assert "only measured on the tuning images" in decision.decided(answer)
    assert "(on the tuning images, not certified)" in choice.asked(answer.limits)
    assert answer.to_dict()["uncertified"]
    assert choosing.point_file(answer).uncertified
    assert decision.uncertified(choosing.choose(FIELD, FOUR_POINTS)) == ""


def test_the_choice_stands_among_the_nearest_misses() -> None:
    answer = choosing.choose(FIELD, replace(FOUR_POINTS, confidence=None))

    found = decision.near_misses(answer, 2)

    assert found[0].point == answer.best
    assert choice.place(found[0], answer) == "the choice"
    assert [one.miss for one in found[1:]] == sorted(one.miss for one in answer.left_out)[:2]


def test_a_network_that_is_added_may_change_the_reference() -> None:
    before = {"trees": ("small", "static-32bit")}
    now = {"trees": ("large", "static-32bit"), "flowers": ("other", "static-32bit")}

    words = decision.reference_change(before, now)

    assert words.startswith(
        "The reference changed: losses on trees are now counted against static-32bit of large, "
        "before against static-32bit of small."
    )
    assert "flowers" not in words
    assert decision.reference_change(before, before) == ""


def test_a_curve_promises_each_of_its_points_by_itself() -> None:
    assert "Each certified point holds by itself, with 95 % confidence" in decision.curve(Limits())
    assert "not certified" in decision.curve(Limits(confidence=None))
