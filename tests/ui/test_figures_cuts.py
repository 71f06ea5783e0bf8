"""The picture of a model's cuts: what is in it."""

from hybrid.networks.cutting import cuts, worthwhile
from hybrid.networks.tracing import load_model, trace
from hybrid.ui.figures.cuts import figure


def test_the_picture_has_a_column_for_each_cut_and_marks_those_that_carry_a_skip_connection():
    outline = trace(load_model("tests.models:plain"), shape=(3, 16, 16), reference="plain")
    chosen = worthwhile(cuts(outline))

    drawn = figure(chosen, title="plain", bits=4, image_bytes=768)

    at_32, at_4, before, behind, weights, largest = drawn.data
    assert drawn.layout.xaxis3.ticktext == ("stem", "norm", "point", "wide")
    assert tuple(at_4.marker.symbol) == ("circle", "circle-open", "circle-open", "circle")
    assert list(at_32.y) == [cut.wire_bytes() for cut in chosen]
    assert [b + c for b, c in zip(before.y, behind.y, strict=True)] == [41_120] * 4
    assert list(weights.y) == [cut.edge.weight_bytes(4) for cut in chosen]
    assert list(largest.y) == [cut.edge.activation_bytes(4) for cut in chosen]
