"""`hybrid choose`, and the commands that read what it wrote."""

import json
import shlex
import tomllib
from pathlib import Path

import pytest

from hybrid import energy
from tests.cli.test_main import Run, parsed


@pytest.fixture
def chosen(pretrained: Path, run: Run, tmp_path: Path) -> Path:
    """The file of a point that keeps generous limits."""
    path = tmp_path / "operating-point.toml"
    result = run("choose", "digits-vgg", "--max-loss", "100", "--uncertified", "--out", str(path))
    assert result.exit_code == 0, result.stderr
    return path


def test_choose_prints_the_point_its_reasons_and_its_certificate(run: Run) -> None:
    said = parsed(run("choose", "digits-vgg", "--max-energy-uj", "3", "--json"))

    assert said["best"]["tune"]["energy_pj"] <= 3e6
    assert said["certificate"]["confidence"] == 0.95
    assert said["nearest_miss"] is None
    assert {
        violation["limit"] for left in said["left_out"] for violation in left["violations"]
    } == {"energy_uj"}
    assert "profiles" not in said


def test_choose_compares_the_choice_under_every_profile(run: Run) -> None:
    said = parsed(run("choose", "digits-vgg", "--every-profile", "--json"))

    assert {one["profile"] for one in said["profiles"]} == set(energy.profile_names())
    assert said["profiles"][0]["agrees"]


def test_choose_says_in_words_what_it_says_in_json(run: Run) -> None:
    result = run("choose", "digits-vgg", "--max-energy-uj", "3", "--every-profile")

    assert result.exit_code == 0
    for row in ("asked for", "answer", "certificate", "runner-up 1", "near misses", "searched"):
        assert f"\n{row}" in f"\n{result.stdout}"


def test_limits_that_nobody_keeps_end_with_code_1_and_the_nearest_miss(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "operating-point.toml"

    result = run("choose", "digits-vgg", "--max-energy-uj", "0.001", "--json", "--out", str(path))

    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert said["best"] is None
    assert said["nearest_miss"]["violations"][0]["limit"] == "energy_uj"
    assert not path.exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (("--confidence", "1"), "A confidence of 100 % cannot be had from samples"),
        (("--confidence", "95"), "for 95 %, write 0.95"),
        (("--max-loss", "-1"), "give a number of 0 or more, or no limit"),
        (("--max-loss", "500"), "it is never more than 100"),
        (("--max-energy-uj", "nan"), "The limit on the energy is nan µJ"),
        (("--min-accuracy", "0.9"), "accuracies are in percent, so write 90"),
        (("--profile", "abacus"), "No hardware profile is called 'abacus'"),
        (("--scope", "galaxy"), "No scope is called 'galaxy'"),
        (("--measure", "mood"), "No confidence measure is called 'mood'"),
        (("--min-days", "9"), "How long a battery lasts needs"),
    ],
)
def test_what_choose_cannot_use_is_one_sentence(
    run: Run, words: tuple[str, ...], sentence: str
) -> None:
    result = run("choose", "digits-vgg", *words)

    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""


def test_choose_among_an_unknown_network_is_one_sentence(run: Run) -> None:
    assert "No network is called 'pixel'" in run("choose", "pixel").stderr


def test_evaluate_reads_the_point_that_choose_wrote(run: Run, chosen: Path) -> None:
    point = tomllib.loads(chosen.read_text())

    said = parsed(run("evaluate", "--point", str(chosen), "--json"))

    assert said["thresholds"] == point["thresholds"]
    assert said["energy_pj"] == pytest.approx(point["figures"]["test"]["energy_pj"])
    assert said["accuracy"] == point["figures"]["test"]["accuracy"]
    assert said["uplink_bytes"] == pytest.approx(point["figures"]["test"]["uplink_bytes"])


def test_the_profile_of_the_cloud_is_kept_in_the_point_and_named(run: Run, tmp_path: Path) -> None:
    out, report = tmp_path / "point.toml", tmp_path / "report.html"
    cloud = ("--cloud-profile", "gap9")
    # at 0.9 points, images of the hybrids still go to the cloud
    wanted = ("choose", "digits-vgg", "--max-loss", "0.9", "--uncertified")

    said = parsed(run(*wanted, *cloud, "--out", str(out), "--report", str(report), "--json"))

    assert (said["profile"], said["cloud_profile"]) == ("purdue-45nm", "gap9")
    point = tomllib.loads(out.read_text())
    assert point["cloud_profile"] == "gap9"
    assert "purdue-45nm (cloud: gap9)" in report.read_text()
    again = parsed(run("evaluate", "--point", str(out), "--json"))
    assert again["cloud_profile"] == "gap9"
    assert again["energy_pj"] == pytest.approx(point["figures"]["test"]["energy_pj"])


def test_a_certified_point_shows_its_certificate_and_gets_no_second_one(
    run: Run, pretrained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "point.toml"
    assert run("choose", "digits-vgg", "--max-loss", "20", "--out", str(path)).exit_code == 0

    shown = run("evaluate", "--point", str(path))
    again = run("evaluate", "--point", str(path), "--certify")

    assert "loses at most 20 points to static-32bit of digits-vgg" in shown.stdout
    kept = parsed(run("evaluate", "--point", str(path), "--json"))["certified_when_chosen"]
    assert kept == tomllib.loads(path.read_text())["certificate"]
    other = run("evaluate", "--point", str(path), "--thresholds", "0.1,0.1")
    assert "changes the point of" in other.stderr
    assert "certified" not in other.stdout
    assert again.exit_code == 2
    assert "chosen with the images of certify, which cannot certify it once more" in again.stderr


def test_a_path_that_cannot_be_written_is_one_sentence(
    run: Run, pretrained: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    words = ("choose", "digits-vgg", "--max-loss", "100", "--uncertified")

    folder = run(*words, "--out", str(tmp_path))
    below = run(*words, "--report", str(tmp_path / "file" / "report.html"))

    assert (folder.exit_code, below.exit_code) == (2, 2)
    assert "Invalid value for '--out'" in folder.stderr
    assert f"{tmp_path / 'file'} cannot be read or written" in below.stderr
    assert "Traceback" not in folder.stderr + below.stderr


def test_predict_answers_the_others_where_a_file_is_no_image(
    run: Run, chosen: Path, pictures: list[str], tmp_path: Path
) -> None:
    (tmp_path / "words.png").write_text("no picture")
    words = ("predict", "--point", str(chosen), "--json")

    result = run(*words, str(tmp_path / "words.png"), *pictures)

    assert result.exit_code == 2
    assert json.loads(result.stdout) == parsed(run(*words, *pictures))
    assert "words.png is not a PNG" in result.stderr


def test_a_point_that_sends_every_image_is_priced_as_such(
    run: Run, pretrained: Path, tmp_path: Path
) -> None:
    path = tmp_path / "point.toml"
    limit = ("--scope", "device", "--max-edge-memory-kib", "1", "--uncertified")
    assert run("choose", "digits-vgg", *limit, "--out", str(path)).exit_code == 0

    said = parsed(run("evaluate", "--point", str(path), "--json"))

    assert said["uplink_bytes"] == 64  # 8 × 8 grey pixels
    assert said["energy_reduction"] == 1  # it is what the point is compared with


def test_predict_takes_only_images_beside_a_point(
    run: Run, chosen: Path, pictures: list[str]
) -> None:
    point, seven = tomllib.loads(chosen.read_text()), pictures[0]

    alone = parsed(run("predict", "--point", str(chosen), seven, "--json"))
    named = parsed(run("predict", "digits-vgg", seven, "--point", str(chosen), "--json"))
    spelled = parsed(
        run(
            "predict", "digits-vgg", seven, "--bits", str(point["bits"]), "--json",
            "--thresholds", ",".join(map(repr, point["thresholds"])),
            *(["--static"] if point["variant"].startswith("static") else []),
        )
    )  # fmt: skip

    assert alone == named == spelled


def test_predict_without_an_image_says_so(run: Run, chosen: Path) -> None:
    result = run("predict", "digits-vgg", "--point", str(chosen))

    assert result.exit_code == 2
    assert "No image was named" in result.stderr


def test_a_report_opens_without_a_network(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    run("choose", "digits-vgg", "--max-energy-uj", "3", "--report", str(path))

    text = path.read_text()
    assert text.count("Plotly.newPlot(") >= 3
    # between the script of Plotly, which names its homepage, and the end nothing is fetched
    own = text[: text.index("<script>")] + text[text.index("</script>") :]
    assert "http" not in own.replace("http://www.w3.org", "")
    assert "With 95 % confidence, it loses at most" in own
    assert "Left out, and why" in own


def test_a_choice_is_repeated_by_the_command_that_it_prints(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "point.toml"
    words = (
        "choose", "digits-vgg", "--max-loss", "20.5", "--confidence", "0.8", "--min-accuracy", "5",
        "--max-p95-latency-ms", "900", "--scope", "device", "--measure", "margin",
    )  # fmt: skip
    said = parsed(run(*words, "--json", "--out", str(path)))

    program, *again = shlex.split(said["command"])

    assert program == "hybrid"
    assert parsed(run(*again, "--json")) == said
    kept = tomllib.loads(path.read_text())["origin"]
    assert kept == {key: said[key] for key in ("date", "version", "command")}
    assert run(*words).stdout.rstrip().endswith(said["command"])


def test_a_profile_of_ones_own_is_named_without_its_folder(run: Run, tmp_path: Path) -> None:
    shipped = Path(energy.__file__).parent / "hardware" / "purdue-45nm.toml"
    own = tmp_path / "my-chip.toml"
    own.write_text(shipped.read_text().replace('name = "purdue-45nm"', 'name = "my-chip"'))

    said = parsed(run("choose", "digits-vgg", "--profile", str(own), "--json"))

    assert said["command"] == "hybrid choose digits-vgg --profile my-chip.toml"


def test_an_uncertified_choice_tells_so_in_words_json_and_toml(run: Run, chosen: Path) -> None:
    result = run("choose", "digits-vgg", "--max-loss", "3", "--uncertified")

    assert "\nnot certified           Not certified: the accuracy lost was only" in result.stdout
    assert "\ncertificate  " not in result.stdout
    assert parsed(run("choose", "digits-vgg", "--max-loss", "3", "--uncertified", "--json"))[
        "uncertified"
    ]
    assert tomllib.loads(chosen.read_text())["uncertified"]


def test_the_figures_of_test_come_before_those_of_tune(run: Run) -> None:
    result = run("choose", "digits-vgg", "--max-energy-uj", "3")

    names = [line[:24].strip() for line in result.stdout.splitlines()]
    assert names.index("answer") < names.index("on test") < names.index("on tune")
