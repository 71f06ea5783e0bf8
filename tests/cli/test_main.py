"""The `hybrid` command on a small pretrained folder made here, and on the one that ships."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from hybrid import data, energy, zoo
from hybrid.choosing.published import BARS
from hybrid.cli.main import app
from hybrid.data import user_splits
from hybrid.models import build
from hybrid.training.publish import Training, publish
from hybrid.training.recipe import load_recipe
from tests.own_images import digits, png, pngs, write_folder, zipped

EVALUATE = ["evaluate", "digits-vgg", "--bits", "4", "--thresholds", "0.9,0.8"]
RECORD = ["import-images", "digits-vgg", "--bits", "4", "--name", "mine", "--images"]
PREDICT = ["predict", "digits-vgg", "--bits", "4", "--json", "--thresholds"]

Run = Callable[..., Result]
Evaluated = Callable[..., Any]

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
every_command = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """digits-vgg with weights that nobody trained: its answers are bad, its files are real."""
    folder = tmp_path_factory.mktemp("pretrained")
    recipe = load_recipe("digits-vgg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYBRID_PRETRAINED", str(folder))
        for name in ("static-32bit", "hybrid-4bit"):
            torch.manual_seed(0)
            network = build(recipe.spec(recipe.plan(name))).eval()
            training = Training(history=(), hours=0.0, device="test", versions={})
            publish(recipe, recipe.plan(name), network, training)
    return folder


@pytest.fixture(scope="module")
def table(pretrained: Path) -> pd.DataFrame:
    return trace_table(pretrained, "hybrid-4bit")


@pytest.fixture(scope="module")
def limits(table: pd.DataFrame) -> list[float]:
    """Thresholds at which some samples leave at each exit."""
    return [float(table[f"exit{i}_max_probability"].median()) for i in (0, 1)]


@pytest.fixture
def run(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("HYBRID_PRETRAINED", str(pretrained))
    return lambda *words: CliRunner().invoke(app, words)


@pytest.fixture
def evaluated(run: Run, limits: list[float]) -> Evaluated:
    """The JSON of `evaluate` at thresholds that split the samples."""
    words = [*EVALUATE[:-1], ",".join(map(repr, limits)), "--json"]
    return lambda *more: parsed(run(*words, *more))


@pytest.fixture(scope="module")
def taken(table: pd.DataFrame, limits: list[float]) -> list[int]:
    """The exit each sample takes, one by one."""
    exits = []
    for _, row in table.iterrows():
        sure = [row[f"exit{i}_max_probability"] >= np.float32(limits[i]) for i in (0, 1)]
        exits.append(sure.index(True) if any(sure) else 2)
    assert set(exits) == {0, 1, 2}  # else the tests below would test nothing
    return exits


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def trace_table(pretrained: Path, variant: str) -> pd.DataFrame:
    return pd.read_parquet(pretrained / "digits-vgg" / variant / "trace-test.parquet")


def test_evaluate_prints_exactly_the_promised_keys(evaluated: Evaluated) -> None:
    assert list(evaluated()) == [
        *("network", "bits", "split", "samples", "thresholds", "measure"),
        *("exit_fractions", "edge_fraction", "accuracy", "final_exit_accuracy", "twin_accuracy"),
        *("scope", "profile", "energy_pj", "twin_energy_pj", "energy_reduction", "uplink_bytes"),
    ]


def test_evaluate_counts_as_a_loop_over_the_trace_does(
    evaluated: Evaluated, table: pd.DataFrame, taken: list[int]
) -> None:
    point = evaluated()

    n = len(table)
    right = [table[f"exit{e}_class"][s] == table["label"][s] for s, e in enumerate(taken)]
    assert point["samples"] == n
    assert point["exit_fractions"] == [taken.count(e) / n for e in (0, 1, 2)]
    assert point["edge_fraction"] == pytest.approx(1 - taken.count(2) / n)
    assert point["accuracy"] == sum(right) / n
    assert point["final_exit_accuracy"] == (table["exit2_class"] == table["label"]).mean()


def test_evaluate_prices_each_sample_by_the_exit_it_takes(
    evaluated: Evaluated, run: Run, taken: list[int]
) -> None:
    point = evaluated()

    layers = parsed(run("energy", "digits-vgg", "--bits", "4", "--json"))
    last_stage = {0: 1, 1: 2}  # exits 0 and 1 stand on stages 1 and 2
    spent_pj = 0.0
    for exit_ in taken:
        for layer in layers:
            runs = exit_ == 2 or 0 <= layer["stage"] <= last_stage[exit_]
            spent_pj += layer["energy_pj"] if runs else 0.0
    assert point["energy_pj"] == pytest.approx(spent_pj / len(taken))
    assert point["energy_reduction"] == pytest.approx(point["twin_energy_pj"] / point["energy_pj"])


def test_the_twins_energy_and_accuracy_are_those_of_the_static_32_bit_network(
    evaluated: Evaluated, run: Run
) -> None:
    point = evaluated()
    twin = parsed(run("evaluate", "digits-vgg", "--bits", "32", "--static", "--json"))

    assert point["twin_accuracy"] == twin["accuracy"] == twin["twin_accuracy"]
    assert point["twin_energy_pj"] == pytest.approx(twin["energy_pj"])
    assert twin["energy_reduction"] == pytest.approx(1)
    assert twin["uplink_bytes"] == 0


def test_in_the_device_scope_the_twin_sends_the_raw_image(evaluated: Evaluated) -> None:
    point = evaluated("--scope", "device", "--link", "wifi-esp32")

    assert point["scope"] == "device"
    assert point["twin_energy_pj"] == pytest.approx(8 * 8 * 8 * 29_000)  # bytes · bits · pJ a bit


def test_the_uplink_is_what_those_send_who_go_on(
    evaluated: Evaluated, pretrained: Path, taken: list[int]
) -> None:
    card = zoo.load_card(pretrained / "digits-vgg" / "card.toml")

    sent = card.variants["hybrid-4bit"].uplink_bytes
    assert evaluated()["uplink_bytes"] == pytest.approx(taken.count(2) * sent / len(taken))


def test_a_hardware_profile_of_ones_own_is_named_by_its_path(run: Run, tmp_path: Path) -> None:
    text = (Path(energy.__file__).parent / "hardware/gap9.toml").read_text("utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('"gap9"', '"mine"').replace("8 = 2.2", "8 = 4.4"), "utf-8")

    mine = parsed(run("energy", "digits-vgg", "--bits", "4", "--profile", str(path), "--json"))
    gap9 = parsed(run("energy", "digits-vgg", "--bits", "4", "--profile", "gap9", "--json"))

    doubled = [layer for layer in zip(mine, gap9, strict=True) if layer[0]["weight_bits"] == 4]
    assert doubled
    assert all(a["energy_pj"] == pytest.approx(2 * b["energy_pj"]) for a, b in doubled)


def test_a_profile_of_the_cloud_leaves_the_device_and_the_twin_as_they_were(
    run: Run, evaluated: Evaluated
) -> None:
    words = ("energy", "digits-vgg", "--bits", "4", "--json")
    alone, apart = parsed(run(*words)), parsed(run(*words, "--cloud-profile", "gap9"))
    gap9 = parsed(run(*words, "--profile", "gap9"))

    point, same = parsed(run(*EVALUATE, "--cloud-profile", "gap9", "--json")), evaluated()

    in_cloud = [layer["segment"] == "cloud" for layer in alone]
    assert set(in_cloud) == {True, False}
    assert apart == [b if there else a for a, b, there in zip(alone, gap9, in_cloud, strict=True)]
    assert point["energy_pj"] != same["energy_pj"]
    assert point["twin_energy_pj"] == same["twin_energy_pj"]
    assert point["cloud_profile"] == "gap9"
    assert "cloud_profile" not in same


def test_energy_lists_the_layers_of_the_census(run: Run) -> None:
    layers = parsed(run("energy", "digits-vgg", "--bits", "4", "--json"))

    stem = layers[0]
    assert stem["segment"] == "edge"
    assert stem["macs"] == 8 * 8 * 16 * 9
    assert (stem["weight_bits"], stem["activation_bits"]) == (32, 32)
    assert stem["energy_pj"] == pytest.approx(8 * 8 * 16 * 9 * 3.2)
    assert {layer["segment"] for layer in layers} == {"edge", "head", "cloud"}
    assert layers[-1]["stage"] == -1


def test_trace_writes_what_the_published_trace_says(
    run: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    out = tmp_path / "again.parquet"

    result = run("trace", "digits-vgg", "--bits", "4", "--split", "test", "--out", str(out))

    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert f"{len(table)} samples written to" in result.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(out), table, rtol=1e-4)


def test_trace_without_out_puts_a_lost_trace_back(run: Run, pretrained: Path) -> None:
    before = trace_table(pretrained, "static-32bit")
    (pretrained / "digits-vgg" / "static-32bit" / "trace-test.parquet").unlink()

    lost = run("evaluate", "digits-vgg", "--bits", "32", "--static")
    found = run("trace", "digits-vgg", "--bits", "32", "--static")

    assert (lost.exit_code, found.exit_code) == (2, 0)
    assert "record it with `hybrid trace`" in lost.stderr
    pd.testing.assert_frame_equal(trace_table(pretrained, "static-32bit"), before, rtol=1e-4)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """The first eight test images as files."""
    paths = []
    for i, image in enumerate(data.load("digits", "test").images[:8]):
        path = tmp_path / f"{i}.png"
        Image.fromarray(image[..., 0]).save(path)
        paths.append(str(path))
    return paths


def test_predict_says_of_a_file_what_the_trace_says_of_its_sample(
    run: Run, table: pd.DataFrame, pictures: list[str]
) -> None:
    answers = parsed(run(*PREDICT, "1,1", *pictures))

    assert [answer["image"] for answer in answers] == pictures
    for sample, answer in enumerate(answers):
        for i, said in enumerate(answer["exits"]):
            assert said["class"] == str(table[f"exit{i}_class"][sample])
            assert said["confidence"] == pytest.approx(
                table[f"exit{i}_max_probability"][sample], abs=1e-5
            )


def test_predict_runs_nothing_after_the_exit(run: Run, pictures: list[str]) -> None:
    answers = [parsed(run(*PREDICT, limits, pictures[0]))[0] for limits in ("0,0", "1,0", "1,1")]

    assert [answer["exit"] for answer in answers] == [0, 1, 2]
    for answer in answers:
        assert [said["exit"] for said in answer["exits"]] == list(range(answer["exit"] + 1))


def test_exits_are_counted_from_one_in_words_as_the_dashboard_counts_them(
    run: Run, pictures: list[str]
) -> None:
    predict = [argument for argument in PREDICT if argument != "--json"]
    said = run(*predict, "1,1", pictures[0]).stdout.splitlines()
    early = run(*predict, "0,0", pictures[0]).stdout.splitlines()

    assert said[0].endswith(", final exit")
    assert [" ".join(line.split()[:2]) for line in said[1:]] == ["exit 1", "exit 2", "final exit"]
    assert early[0].endswith(", exit 1")
    listed = run("networks").stdout.splitlines()[-1]
    assert re.findall(r"[a-z]+ \w+(?= [\d.]+ %)", listed) == ["exit 1", "exit 2", "final exit"]
    shares = run(*EVALUATE).stdout.splitlines()
    assert [line.split()[:4] for line in shares if line.startswith("leave")] == [
        ["leave", "at", "exit", "1"],
        ["leave", "at", "exit", "2"],
    ]


def test_networks_lists_widths_and_accuracies(run: Run) -> None:
    (network,) = parsed(run("networks", "--json"))

    assert network["network"] == "digits-vgg"
    assert (network["bits"], network["static_bits"]) == ([4], [32])
    assert len(network["accuracy"]["hybrid-4bit"]["test"]) == 3


def test_tables_name_the_scope_beside_the_reduction(run: Run) -> None:
    result = run(*EVALUATE, "--scope", "device")

    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if "energy reduction" in line]
    assert "(device)" in line


@pytest.fixture
def photos(tmp_path: Path, traces: Path) -> str:
    """Forty digits in folders by class, a corrupt file, and a folder of another word."""
    zero = png(np.zeros((8, 8), np.uint8))
    files = pngs(digits(40)) | {"7/broken.png": b"no image", "ten/a.png": zero}
    return str(write_folder(tmp_path / "photos", files))


def test_recorded_images_are_a_split_of_the_other_commands(
    run: Run, photos: str, tmp_path: Path
) -> None:
    recorded = run(*RECORD, photos)

    assert recorded.exit_code == 0, recorded.stderr
    assert recorded.stdout == ""
    assert "mine: 40 images." in recorded.stderr
    assert "7/broken.png is not a PNG" in recorded.stderr
    assert "1 image labelled 'ten' was left out: no class has that name." in recorded.stderr
    point = parsed(run(*EVALUATE, "--split", "mine", "--json"))
    assert (point["split"], point["samples"]) == ("mine", 40)
    again = run("trace", *RECORD[1:4], "--split", "mine", "--out", str(tmp_path / "again.parquet"))
    assert again.exit_code == 0, again.stderr
    table = pd.read_parquet(tmp_path / "again.parquet")
    assert point["final_exit_accuracy"] == (table["exit2_class"] == table["label"]).mean()


def test_the_same_recording_again_finds_it_done_and_another_is_refused(
    run: Run, photos: str, tmp_path: Path
) -> None:
    assert run(*RECORD, photos).exit_code == 0

    assert run(*RECORD, photos).exit_code == 0
    Path(photos, "7", "new.png").write_bytes(png(np.zeros((8, 8), np.uint8)))
    other = run(*RECORD, photos)

    assert other.exit_code == 2
    assert "digits-vgg already has a split called mine" in other.stderr


def test_images_without_labels_have_a_disagreement_and_no_accuracy(run: Run, photos: str) -> None:
    assert run(*RECORD, photos, "--no-labels").exit_code == 0

    point = parsed(run(*EVALUATE, "--split", "mine", "--json"))

    assert point["samples"] == 41  # the folder "ten" too
    assert point["accuracy"] is point["final_exit_accuracy"] is point["twin_accuracy"] is None
    assert 0 <= point["disagreement"] <= 1
    assert sum(point["exit_fractions"]) == pytest.approx(1)
    table = run(*EVALUATE, "--split", "mine").stdout
    assert "unknown: these images have no labels" in table


def test_a_label_that_is_no_class_is_left_out_until_match_names_one(
    run: Run, tmp_path: Path, traces: Path
) -> None:
    zips = tmp_path / "all.zip"
    zips.write_bytes(zipped(pngs(digits(20), {7: "77"})))

    left_out = run(*RECORD, str(zips))
    matched = run(*RECORD[:4], "--name", "sure", "--images", str(zips), "--map-label", "77=7")

    assert "2 images labelled '77' were left out" in left_out.stderr
    assert matched.exit_code == 0, matched.stderr
    assert "left out" not in matched.stderr
    assert parsed(run(*EVALUATE, "--split", "sure", "--json"))["samples"] == 20


def test_without_a_bit_width_every_variant_is_recorded_and_choose_can_choose(
    run: Run, pretrained: Path, photos: str
) -> None:
    result = run(
        "import-images", "digits-vgg", "--images", photos, "--name", "mine", "--tune-certify"
    )

    assert result.exit_code == 0, result.stderr
    variants = sorted(path.name for path in (pretrained / "digits-vgg").iterdir() if path.is_dir())
    for half in ("mine-tune", "mine-certify"):
        weights = {v: zoo.card("digits-vgg").variants[v].files[zoo.WEIGHTS] for v in variants}
        assert sorted(user_splits.recorded("digits-vgg", half, weights)) == variants
    said = parsed(run("choose", "digits-vgg", "--images", "mine", "--uncertified", "--json"))
    assert said["absent"] == []
    halves = [user_splits.split("digits-vgg", f"mine-{half}") for half in ("tune", "certify")]
    assert said["best"]["tune"]["samples"] == halves[0].samples
    assert sum(half.samples for half in halves) == 40


def test_a_table_of_labels_and_a_division_in_two(run: Run, tmp_path: Path, traces: Path) -> None:
    some = digits(40)
    folder = write_folder(tmp_path / "all", {f"{i}.png": png(p) for i, p in enumerate(some.images)})
    labels = tmp_path / "truth.csv"
    labels.write_text("".join(f"{i}.png,{some.classes[c]}\n" for i, c in enumerate(some.labels)))

    done = run(*RECORD, str(folder), "--labels", str(labels), "--tune-certify")

    assert done.exit_code == 0, done.stderr
    both = [parsed(run(*EVALUATE, "--split", f"mine-{p}", "--json")) for p in ("tune", "certify")]
    assert sum(point["samples"] for point in both) == 40


def test_the_published_figures_need_no_network_and_all_stand_there(run: Run) -> None:
    rows = parsed(run("published", "--json"))
    lines = run("published").stdout.splitlines()

    assert [row["bar"] for row in rows] == [bar.title for bar in BARS]
    assert len(lines) == len(BARS) + 2  # columns before, how they were chosen after
    assert all(line.startswith(bar.title) for line, bar in zip(lines[1:], BARS, strict=False))


def test_without_the_published_figures_a_network_and_bits_are_asked_for(run: Run) -> None:
    assert "Missing option '--bits'" in run("evaluate", "digits-vgg").output
    assert "Missing argument" in run("evaluate", "--bits", "4").output


def ends_well(*_: object, **__: object) -> None:
    raise typer.Exit


@every_command
def test_every_command_has_an_example_in_its_help_that_runs(
    name: str, run: Run, pictures: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYBRID_TRACES", str(tmp_path / "traces"))
    Path(pictures[0]).rename("seven.png")
    write_folder(tmp_path / "photos", pngs(digits(20)))
    # what trains for minutes has tests of its own; here its words are read
    monkeypatch.setattr("hybrid.training.run.train", lambda *_, **__: None)
    monkeypatch.setattr("hybrid.adaptation.adapt.adapt", lambda *_, **__: "digits-vgg")
    monkeypatch.setattr("hybrid.sweep.sweep.plan", ends_well)
    monkeypatch.setattr("hybrid.monitor.plans.plan_of", ends_well)  # this network is never sure
    monkeypatch.setattr("hybrid.deploy.freezing.widths", ends_well)  # it has no useful logits
    monkeypatch.setattr("hybrid.cli.export._point", ends_well)  # this network is not frozen
    monkeypatch.setattr("hybrid.deploy.edge.bundle.load_bundle", ends_well)  # so there is none
    monkeypatch.setattr("hybrid.data.cifar.download", lambda *_, **__: tmp_path)
    monkeypatch.setattr("hybrid.ui.server.serve.serve", lambda *_, **__: None)

    program, *words = shlex.split(COMMANDS[name].epilog.removeprefix("Example: "))
    result = run(*words)

    assert (program, words[0]) == ("hybrid", name)
    assert result.exit_code == 0, result.stderr
    assert "Example: hybrid" in run(name, "--help").stdout


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["evaluate", "digits-vg", "--bits", "4"], "Did you mean digits-vgg?"),
        (["evaluate", "digits-vgg", "--bits", "5"], "5 bits are not offered here; choose one of 4"),
        ([*EVALUATE[:-1], "0.9"], "Too few thresholds"),
        ([*EVALUATE[:-1], "0.9,1.5"], "is outside 0 to 1"),
        ([*EVALUATE[:-1], "0.9,sure"], "'sure' is not a number"),
        ([*EVALUATE, "--measure", "hope"], "No confidence measure is called 'hope'"),
        ([*EVALUATE, "--split", "train"], "No split is called 'train'"),
        ([*EVALUATE, "--profile", "purdue"], "No hardware profile is called 'purdue'"),
        ([*EVALUATE, "--link", "none.toml"], "There is no file none.toml"),
        ([*EVALUATE, "--confidence", "1.5"], "certifies nothing; give one above 0"),
        ([*EVALUATE, "--scope", "all"], "No scope is called 'all'"),
        (["train", "no-recipe"], "No recipe is called 'no-recipe'"),
        (["train", "digits-vgg", "--variant", "hybrid-9bit"], "No variant is called"),
        (
            ["refresh", "digits-vgg", "--variant", "hybrid-8bit"],
            "No variant is called 'hybrid-8bit'",
        ),
        (["predict", "digits-vgg", "none.png", *EVALUATE[2:]], "none.png cannot be read"),
        ([*RECORD, "none"], "There is no folder or zip none"),
        ([*RECORD, ".", "--labels", "none.csv"], "none.csv cannot be read"),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_exit_code_2(
    run: Run, words: list[str], sentence: str
) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.filterwarnings("ignore::FutureWarning")  # Lightning's, of torch's own trees
def test_train_ends_in_a_network_that_can_be_evaluated(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "pretrained"))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        'format = 1\nnetwork = "tiny"\ndataset = "digits"\ntitle = "Tiny"\ndescription = ""\n'
        'seed = 0\narchitecture = "digits-vgg"\nclasses = 10\nchannels = 1\nsize = 8\n'
        "stages = 4\ncut = 2\nexits = [1, 2]\n\n"
        '[[variant]]\nname = "hybrid-2bit"\nepochs = 1\nbatch = 32\nflip = false\ncrop = 0\n'
    )

    words = ("train", str(recipe), "--checkpoints", str(tmp_path / "runs"), "--no-compile")
    trial = run(*words, "--max-images", "64")
    assert trial.exit_code == 0, trial.stderr
    assert trial.stdout == "Trial finished, nothing published: hybrid-2bit.\n"
    assert zoo.networks() == []  # a trial publishes nothing

    trained = run(*words)

    assert trained.exit_code == 0, trained.stderr
    assert trained.stdout == f"Published in {tmp_path / 'pretrained' / 'tiny'}: hybrid-2bit.\n"
    assert run(*words).stdout == "tiny is complete: nothing to train.\n"
    point = parsed(run("evaluate", "tiny", "--bits", "2", "--thresholds", "0.5,0.5", "--json"))
    assert point["twin_accuracy"] is None  # nobody trained a twin
    assert point["twin_energy_pj"] > point["energy_pj"]


def test_one_variant_alone_can_be_recorded_anew(run: Run, pretrained: Path) -> None:
    folders = [pretrained / "digits-vgg" / name for name in ("hybrid-4bit", "static-32bit")]
    anew, left = (folder / "trace-test.parquet" for folder in folders)
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in (anew, left)]

    done = run("refresh", "digits-vgg", "--variant", "hybrid-4bit")

    assert done.exit_code == 0, done.stderr
    assert [path.read_bytes() for path in (anew, left)] == [data for data, _ in before]
    assert anew.stat().st_mtime_ns > before[0][1]
    assert left.stat().st_mtime_ns == before[1][1]


def test_evaluate_loads_no_torch(pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_PRETRAINED", str(pretrained))
    script = (
        f"import sys; from hybrid.cli.main import app; app({EVALUATE!r}, standalone_mode=False); "
        "print('torch' in sys.modules)"
    )

    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert finished.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("network", zoo.networks())
def test_every_variant_that_ships_can_be_evaluated(network: str) -> None:
    variants = zoo.card(network).variants
    assert variants

    for variant in variants.values():
        words = ["evaluate", network, "--bits", str(variant.bits), "--json"]
        words += ["--static"] if variant.is_static else []
        words += (
            ["--thresholds", ",".join(["0.9"] * variant.early_exits)] if variant.early_exits else []
        )

        point = parsed(CliRunner().invoke(app, words))

        assert sum(point["exit_fractions"]) == pytest.approx(1)
        assert point["final_exit_accuracy"] == pytest.approx(variant.accuracy["test"][-1], abs=1e-5)
        assert point["energy_pj"] > 0
