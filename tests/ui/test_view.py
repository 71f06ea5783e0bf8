"""Links are parsed, never trusted: a view written and read is the same view."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.ui.view import DEFAULT_THRESHOLD, Offers, View, on_grid, slider_keys

OFFERS = Offers(
    early_exits={"pine": {1: 2, 4: 2}, "larch": {2: 3}},
    profiles=("purdue-45nm", "other"),
    links=("ble-nrf52840", "lora"),
    splits={"pine": ("mine", "yours")},
    deployed={"pine": {1: 2}, "larch": {}},
)


@st.composite
def views(draw: st.DrawFn) -> View:
    network = draw(st.sampled_from(list(OFFERS.early_exits)))
    form = draw(st.sampled_from(OFFERS.forms_of(network)))
    bits = draw(st.sampled_from(list(OFFERS.widths(network, form))))
    exits = OFFERS.early_exits[network][bits]
    together = draw(st.booleans())
    steps = draw(st.lists(st.integers(0, 10_000), min_size=exits, max_size=exits))
    values = [steps[0]] * exits if together else steps
    return View(
        network=network,
        bits=bits,
        thresholds=tuple(step / 10_000 for step in values),
        sliders="one" if together else "each",
        measure=draw(st.sampled_from(OFFERS.measures)),
        profile=draw(st.sampled_from(OFFERS.profiles)),
        cloud=draw(st.sampled_from(["same", *OFFERS.profiles])),
        link=draw(st.sampled_from(OFFERS.links)),
        scope=draw(st.sampled_from(OFFERS.scopes)),
        split=draw(st.sampled_from(OFFERS.splits_of(network))),
        form=form,
    )


@given(views())
def test_a_view_written_into_a_link_is_read_back_without_a_problem(view: View) -> None:
    reading = View.read(view.write(), OFFERS)

    assert reading.view == view
    assert reading.problems == ()


def test_a_link_names_a_split_only_where_it_is_an_own_one() -> None:
    view = View(network="pine", bits=1, thresholds=(0.5, 0.5))

    assert "split" not in view.write()
    assert View.read({"network": "pine"}, OFFERS).view.split == "test"
    assert View.read({"network": "pine", "split": "mine"}, OFFERS).view.split == "mine"
    assert View.read({"network": "larch", "split": "mine"}, OFFERS).problems == (
        "No split is called 'mine'; there are: test.",
    )


def test_a_link_names_the_form_only_where_it_is_the_deployed_one() -> None:
    deployed = View.read({"network": "pine", "form": "deployed"}, OFFERS).view

    assert "form" not in View.read({"network": "pine"}, OFFERS).view.write()
    assert (deployed.bits, deployed.variant) == (1, "deployed-1bit")
    assert View.read({"network": "pine", "form": "deployed", "bits": "4"}, OFFERS).problems == (
        "'4' bits are not offered here; choose one of 1.",
    )
    assert View.read({"network": "larch", "form": "deployed"}, OFFERS).problems == (
        "No form of the edge is called 'deployed'; there are: trained.",
    )


@given(
    st.dictionaries(st.sampled_from(["network", "bits", "t", "t1", "t2", "t9", "scope"]), st.text())
)
def test_any_text_in_a_link_gives_a_view_that_is_on_offer(query: dict[str, str]) -> None:
    view = View.read(query, OFFERS).view

    assert view.bits in OFFERS.early_exits[view.network]
    assert view.early_exits == OFFERS.early_exits[view.network][view.bits]
    assert all(0 <= threshold <= 1 for threshold in view.thresholds)
    assert view.scope in OFFERS.scopes


def test_a_newcomer_starts_at_four_bits_where_there_are_four() -> None:
    assert View.read({}, OFFERS).view.bits == 4
    assert View.read({"network": "larch"}, OFFERS).view.bits == 2


def test_a_link_with_one_threshold_means_one_for_all() -> None:
    view = View.read({"t": "0.5"}, OFFERS).view

    assert view.together
    assert view.thresholds == (0.5, 0.5)
    assert slider_keys(view) == ("t",)


def test_the_default_threshold_never_changes_because_links_leave_it_out() -> None:
    assert View.read({}, OFFERS).view.thresholds == (0.8, 0.8)
    assert DEFAULT_THRESHOLD == 0.8


@pytest.mark.parametrize("given_text", ["sure", "", "nan", "inf", "-0.1", "1.01", "0,5"])
def test_a_threshold_that_is_none_is_said_and_the_default_taken(given_text: str) -> None:
    reading = View.read({"network": "pine", "t1": given_text, "t2": "0.4"}, OFFERS)

    assert reading.view.thresholds == (0.8, 0.4)
    assert len(reading.problems) == 1
    assert "a threshold is a number from 0 to 1" in reading.problems[0]


def test_a_threshold_between_two_steps_goes_to_the_nearest() -> None:
    assert on_grid(0.123449) == 0.1234
    assert on_grid(0.99996) == 1.0


def test_a_slider_can_stand_at_every_code_of_a_confidence() -> None:
    for code in range(10_001):
        assert on_grid(code / 10_000) == code / 10_000
