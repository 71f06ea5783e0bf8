"""Accuracy and AUROC of an exit after each stage of a full-precision twin, as a Markdown table.

    python -m scripts.exit_points cifar10-resnet32

A head after every stage is trained on the twin's frozen features, as in the second step of Long,
Chakraborty and Roy, with their head; their exits are marked. Nothing is published.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from hybrid import data
from hybrid.inference.record import exit_logits
from hybrid.models import Network
from hybrid.models.census import census
from hybrid.traces.confidence import auroc, softmax
from hybrid.training.recipe import Recipe, load_recipe
from hybrid.training.run import TrainingRun, train_variant

# github yinghanlong/Complexity-aware-AI: ResNet-32's possible exits
AUTHORS = {"resnet32": ("1.2", "1.5", "2.3", "2.5", "3.2")}


def main(name: str) -> None:
    """Train the heads and print the table: accuracies of tune and test, AUROC of tune."""
    recipe = load_recipe(name)
    every = replace(recipe, exits=tuple(range(1, recipe.stages - 1)), cut=recipe.stages - 2)
    whole = len(data.load(recipe.dataset, "train").labels)
    with tempfile.TemporaryDirectory() as folder:
        # a run with a limit is a trial run, which does not touch pretrained/
        run = TrainingRun(folder=Path(folder), limit=whole)
        network = train_variant(every, every.plan("hybrid-32bit"), run)
    print("\n".join(table(every, recipe, network)))


def table(every: Recipe, shipped: Recipe, network: Network) -> list[str]:
    """The lines of the table, a row per exit, the final one last."""
    splits = {name: data.load(every.dataset, name) for name in ("tune", "test")}
    logits = {name: exit_logits(network, split) for name, split in splits.items()}
    shares = _shares(network)
    authors = AUTHORS.get(every.architecture, ())
    lines = [
        "| exit after | share of MACs | accuracy, tune | accuracy, test | AUROC, tune | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for index, stage in enumerate((*every.exits, None)):
        right = {n: logits[n][index].argmax(1) == s.labels for n, s in splits.items()}
        area = auroc(softmax(logits["tune"][index]).max(1), right["tune"])
        where = "final" if stage is None else network.stage_names[stage]
        notes = [
            *(["the authors'"] if where in authors else []),
            *(["used here"] if stage in shipped.exits else []),
        ]
        lines.append(
            f"| {where} | {shares[index]:.0%} | {right['tune'].mean():.1%} | "
            f"{right['test'].mean():.1%} | {area:.3f} | {', '.join(notes)} |"
        )
    return lines


def _shares(network: Network) -> list[float]:
    """The share of all MACs, heads excluded, computed up to each exit, final last."""
    layers = [layer for layer in census(network) if layer.segment != "head"]
    everything = sum(layer.macs for layer in layers)
    done = [
        sum(layer.macs for layer in layers if 0 <= layer.stage <= stage) / everything
        for stage in network.exit_stages
    ]
    return [*done, 1.0]


if __name__ == "__main__":
    main(*sys.argv[1:])
