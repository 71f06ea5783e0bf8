"""The address: what adds an entry to the browser's history, and how Back is followed."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from hybrid.ui import address
from hybrid.ui.address import Entry

queries = st.lists(st.sampled_from(["bits=1", "bits=2", "bits=4"]), min_size=1)


@given(queries)
def test_a_page_adds_one_entry_per_change_and_none_when_it_opens(shown: list[str]) -> None:
    entry = Entry(page="networks", given="")
    added = []
    for query in shown:
        if entry.adds(query):
            added.append(query)
        entry = entry.at(query)

    changes = [now for before, now in pairwise(shown) if now != before]
    assert added == changes
    assert entry.complete == shown[0]
    assert entry.query == shown[-1]


def completed(app: AppTest) -> dict[str, str]:
    """The address that the browser is told to complete the page's own entry with."""
    component = next(
        one.proto
        for one in app.get("bidi_component")
        if one.proto.component_name == "hybrid_address"
    )
    return address.query_of(json.loads(component.json)["complete"])


def test_a_link_in_parts_is_completed_in_its_own_entry(explore: Callable[..., AppTest]) -> None:
    app = explore(network="trees-toy", bits="2")

    assert app.query_params == {"network": "trees-toy", "bits": "2"}  # Python added nothing
    whole = completed(app)
    assert (whole["network"], whole["bits"], whole["t1"], whole["t2"]) == (
        "trees-toy",
        "2",
        "0.8",
        "0.8",
    )


def test_back_sets_every_control_and_adds_no_entry(
    explore: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = explore(network="trees-toy", bits="4", t1="0.61")
    app.sidebar.selectbox(key="measure").set_value("margin").run()
    app.slider(key="t1").set_value(0.2).run()
    before = dict(app.query_params)

    link = {"network": "trees-wide", "bits": "2", "t": "0.5", "sliders": "one", "scope": "device"}
    monkeypatch.setattr(address, "returned", lambda: link)
    app.run()

    assert before["t1"] == "0.2"
    assert before["measure"] == "margin"
    assert app.sidebar.selectbox(key="network").value == "trees-wide"
    assert app.sidebar.selectbox(key="measure").value == "max_probability"
    assert app.slider(key="t").value == 0.5
    assert dict(app.query_params) == before
    assert completed(app) | link == completed(app)


def test_back_to_a_network_that_is_gone_says_so(
    explore: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = explore(network="trees-toy", bits="2")

    monkeypatch.setattr(address, "returned", lambda: {"network": "gone", "bits": "2"})
    app.run()

    assert any("No network is called 'gone'" in one.value for one in app.warning)
