"""The Networks page's figures and tables, read back through their data."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from hybrid import zoo
from hybrid.energy import Layer
from hybrid.evaluation import Prices
from hybrid.traces.confidence import reliability
from hybrid.ui import palette
from hybrid.ui.networks import cards, figures
from hybrid.ui.networks.structure import exit_boxes, stage_boxes, structure
from hybrid.zoo import Card, Variant
from tests.ui.synthetic import write_pretrained

STAGES = ("stem", "a", "b", "c")


def layer(
    name: str, stage: int, segment: str, *, exit_: int | None = None, bits: int = 32, macs: int = 1
) -> Layer:
    return Layer(
        name=name,
        stage=stage,
        segment=segment,
        exit=exit_,
        kind="linear" if segment == "head" or stage < 0 else "conv",
        macs=macs,
        fan_in=9,
        weight_bits=bits,
        activation_bits=bits,
        weights=8 * macs,
        inputs=4,
        outputs=4,
        output_shape=(10,) if segment == "head" or stage < 0 else (16, 8, 8),
        packed_bytes=macs * bits,
    )


HYBRID = (
    layer("stem", 0, "edge", macs=1_000_000),
    layer("a.conv", 1, "edge", bits=1, macs=3_000_000),
    layer("a.shortcut", 1, "edge", bits=32, macs=500_000),
    layer("head", 1, "head", exit_=0, macs=640),
    layer("b", 2, "edge", bits=1, macs=2_000_000),
    layer("c", 3, "cloud", macs=4_000_000),
    layer("classifier", -1, "cloud", macs=900),
)
STATIC = (
    layer("stem", 0, "edge"),
    layer("a", 1, "edge", bits=4),
    layer("classifier", -1, "edge"),
)


def picture(layers: tuple[Layer, ...], *, exits: list[str], uplink_bytes: int = 1026):
    return structure(layers, stage_names=STAGES, exit_names=exits, uplink_bytes=uplink_bytes)


def words(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def test_an_exits_branch_is_a_box_on_its_line_and_its_work_is_in_words():
    shortcut = layer("branch.shortcut", 1, "head", exit_=0, bits=32, macs=200_000)
    convolution = layer("branch.conv", 1, "head", exit_=0, bits=2, macs=5_000_000)
    branch = [replace(one, kind="conv") for one in (convolution, shortcut)]
    layers = (*HYBRID[:3], *branch, *HYBRID[3:])

    (box,) = exit_boxes(layers)
    figure = picture(layers, exits=["Exit 1", "Cloud"])

    assert (box.bits, box.convolutions, box.macs) == (2, 2, 5_200_640)
    assert box.words == "5,200,640 MACs in its branch (2 convolutions at 2 bit) and classifier"
    assert words(figure).count("2") == 1
    assert "2" not in words(picture(HYBRID, exits=["Exit 1", "Cloud"]))


def test_a_stage_sums_its_layers_and_is_known_by_its_narrowest():
    box = stage_boxes(HYBRID, STAGES)[1]

    assert (box.name, box.bits, box.macs) == ("a", 1, 3_500_000)
    assert box.packed_bytes == 3_000_000 * 1 + 500_000 * 32


def test_the_classifier_comes_last_and_heads_are_no_stages():
    assert [box.name for box in stage_boxes(HYBRID, STAGES)] == [*STAGES, "classifier"]


def test_a_stage_leaves_at_the_first_exit_behind_it_and_at_none_after_the_last():
    assert [box.leaves for box in stage_boxes(HYBRID, STAGES)] == [0, 0, None, None, None]


def test_the_picture_has_a_box_per_stage_in_the_colour_of_its_exit_or_of_the_cloud():
    boxes = [
        s for s in picture(HYBRID, exits=["Exit 1", "Cloud"]).layout.shapes if s.type == "rect"
    ]

    assert [box.line.color for box in boxes] == [
        palette.exit_colour(0),
        palette.exit_colour(0),
        palette.TWIN_COLOUR,
        palette.CLOUD,
        palette.CLOUD,
    ]


def test_the_cut_stands_between_the_last_edge_stage_and_the_cloud_with_what_crosses_it():
    figure = picture(HYBRID, exits=["Exit 1", "Cloud"])
    cut = next(shape for shape in figure.layout.shapes if shape.type == "line")

    assert cut.x0 == cut.x1 == 2.5  # between stage 2 (b, the last at the edge) and stage 3
    assert "cut · 1.03 kB per image" in words(figure)


def test_names_of_exits_at_neighbouring_stages_stand_below_each_other():
    stages = [f"s{i}" for i in range(12)]
    body = [layer(name, i, "edge" if i < 10 else "cloud") for i, name in enumerate(stages)]
    heads = [layer(f"head{i}", 7 + i, "head", exit_=i) for i in range(3)]
    names = ["Exit 1", "Exit 2", "Exit 3", "Cloud"]

    figure = structure([*body, *heads], stage_names=stages, exit_names=names, uplink_bytes=9)

    places = [(a.x, a.y) for a in figure.layout.annotations if a.text in names]
    assert [x for x, _ in places] == [7, 8, 9, 11]
    for number, (x, y) in enumerate(places):
        assert all(y != other for at, other in places[:number] if x - at < 3)
    assert min(y for _, y in places) - 0.1 > figure.layout.yaxis.range[0]


def test_a_static_network_has_no_cut_and_no_cloud():
    figure = picture(STATIC, exits=["Final exit"], uplink_bytes=0)

    assert all(shape.type == "rect" for shape in figure.layout.shapes)
    assert words(figure) == ["Final exit", "On the device"]


def test_the_bars_are_the_million_macs_of_each_stage():
    bars = next(t for t in picture(HYBRID, exits=["Exit 1", "Cloud"]).data if t.type == "bar")

    assert list(bars.y) == pytest.approx([1.0, 3.5, 2.0, 4.0, 0.0009])


def test_training_draws_a_line_per_exit_in_percent_and_one_for_the_loss():
    history = [
        {"epoch": 1.0, "loss": 2.0, "tune_accuracy_exit0": 0.5, "tune_accuracy_exit1": 0.6},
        {"epoch": 2.0, "loss": 1.5, "tune_accuracy_exit0": 0.7, "tune_accuracy_exit1": 0.8},
    ]

    first, final, loss = figures.training(history, exit_names=["Exit 1", "Cloud"]).data

    assert list(first.y) == [50, 70]
    assert list(final.y) == [60, 80]
    assert list(loss.y) == [2.0, 1.5]
    assert (first.line.color, final.line.color) == (palette.exit_colour(0), palette.CLOUD)


def test_a_reliability_diagram_leaves_out_empty_bins():
    confidence = np.array([0.55, 0.55, 0.95])
    diagram = reliability(confidence, np.array([True, False, True]), bins=10)

    _, before, after = figures.reliability(diagram, diagram, colour=palette.CLOUD).data

    assert list(after.x) == pytest.approx([0.55, 0.95])
    assert list(after.y) == pytest.approx([0.5, 1.0])  # one of two right, one of one
    assert before.name == "before"


def test_an_exit_without_a_wrong_answer_has_no_auroc_point():
    figure = figures.auroc({"margin": (0.9, math.nan)}, exit_names=["Exit 1", "Cloud"])

    assert figure.data[0].x[0] == 0.9
    assert math.isnan(figure.data[0].x[1])


def test_no_figure_names_a_colour_of_its_own():
    spec = picture(HYBRID, exits=["Exit 1", "Cloud"]).to_json()

    assert "#000001" in spec  # a slot, which the theme fills
    assert "rgb(" not in spec


def test_the_layer_table_prices_each_layer_by_hand(toy: tuple[Card, Variant]):
    card, variant = toy
    table = cards.layer_table(variant, card, Prices())
    stem = table.iloc[0]

    assert len(table) == len(variant.layers)
    assert stem["Energy (nJ)"] == pytest.approx(400_000 * 3.2 / 1000)  # MACs × pJ at 32 bit
    assert table["Runs in"].isin(["edge", "cloud", "exit head"]).all()


def test_the_variants_table_has_a_row_per_variant_and_blanks_where_there_is_no_exit(
    toy: tuple[Card, Variant],
):
    card, _ = toy
    table = cards.variants_table(card, split="test").set_index("Variant")

    assert len(table) == len(card.variants)
    assert table.loc["Full-precision twin", "Final exit (%)"] == pytest.approx(90)
    assert math.isnan(table.loc["Full-precision twin", "Exit 1 (%)"])
    assert table.loc["Hybrid 4 bit", "Exit 1 (%)"] == pytest.approx(70)


def test_a_hybrid_that_is_cut_elsewhere_is_named_beside_the_cut_of_the_others(
    toy: tuple[Card, Variant],
):
    card, narrow = toy
    assert cards.cut(card) == card.stage_names[card.cut]

    elsewhere = replace(narrow, spec={**narrow.spec, "cut": card.cut - 1})
    moved = replace(card, variants={**card.variants, "hybrid-1bit": elsewhere})

    here, before = card.stage_names[card.cut], card.stage_names[card.cut - 1]
    assert cards.cut(moved) == f"{here}, {before} at 1 bit"


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Card, Variant]:
    """A card of a made-up network with accuracies, and its 1-bit hybrid."""
    folder = write_pretrained(tmp_path, network="toy", samples=50)
    card = zoo.load_card(folder / "toy" / "card.toml")
    variants = {
        name: replace(v, accuracy={"test": (0.7, 0.8, 0.9)[-v.early_exits - 1 :]})
        for name, v in card.variants.items()
    }
    return replace(card, variants=variants), variants["hybrid-1bit"]
