"""`from hybrid import …`: what there is, what it loads, and that docs/api.md is true."""

import doctest
import inspect
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

import hybrid
from hybrid import api, data, zoo
from hybrid.data.preprocess import normalise
from hybrid.errors import ModelError, SourceError, TraceError, UnknownNameError
from tests.own_images import digits, pngs, write_folder
from tests.own_models import plain

HEAVY = {"numpy", "pandas", "plotly", "pyarrow", "scipy", "streamlit", "torch", "typer"}


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after a statement."""
    script = f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(finished.stdout.split())


def test_import_hybrid_loads_no_other_package():
    assert loaded_by("import hybrid").isdisjoint(HEAVY)


def test_the_error_and_the_version_load_no_other_package():
    assert loaded_by("from hybrid import HybridError, __version__").isdisjoint(HEAVY)


def test_every_name_loads_without_torch_and_streamlit():
    loaded = loaded_by(f"from hybrid import {', '.join(hybrid.__all__)}")

    assert loaded.isdisjoint({"torch", "torchvision", "lightning", "streamlit", "plotly"})


def test_figures_of_recorded_traces_load_no_torch():
    calls = (
        "import hybrid; hybrid.evaluate('digits-vgg', bits=4, thresholds=(0.9, 0.8)); "
        "hybrid.frontier('digits-vgg', bits=4); "
        "hybrid.certify('digits-vgg', bits=4, thresholds=(0.9, 0.8)); "
        "hybrid.choose('digits-vgg', hybrid.Limits())"
    )

    assert "torch" not in loaded_by(calls)


def test_all_is_sorted_complete_and_shown_by_dir():
    # what can be loaded late, whether it is listed or not: only this table knows
    offered = set(hybrid._HOMES) | {"__version__"}  # noqa: SLF001

    assert hybrid.__all__ == sorted(offered)
    assert offered <= set(dir(hybrid))
    assert set(api.__all__) <= offered


@pytest.mark.parametrize("name", hybrid.__all__)
def test_every_name_is_there_and_documented(name: str, root: Path):
    value = getattr(hybrid, name)
    page = (root / "docs" / "api.md").read_text("utf-8")

    assert name == "__version__" or inspect.getdoc(value)
    assert f"| [`{name}`](" in page or f", [`{name}`](" in page
    assert re.search(rf"^## .*{name}", page, re.MULTILINE)


def test_a_type_checker_knows_every_name(root: Path):
    source = (root / "hybrid" / "__init__.py").read_text("utf-8")
    typed = source.partition("if TYPE_CHECKING:")[2].partition("_HOMES")[0]

    assert [name for name in hybrid.__all__ if not re.search(rf"\b{name}\b", typed)] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hybrid' has no attribute 'shrink'"):
        hybrid.shrink  # noqa: B018  # the access is what is tested


def test_the_version_is_that_of_the_installed_package():
    assert hybrid.__version__ == version("hybrid")


def test_evaluate_gives_what_the_library_gives():
    point = hybrid.evaluate("digits-vgg", bits=4, thresholds=(0.9, 0.8), scope="device")

    trace = zoo.trace("digits-vgg", "hybrid-4bit")
    assert point.outcome.samples == trace.samples
    assert point.outcome.final_exit_accuracy == pytest.approx(trace.correct[:, -1].mean())


def test_a_frontier_rises_in_energy_and_no_point_of_it_is_repeated():
    points = hybrid.frontier("digits-vgg", bits=1)

    energy = [point.energy_pj for point in points]
    assert len(points) > 1
    assert energy == sorted(energy)
    assert len({point.outcome.thresholds for point in points}) == len(points)


def test_a_frontier_of_a_measure_that_there_is_not_names_those_that_there_are():
    with pytest.raises(UnknownNameError, match="No confidence measure is called 'hope'"):
        hybrid.frontier("digits-vgg", bits=1, measure="hope")


def test_an_operating_point_takes_confidences_with_or_without_the_final_exit():
    correct = np.array([[1, 1], [0, 1]])
    costs = {"energy_pj": (1, 5), "twin_energy_pj": 8, "uplink_bytes": (0, 64)}

    short = hybrid.operating_point([[0.9], [0.1]], correct, [0.5], **costs)
    long = hybrid.operating_point([[0.9, 1], [0.1, 1]], correct, [0.5], **costs)

    assert short == long
    assert short.uplink_bytes == (0 + 64) / 2
    assert short.outcome.accuracy == 1


@pytest.mark.parametrize(
    "confidences, correct", [([[0.9]], [[1, 1], [1, 1]]), ([0.9], [1]), ([[0.9] * 3], [[1, 1]])]
)
def test_arrays_that_do_not_match_are_refused_with_their_shapes(
    confidences: list[object], correct: list[object]
):
    with pytest.raises(TraceError, match="do not match; give one row per image"):
        hybrid.operating_point(confidences, correct, [0.5], energy_pj=(1, 5), twin_energy_pj=8)


def test_costs_of_another_number_of_exits_are_refused():
    with pytest.raises(TraceError, match="There are 2 exits; give one cost for each"):
        hybrid.operating_point([[0.9]], [[1, 1]], [0.5], energy_pj=(1,), twin_energy_pj=8)


def test_ingest_takes_labels_that_are_confirmed_to_mean_a_class(tmp_path: Path, traces: Path):
    photos = write_folder(tmp_path / "photos", pngs(digits(20), {7: "siete"}))

    (split,) = hybrid.ingest(photos, "digits-vgg", name="mine", map_labels={"siete": "7"}, bits=4)

    assert split.samples == 20
    assert (zoo.trace("digits-vgg", "hybrid-4bit", "mine").labels == 7).any()


def test_ingest_without_labels_has_none(tmp_path: Path, traces: Path):
    photos = write_folder(tmp_path / "photos", pngs(digits(20)))

    (split,) = hybrid.ingest(photos, "digits-vgg", name="mine", labelled=False, bits=4)

    assert not split.labelled


def test_a_labels_table_that_is_not_there_is_one_sentence(tmp_path: Path, traces: Path):
    with pytest.raises(SourceError, match="name a CSV file"):
        hybrid.ingest(tmp_path, "digits-vgg", name="mine", labels=tmp_path / "labels.csv")


def test_a_function_that_cannot_be_imported_later_is_refused(tmp_path: Path):
    def mine() -> nn.Module:
        return plain()

    with pytest.raises(ModelError, match="move it to the top level of a module"):
        hybrid.adapt(mine, tmp_path / "w", "digits", cut="a", exits=["a"], bits=[4])


@pytest.fixture
def example_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which docs/api.md is read: photos, a model with its weights, networks."""
    write_folder(tmp_path / "photos", pngs(digits(60)))
    save_file(trained().state_dict(), tmp_path / "mynet.safetensors")
    (tmp_path / "mynet.py").write_text("from tests.own_models import plain as mynet\n")
    shutil.copytree(root / "pretrained" / "digits-vgg", tmp_path / "pretrained" / "digits-vgg")
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "traces"))
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 5)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained() -> nn.Module:
    """The model of the example, which has learned digits of 16 pixels and three channels."""
    torch.manual_seed(0)
    model = plain()
    train = data.load("digits", "train")
    images = torch.from_numpy(normalise(train.images, "digits")).expand(-1, 3, -1, -1)
    images = functional.interpolate(images, (16, 16), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(4):
        for rows in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    return model


@pytest.mark.slow
def test_every_example_of_the_page_runs(example_folder: Path, root: Path):
    failed, tried = doctest.testfile(str(root / "docs" / "api.md"), module_relative=False)

    assert failed == 0
    assert tried > len(hybrid.__all__)
