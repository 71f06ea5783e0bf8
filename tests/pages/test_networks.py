"""The Networks page, driven without a browser on a made-up folder of networks."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from hybrid import energy, zoo
from hybrid.choosing.baselines import compared_points, comparisons_at
from hybrid.evaluation import Prices
from hybrid.text import numbers
from tests.ui.synthetic import write_pretrained

NETWORK = "trees-toy"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks of 1 and 4 bits, static ones of 4 and 32, with epochs to show for the 1-bit one."""
    write_pretrained(tmp_path, network=NETWORK, samples=300)
    path = tmp_path / NETWORK / "card.toml"
    card = zoo.load_card(path)
    row = {"loss": 1.0, "tune_accuracy_exit0": 0.5, "tune_accuracy_exit1": 0.6}
    history = tuple(row | {"epoch": float(e), "tune_accuracy_exit2": 0.7} for e in (1, 2, 3))
    variants = dict(card.variants)
    variants["hybrid-1bit"] = replace(variants["hybrid-1bit"], history=history)
    zoo.save_card(replace(card, variants=variants), path)
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    return tmp_path


@pytest.fixture
def page(folder: Path, root: Path) -> AppTest:
    """The page after its first run, at 1 bit."""
    app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
    app.query_params["bits"] = "1"
    app.switch_page("pages/networks.py").run()
    assert not app.exception
    return app


def variant_control(page: AppTest):
    return next(c for c in page.segmented_control if (c.key or "").startswith("networks_variant"))


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def headings(page: AppTest) -> list[str]:
    return [heading.value for heading in page.subheader]


def test_the_page_shows_every_part_of_a_network(page: AppTest):
    assert page.header[0].value == f"{NETWORK}, made up"
    assert headings(page) == [
        "Static baselines",
        "Stages, exits and cut",
        "Layers",
        "Training",
        "Calibration",
    ]
    # the picture, training, three exits' reliability, AUROC
    assert len(charts(page)) == 6


def test_the_first_table_lists_every_variant_and_the_second_every_layer(page: AppTest):
    variants, _, layers = page.dataframe

    assert len(variants.value) == 4
    assert list(variants.value["Variant"]) == [
        "Full-precision twin", "Hybrid 4 bit", "Hybrid 1 bit", "Static 4 bit",
    ]  # fmt: skip
    assert len(layers.value) == 7  # stem, three stages, two heads, classifier


def test_it_starts_at_the_bit_width_of_the_sidebar(page: AppTest):
    assert variant_control(page).value == "hybrid-1bit"

    page.select_slider(key="bits").set_value(4).run()

    assert variant_control(page).value == "hybrid-4bit"


def test_a_static_network_has_one_exit_and_no_cut(page: AppTest):
    variant_control(page).set_value("static-32bit").run()

    assert not page.exception
    assert "cut ·" not in json.dumps(charts(page)[0], ensure_ascii=False)
    assert [metric.label for metric in page.metric] == ["Final exit: calibration error"]


def test_a_variant_without_epochs_of_its_own_says_so(page: AppTest):
    variant_control(page).set_value("hybrid-4bit").run()

    assert "not trained further" in page.info[0].value


def test_the_layers_energy_follows_profile_and_scope(page: AppTest):
    before = page.dataframe[2].value["Energy (nJ)"].sum()

    page.segmented_control(key="scope").set_value("compute + memory").run()

    assert page.dataframe[2].value["Energy (nJ)"].sum() > before
    assert any("scope compute + memory" in caption.value for caption in page.caption)


def test_without_a_trace_the_rest_of_the_page_still_works(folder: Path, page: AppTest):
    (folder / NETWORK / "hybrid-1bit" / "trace-test.parquet").unlink()

    page.run()

    assert not page.exception
    assert "hybrid trace" in page.warning[0].value
    assert len(page.dataframe) == 2
    assert len(charts(page)) == 2  # the picture and training


def test_a_damaged_trace_is_one_sentence(folder: Path, page: AppTest):
    (folder / NETWORK / "hybrid-1bit" / "trace-test.parquet").write_bytes(b"PAR1 no more")

    page.run()

    assert not page.exception
    assert re.search("not a readable Parquet file; record it again", page.warning[0].value)


def test_a_damaged_card_is_one_sentence_and_not_a_traceback(folder: Path, page: AppTest):
    (folder / NETWORK / "card.toml").write_text("format = 1\nnetwork = [")

    page.run()

    assert not page.exception
    assert "cannot be read" in page.warning[0].value
    assert "has none that can be read" in page.info[0].value


def test_every_chart_says_in_words_what_it_shows(page: AppTest):
    charts = page.get("plotly_chart")

    assert charts
    assert all(chart.proto.alt for chart in charts)


def test_the_chosen_variant_is_in_the_address_and_a_link_opens_it(folder: Path, root: Path):
    def opened(**query: str) -> AppTest:
        app = AppTest.from_file(str(root / "app.py"), default_timeout=60)
        app.query_params.update({"network": NETWORK, "bits": "4"} | query)
        # As a link opens it: nothing ran before.
        app.switch_page("pages/networks.py").run()
        assert not app.exception
        return app

    page = opened()
    variant_control(page).set_value("static-4bit").run()
    assert page.query_params["variant"] == "static-4bit"

    linked = opened(variant="static-4bit")
    assert variant_control(linked).value == "static-4bit"
    linked.select_slider(key="bits").set_value(1).run()
    assert variant_control(linked).value == "hybrid-1bit"

    foreign = opened(variant="static-5bit")
    assert "No variant is called 'static-5bit'" in foreign.warning[0].value
    assert variant_control(foreign).value == "hybrid-4bit"


def test_static_networks_stand_beside_the_cheapest_hybrid_that_is_as_accurate(page: AppTest):
    table = next(frame.value for frame in page.dataframe if "Static network" in frame.value)
    row = table.set_index("Static network").loc["Static 4 bit"]
    comparison = next(d for d in comparisons_at(NETWORK, Prices()) if d.static == "static-4bit")
    static, hybrid = compared_points(NETWORK, comparison, Prices())

    said = next(one.value for one in page.markdown if "as accurate" in one.value
                or "For each static network" in one.value)  # fmt: skip
    assert ("Static 4 bit" in said) == comparison.static_wins
    assert row["Energy"].split(" | ")[0] == numbers.energy(comparison.static_energy_pj)
    assert static.edge_bytes == energy.edge_weight_bytes(static.variant.layers)
    if hybrid is None:
        assert row["Hybrid as accurate"] == "none"
    else:
        assert row["Energy"].split(" | ")[1] == numbers.energy(comparison.hybrid_energy_pj)
