"""Every figure of `evaluate`, `choose` and `published`, to the last digit, as it was recorded.

`python -m tests.test_figures` records again; the diff then shows what changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner

from hybrid import zoo
from hybrid.cli.main import app

RECORDED = Path(__file__).parent / "recorded" / "figures.json"
BY_BATTERY = "--images-per-day 5000 --battery-mah 220 --battery-volts 3 --min-days 30"


def commands() -> Iterator[str]:
    for network in zoo.networks():
        for variant in zoo.card(network).variants.values():
            yield from _evaluations(f"evaluate {network} --bits {variant.bits}", variant)
        yield f"choose {network} --max-loss 2"
        yield f"choose {network} --max-loss 3 --uncertified --scope memory"
        yield f"choose {network} --max-energy-uj 20 --max-latency-ms 30 --measure margin"
    yield f"choose cifar10-resnet32 cifar10-wide9 --max-loss 1.5 --max-energy-uj 40 {BY_BATTERY}"
    yield "choose digits-vgg --max-loss 0.01"
    yield "published"


def _evaluations(start: str, variant: zoo.Variant) -> Iterator[str]:
    if variant.is_static:
        yield f"{start} --static"
        return
    yield f"{start} --thresholds {','.join(['0.8'] * variant.early_exits)} --certify"
    some = ",".join(["0.95", "0.6", "0.9"][: variant.early_exits])
    yield (
        f"{start} --thresholds {some} --measure entropy --scope device --profile gap9 "
        "--link wifi-esp32 --split tune"
    )


def said_by(command: str) -> Any:
    words = ["compute + memory" if word == "memory" else word for word in command.split()]
    with TemporaryDirectory() as folder:  # so that each certificate is the first question
        finished = CliRunner(env={"HYBRID_TRACES": folder}).invoke(app, [*words, "--json"])
    read = json.loads(finished.stdout)
    if isinstance(read, dict):  # a choice has the day on which it was made
        read = {key: value for key, value in read.items() if key not in {"date", "version"}}
    return {"exit_code": finished.exit_code, "json": read}


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute of a processor that nothing else needs
def test_every_figure_is_the_recorded_one():
    recorded = json.loads(RECORDED.read_text())

    assert list(recorded) == list(commands())
    assert {command: said_by(command) for command in recorded} == recorded


if __name__ == "__main__":
    made = {command: said_by(command) for command in commands()}
    RECORDED.write_text(json.dumps(made, indent=1) + "\n")
