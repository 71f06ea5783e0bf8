"""The picture of a model's cuts: what is in it, and how it becomes a file."""

from pathlib import Path

import plotly.graph_objects as go
import pytest
from PIL import Image

from hybrid.errors import ModelError
from hybrid.models.cutting import cuts, worthwhile
from hybrid.models.tracing import trace
from hybrid.models.user_models import load_model
from hybrid.ui.networks.cuts import figure, save_figure
from tests import chromium


def test_the_picture_has_a_column_for_each_cut_and_marks_those_that_carry_a_skip_connection():
    outline = trace(load_model("tests.own_models:plain"), shape=(3, 16, 16), reference="plain")
    chosen = worthwhile(cuts(outline))

    drawn = figure(chosen, title="plain", bits=4, image_bytes=768)

    at_32, at_4, before, behind, weights, largest = drawn.data
    assert drawn.layout.xaxis3.ticktext == ("stem", "norm", "point", "wide")
    assert tuple(at_4.marker.symbol) == ("circle", "circle-open", "circle-open", "circle")
    assert list(at_32.y) == [cut.wire_bytes() for cut in chosen]
    assert [b + c for b, c in zip(before.y, behind.y, strict=True)] == [41_120] * 4
    assert list(weights.y) == [cut.edge.weight_bytes(4) for cut in chosen]
    assert list(largest.y) == [cut.edge.activation_bytes(4) for cut in chosen]


def small() -> go.Figure:
    return go.Figure(go.Bar(y=[1], marker_color="#ff0000"), layout={"width": 200, "height": 150})


@pytest.mark.browser
def test_a_png_is_drawn_by_the_browser_of_this_machine(tmp_path: Path):
    if chromium.find() is None:
        pytest.skip("there is no Chromium")

    save_figure(small(), tmp_path / "cuts.png")

    with Image.open(tmp_path / "cuts.png") as picture:
        assert picture.size == (2 * 216, 2 * 166)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1_000_000)}
    assert (255, 0, 0) in colours
    assert [path.name for path in tmp_path.iterdir()] == ["cuts.png"]


def test_a_png_without_a_browser_that_draws_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("BROWSER_PATH", raising=False)

    with pytest.raises(ModelError, match=r"none is here; install one, .* or write a .html file"):
        save_figure(small(), tmp_path / "cuts.png")
    monkeypatch.setenv("BROWSER_PATH", "/bin/true")  # ends well and draws nothing
    with pytest.raises(ModelError, match="/bin/true draws no PNG; install one"):
        save_figure(small(), tmp_path / "cuts.png")

    assert list(tmp_path.iterdir()) == []


def test_a_picture_where_none_can_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(ModelError, match=r"cuts.html cannot be written \(.*\); make room or name"):
        save_figure(small(), tmp_path / "file" / "cuts.html")
