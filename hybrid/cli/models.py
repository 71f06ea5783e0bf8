"""The commands for models of one's own, `cuts`, `adapt` and `sweep`; thin as `hybrid.cli.main`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hybrid.cli import output
from hybrid.cli.options import AsJson

if TYPE_CHECKING:
    from hybrid.models.cutting import Cut
    from hybrid.models.tracing import Outline
    from hybrid.sweep.results import SweepRow
    from hybrid.sweep.sweep import Kept, SweepPlan

__all__ = ["add_to"]

Number = TypeVar("Number", int, float)

Model = Annotated[str, typer.Argument(help="package.module:function, which returns the model.")]

# of adapt and sweep
ModelOption = Annotated[str, typer.Option(help="package.module:function, which returns the model.")]
Weights = Annotated[Path, typer.Option(help="Its weights, as safetensors.")]
Epochs = Annotated[
    int, typer.Option(min=0, help="For which edge and exits learn; 0 only quantizes.")
]
Size = Annotated[
    int | None,
    typer.Option(min=1, help="Of the images it sees; without it the data set's, or 224."),
]
Mean = Annotated[
    str, typer.Option(help="That it was trained with, per channel, of pixels from 0 to 1.")
]
Std = Annotated[str, typer.Option(help="Likewise; without both, the data set's.")]


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
        int, typer.Option(min=1, help="Height and width of an image, in pixels.")
    ] = 224,
    channels: Annotated[int, typer.Option(min=1, help="Colour channels of an image.")] = 3,
    classes: Annotated[
        int | None, typer.Option(min=2, help="What the function is given as num_classes.")
    ] = None,
    bits: Annotated[
        int, typer.Option(help="Bit width of the edge and of what is sent, beside 32.")
    ] = 4,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every place, not only that which sends least of each run."),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw it into FILE.html, or FILE.png by Chromium.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List where a torch.nn.Module can be cut, and what that costs on either side.

    This runs the code of the module that you name.
    """
    from hybrid.models import cutting, tracing, user_models
    from hybrid.quant.levels import check_bits

    check_bits(bits)
    loaded = user_models.load_model(model, classes=classes)
    outline = tracing.trace(loaded, shape=(channels, size, size), reference=model)
    found = cutting.cuts(outline)
    shown = found if every else cutting.worthwhile(found)
    if picture is not None:
        _draw(outline, [cut for cut in shown if not cut.refused], bits, picture)
    if as_json:
        rows = [cut.to_dict(bits=bits) for cut in shown]
        total = sum(seen.macs for seen in outline.seen.values())
        about = {"model": model, "followed_by": outline.by, "macs": total}
        shape = {"input": list(outline.shape), "classes": outline.classes, "bits": bits}
        typer.echo(json.dumps(about | shape | {"cuts": rows}, indent=2))
    else:
        _print_cuts(outline, shown, bits)


def adapt(
    *,
    model: ModelOption,
    weights: Weights,
    data: Annotated[
        str,
        typer.Option(
            help="digits, cifar10, cifar100, or a folder or zip with a folder for each class."
        ),
    ],
    cut: Annotated[str, typer.Option(help="The module behind which the edge ends.")],
    exits: Annotated[str, typer.Option(help="Modules behind which there is an exit, with commas.")],
    bits: Annotated[str, typer.Option(help="Bit widths of the edge, with commas: 4,8.")],
    epochs: Epochs = 0,
    name: Annotated[
        str, typer.Option(help="What the network is called; without it, DATA-FUNCTION.")
    ] = "",
    size: Size = None,
    mean: Mean = "",
    std: Std = "",
    seed: Annotated[int, typer.Option(help="Of the order of images and the exits' start.")] = 0,
) -> None:
    """Cut your own torch.nn.Module, quantize its edge, train exits, and put it into pretrained/.

    The twin is the model as given; every command and page then knows the network. This runs the
    code of the module that you name, and so does every later use of the network's weights.
    HYBRID_PRETRAINED names another folder.
    """
    from hybrid import zoo
    from hybrid.adaptation.adapt import adapt as run
    from hybrid.adaptation.preparing import AdaptRequest

    request = AdaptRequest(
        model=model,
        weights=weights,
        data=data,
        cut=cut,
        exit_modules=_names(exits),
        bits=_numbers(bits, int, "--bits"),
        epochs=epochs,
        name=name,
        size=size,
        mean=_numbers(mean, float, "--mean"),
        std=_numbers(std, float, "--std"),
        seed=seed,
    )
    network = run(request, say=lambda sentence: typer.echo(sentence, err=True))
    for variant in zoo.card(network).variants.values():
        typer.echo(f"{variant.name:<14} {output.accuracies(variant)}")
    typer.echo(f"{network} lies in {zoo.pretrained_folder() / network}.", err=True)


def sweep(
    *,
    model: ModelOption,
    weights: Weights,
    data: Annotated[str, typer.Option(help="As for `adapt`.")],
    bits: Annotated[str, typer.Option(help="Bit widths of the edge, with commas: 2,4,8.")],
    out: Annotated[Path, typer.Option(help="Folder of the networks, as HYBRID_PRETRAINED wants.")],
    cuts: Annotated[
        str, typer.Option(help="Modules to cut behind, with commas; without it every worthwhile.")
    ] = "",
    exits: Annotated[
        list[str] | None,
        typer.Option(
            help="A set of exits, with commas; give it again for another set. Without it one exit "
            "at the cut, or at the last place before it that one tensor leaves."
        ),
    ] = None,
    epochs: Epochs = 0,
    seeds: Annotated[str, typer.Option(help="One trial for each, with commas: 0,1.")] = "0",
    name: Annotated[
        str, typer.Option(help="What the networks' names begin with; else DATA-FUNCTION.")
    ] = "",
    size: Size = None,
    mean: Mean = "",
    std: Std = "",
    address: Annotated[
        str,
        typer.Option(
            help="A Ray cluster: host:port of its head, or auto. Without it Ray is started on "
            "this machine, and stopped at the end."
        ),
    ] = "",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at once, each on one core; without it, as many as fit."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Adapt your own model at many cuts, exits, bit widths and seeds, with Ray, and compare.

    Trials that are finished in --out are not made again: after a stop the same command
    goes on. Equal seeds make equal bytes, however many work, on machines of one kind.

    HYBRID_PRETRAINED=OUT makes every command and page read the networks, `hybrid choose`
    for one. The table is also written to OUT/sweep.csv and OUT/sweep.json.

    On a cluster, run it on one of its machines; all of them must have this version of
    hybrid and reach --out, weights, data and the model's module under the same paths, on
    a shared file system.

    Exit code 1 where a trial failed. This runs the code of the module that you name.
    """
    from hybrid.sweep import cluster, results, sweep

    cluster.check_installed()
    asked = sweep.Sweep(
        model=model,
        weights=weights,
        data=data,
        cuts=_names(cuts),
        exits=tuple(_names(names) for names in exits or ()),
        bits=_numbers(bits, int, "--bits"),
        seeds=_numbers(seeds, int, "--seeds"),
        epochs=epochs,
        name=name,
        size=size,
        mean=_numbers(mean, float, "--mean"),
        std=_numbers(std, float, "--std"),
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
        typer.echo("Stopped. What is finished is kept; the same command goes on.", err=True)
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
            f"On test; energy an image in {prices['profile']}, scope {prices['scope']}. "
            f"Thresholds: {results.RULE} (*). The model as given: "
            f"{100 * rows[0].model_accuracy:.2f} %, {output.joules(rows[0].model_energy_pj)}."
        )
    for made in kept.failed:
        typer.echo(f"Failed: {made.trial.title}. {made.failed}", err=True)
    typer.echo(
        f"{len(kept.finished)} of {len(planned.trials)} trials are finished; their networks lie in "
        f"{out}, which HYBRID_PRETRAINED={out} shows to every command and page.",
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
        output.joules(row.energy_pj),
        f"{row.uplink_bytes:,.0f}",
        f"{row.edge_memory_kib:,.1f}",
        alone,
        f"{100 * row.static_accuracy:.2f} %, {output.joules(row.static_energy_pj)}",
        row.network,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str, kind: type[Number], option: str) -> tuple[Number, ...]:
    from hybrid.errors import ModelError

    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ModelError(
            f"{option} takes numbers with commas between them, not {text!r}; write 4,8, say."
        ) from None


def _draw(outline: "Outline", shown: Sequence["Cut"], bits: int, path: Path) -> None:
    from math import prod

    from hybrid.ui.networks.cuts import figure, save_figure

    size = "×".join(map(str, outline.shape))
    title = f"Where {outline.reference} can be cut (images of {size})"
    save_figure(figure(shown, title=title, bits=bits, image_bytes=prod(outline.shape)), path)
    typer.echo(f"{len(shown)} cuts drawn to {path}.", err=True)


def _print_cuts(outline: "Outline", shown: Sequence["Cut"], bits: int) -> None:
    width = max((len(cut.name) for cut in shown), default=0) + 2
    narrow = f"{bits} bit"
    typer.echo(
        f"{'behind':<{width}}{'MACs before':>15}{'after':>15}{'sent: 32 bit':>14}{narrow:>10}"
        f"{'edge weights':>14}{'acts':>10}{'cloud weights':>15}{'acts':>12}  crosses"
    )
    for cut in shown:
        if cut.refused:
            typer.echo(f"{cut.name:<{width}}cannot be: {cut.refused}")
            continue
        crosses = " + ".join("×".join(map(str, shape)) for shape in cut.shapes)
        edge, cloud = cut.edge, cut.cloud
        typer.echo(
            f"{cut.name:<{width}}{edge.macs:>15,}{cloud.macs:>15,}{cut.wire_bytes():>14,}"
            f"{cut.wire_bytes(bits):>10,}{edge.weight_bytes(bits):>14,}"
            f"{edge.activation_bytes(bits):>10,}{cloud.weight_bytes():>15,}"
            f"{cloud.activation_bytes():>12,}  {crosses}"
        )
    total = sum(seen.macs for seen in outline.seen.values())
    size = "×".join(map(str, outline.shape))
    typer.echo(
        f"{outline.reference}, images of {size}: {total:,} MACs. Bytes for one image: the edge's "
        f"first layer and linear ones at 32 bit, its other convolutions at {bits}; cloud at 32. "
        "Where more than one tensor crosses, a skip connection spans the cut and is carried."
    )
