"""The commands for your own models: `cuts`, `adapt` and `sweep`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli import output
from hybrid.cli.model_options import (
    Certify,
    Epochs,
    Mean,
    Model,
    ModelOption,
    Output,
    Size,
    Std,
    Test,
    Tune,
    Unseen,
    Weights,
    names_of,
    numbers_of,
    sides_of,
)
from hybrid.cli.options import AsJson
from hybrid.text import numbers

if TYPE_CHECKING:
    from hybrid.models.cutting import Cut
    from hybrid.models.tracing import Outline
    from hybrid.sweep.results import SweepRow
    from hybrid.sweep.sweep import Kept, SweepPlan

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command(epilog="Example: hybrid cuts torchvision.models:resnet18 --picture cuts.html")(cuts)
    app.command(
        epilog="Example: hybrid adapt --model torchvision.models:resnet18 --weights w.safetensors "
        "--data photos --cut layer2 --exits layer1,layer2 --bits 4 --epochs 2"
    )(adapt)
    app.command(
        epilog="Example: hybrid sweep --model torchvision.models:resnet18 --weights w.safetensors "
        "--data photos --cuts layer1,layer2 --exits layer1 --exits layer1,layer2 --bits 2,4,8 "
        "--seeds 0,1 --out swept"
    )(sweep)


def cuts(
    model: Model,
    *,
    size: Annotated[
        str, typer.Option(help="Size of an image in pixels: 224, or HEIGHTxWIDTH such as 49x10.")
    ] = "224",
    channels: Annotated[int, typer.Option(min=1, help="Colour channels of an image.")] = 3,
    classes: Annotated[
        int | None, typer.Option(min=2, help="Passed to the function as num_classes.")
    ] = None,
    logits: Output = "",
    bits: Annotated[
        int, typer.Option(help="Bit width of the edge and the uplink, shown next to 32.")
    ] = 4,
    every: Annotated[
        bool,
        typer.Option(
            "--all",
            help="List every cut, not only the one that sends least in each stretch of layers.",
        ),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw the cuts to FILE.html, or to FILE.png with Chromium.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List where a torch.nn.Module can be cut, with the cost on both sides.

    This runs the code of the module you name.
    """
    from hybrid.models import cutting, tracing, user_models
    from hybrid.quant.levels import check_bits

    check_bits(bits)
    loaded = user_models.load_model(model, classes=classes)
    shape = (channels, *(sides_of(size) or (224, 224)))
    outline = tracing.trace(loaded, shape=shape, reference=model, output=logits)
    found = cutting.cuts(outline)
    cutting.check_any(found, reference=model)
    shown = found if every else cutting.worthwhile(found)
    if picture is not None:
        _draw(outline, [cut for cut in shown if not cut.unusable], bits, picture)
    if as_json:
        rows = [cut.to_dict(bits=bits) for cut in shown]
        about = {"model": model, "followed_by": outline.by, "macs": outline.macs}
        images = {"input": list(outline.shape), "classes": outline.classes, "bits": bits}
        typer.echo(json.dumps(about | images | {"cuts": rows}, indent=2))
    else:
        _print_cuts(outline, shown, bits)


def adapt(
    *,
    model: ModelOption,
    weights: Weights,
    data: Annotated[
        str,
        typer.Option(
            help="digits, cifar10, cifar100, or a folder or zip with one folder per class."
        ),
    ],
    cut: Annotated[str, typer.Option(help="The last module on the device.")],
    exits: Annotated[str, typer.Option(help="Modules followed by an exit, separated by commas.")],
    bits: Annotated[str, typer.Option(help="Bit widths of the edge, separated by commas: 4,8.")],
    epochs: Epochs = 0,
    name: Annotated[str, typer.Option(help="Name of the network. Default: DATA-FUNCTION.")] = "",
    size: Size = "",
    tune: Tune = "",
    certify: Certify = "",
    test: Test = "",
    unseen: Unseen = False,
    logits: Output = "",
    mean: Mean = "",
    std: Std = "",
    seed: Annotated[
        int, typer.Option(help="Seed of the image order and of the exits' first weights.")
    ] = 0,
) -> None:
    """Cut your own torch.nn.Module, quantize its edge, train its exits and publish the network.

    The twin is the model as given. The network goes to pretrained/ (HYBRID_PRETRAINED names
    another folder), and every command and page can then use it. This runs the code of the module
    you name, now and whenever the network's weights are loaded.

    If it is interrupted, run the same command again: it continues after the last finished variant.
    """
    from hybrid import zoo
    from hybrid.adaptation.adapt import adapt as run
    from hybrid.adaptation.preparing import AdaptRequest

    request = AdaptRequest(
        model=model,
        weights=weights,
        data=data,
        cut=cut,
        exit_modules=names_of(exits),
        bits=numbers_of(bits, int, "--bits"),
        epochs=epochs,
        name=name,
        size=sides_of(size),
        tune=tune,
        certify=certify,
        test=test,
        unseen=unseen,
        output=logits,
        mean=numbers_of(mean, float, "--mean"),
        std=numbers_of(std, float, "--std"),
        seed=seed,
    )
    try:
        with output.progress("Adapting") as progress:
            network = run(request, say=lambda line: typer.echo(line, err=True), report=progress)
    except KeyboardInterrupt:
        typer.echo(
            "Stopped. Finished variants are kept; run the same command again to continue.", err=True
        )
        raise typer.Exit(130) from None
    for variant in zoo.card(network).variants.values():
        typer.echo(f"{variant.name:<14} {output.accuracies(variant)}")
    typer.echo(f"{network} is in {zoo.pretrained_folder() / network}.", err=True)


def sweep(
    *,
    model: ModelOption,
    weights: Weights,
    data: Annotated[str, typer.Option(help="Same as for `adapt`.")],
    bits: Annotated[str, typer.Option(help="Bit widths of the edge, separated by commas: 2,4,8.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the networks; set HYBRID_PRETRAINED to it afterwards.")
    ],
    cuts: Annotated[
        str,
        typer.Option(
            help="Modules to cut after, separated by commas. Default: every worthwhile cut."
        ),
    ] = "",
    exits: Annotated[
        list[str] | None,
        typer.Option(
            help="A set of exits, separated by commas. Repeat for more sets. Default: one exit at "
            "the cut, or at the last place before it where a single tensor crosses."
        ),
    ] = None,
    epochs: Epochs = 0,
    seeds: Annotated[
        str, typer.Option(help="Seeds, separated by commas: 0,1. Each makes a trial.")
    ] = "0",
    name: Annotated[
        str, typer.Option(help="Prefix of the networks' names. Default: DATA-FUNCTION.")
    ] = "",
    size: Size = "",
    tune: Tune = "",
    certify: Certify = "",
    test: Test = "",
    unseen: Unseen = False,
    logits: Output = "",
    mean: Mean = "",
    std: Std = "",
    address: Annotated[
        str,
        typer.Option(
            help="A Ray cluster: host:port of its head, or auto. Default: start Ray on this "
            "machine and stop it at the end."
        ),
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at once, one core each. Default: as many as fit."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Adapt your own model at many cuts, exits, bit widths and seeds, with Ray, and compare.

    Run the same command again to resume: finished trials in --out are kept. The same seed
    gives the same bytes on machines of one kind, however many trials run at once.

    With HYBRID_PRETRAINED=OUT every command and page reads these networks. The table is also
    written to OUT/sweep.csv and OUT/sweep.json.

    On a cluster, run it on one of its machines. All of them need this version of hybrid and must
    reach --out, the weights, the data and the model's module under the same paths on a shared
    file system.

    Exit code 1 if a trial failed. This runs the code of the module you name.
    """
    from hybrid.sweep import cluster, results, sweep

    cluster.check_installed()
    asked = sweep.Sweep(
        model=model,
        weights=weights,
        data=data,
        cuts=names_of(cuts),
        exits=tuple(names_of(names) for names in exits or ()),
        bits=numbers_of(bits, int, "--bits"),
        seeds=numbers_of(seeds, int, "--seeds"),
        epochs=epochs,
        name=name,
        size=sides_of(size),
        tune=tune,
        certify=certify,
        test=test,
        unseen=unseen,
        output=logits,
        mean=numbers_of(mean, float, "--mean"),
        std=numbers_of(std, float, "--std"),
    )
    planned = sweep.plan(asked, out)
    for one in planned.skipped:
        at = "" if one.bits is None else f", {one.bits} bit"
        exits_ = ", ".join(one.exits)
        typer.echo(f"Left out: {one.cut}, exits {exits_}{at}. {one.reason}", err=True)
    try:
        kept = sweep.run(
            planned,
            sweep.on_ray(address=address, workers=workers),
            say=lambda line: typer.echo(line, err=True),
        )
    except KeyboardInterrupt:
        typer.echo(
            "Stopped. Finished trials are kept; run the same command again to resume.", err=True
        )
        raise typer.Exit(130) from None
    rows = sweep.rows(kept)
    found = results.write(rows, out, about=sweep.about(planned, kept))
    if as_json:
        output.print_json(found)
    else:
        _print_sweep(planned, kept, rows, out)
    if kept.failed:
        raise typer.Exit(1)


_SWEPT = (
    "cut", "exits", "bits", "seed", "stay at edge", "accuracy", "energy", "uplink B", "edge KiB",
    "each exit alone", "static network", "network",
)  # fmt: skip


def _print_sweep(planned: "SweepPlan", kept: "Kept", rows: Sequence["SweepRow"], out: Path) -> None:
    from hybrid.sweep import results

    if rows:
        output.print_wide_table(_SWEPT, [_swept_cells(row) for row in rows])
        prices = results.priced()
        typer.echo(
            f"On test; energy per image with {prices['profile']}, scope {prices['scope']}. "
            f"Thresholds: {results.RULE} (*). The model as given: "
            f"{100 * rows[0].model_accuracy:.2f} %, {numbers.energy(rows[0].model_energy_pj)}."
        )
    for made in kept.failed:
        typer.echo(f"Failed: {made.trial.title}. {made.failed}", err=True)
    typer.echo(
        f"{len(kept.finished)} of {len(planned.trials)} trials are finished; their networks are in "
        f"{out}; set HYBRID_PRETRAINED={out} to use them in every command and page.",
        err=True,
    )


def _swept_cells(row: "SweepRow") -> tuple[str, ...]:
    alone = ", ".join(f"{name} {100 * share:.2f} %" for name, share in row.exit_accuracy.items())
    return (
        row.cut,
        ",".join(row.exits),
        str(row.bits),
        str(row.seed),
        f"{100 * row.edge_fraction:.1f} %",
        f"{100 * row.accuracy:.2f} %{'' if row.kept else ' *'}",
        numbers.energy(row.energy_pj),
        f"{row.uplink_bytes:,.0f}",
        f"{row.edge_memory_kib:,.1f}",
        alone,
        f"{100 * row.static_accuracy:.2f} %, {numbers.energy(row.static_energy_pj)}",
        row.network,
    )


def _draw(outline: "Outline", shown: Sequence["Cut"], bits: int, path: Path) -> None:
    from math import prod

    from hybrid.ui.networks.cuts import figure, save_figure

    size = "×".join(map(str, outline.shape))
    title = f"Where {outline.reference} can be cut (images of {size})"
    save_figure(figure(shown, title=title, bits=bits, image_bytes=prod(outline.shape)), path)
    typer.echo(f"{len(shown)} cuts drawn to {path}.", err=True)


_EXIT_ONLY = (
    " Exit only: an exit can be there, but a cut would leave the edge no layer to quantize; the "
    "first stays at full precision."
)


def _print_cuts(outline: "Outline", shown: Sequence["Cut"], bits: int) -> None:
    width = max((len(cut.name) for cut in shown), default=0) + 2
    narrow = f"{bits} bit"
    typer.echo(
        f"{'after':<{width}}{'edge MACs':>15}{'cloud MACs':>15}{'sent: 32 bit':>14}{narrow:>10}"
        f"{'edge weights':>14}{'acts':>10}{'cloud weights':>15}{'acts':>12}  crosses"
    )
    for cut in shown:
        if cut.unusable:
            typer.echo(f"{cut.name:<{width}}cannot be cut: {cut.unusable}")
            continue
        crosses = " + ".join("×".join(map(str, shape)) for shape in cut.shapes)
        edge, cloud = cut.edge, cut.cloud
        typer.echo(
            f"{cut.name:<{width}}{edge.macs:>15,}{cloud.macs:>15,}{cut.wire_bytes():>14,}"
            f"{cut.wire_bytes(bits):>10,}{edge.weight_bytes(bits):>14,}"
            f"{edge.activation_bytes(bits):>10,}{cloud.weight_bytes():>15,}"
            f"{cloud.activation_bytes():>12,}  {crosses}{'  (exit only)' * bool(cut.exit_only)}"
        )
    size = "×".join(map(str, outline.shape))
    typer.echo(
        f"{outline.reference}, images of {size}: {outline.macs:,} MACs. Bytes per image, with the "
        f"edge's first layer at 32 bits, its other convolutions and linear layers at {bits}, the "
        "cloud at 32. If several tensors cross, a skip connection spans the cut and is sent too."
        f"{_EXIT_ONLY if any(cut.exit_only for cut in shown) else ''}"
    )
