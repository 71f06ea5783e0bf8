"""The `hybrid` command: words in, calls to the library, tables or JSON out.

JSON goes alone to stdout; progress and the one sentence of an error go to stderr. Every import
that costs time stands inside the command that needs it, so `evaluate` never waits for torch.
"""

import errno
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hybrid import energy
from hybrid.cli import images, models, output
from hybrid.cli.options import (
    AsJson,
    Bits,
    LinkName,
    Measure,
    Network,
    PointFile,
    ProfileName,
    Scope,
    Split,
    Static,
    Thresholds,
)
from hybrid.errors import HybridError, RecipeError

if TYPE_CHECKING:
    from hybrid.choosing import Answer, Field, Limits, ProfileCheck
    from hybrid.evaluation import Prices

__all__ = ["app"]


class _Commands(TyperGroup):
    """The one place where an error becomes a sentence and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except HybridError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # click's to deal with
                raise
            place = error.filename2 or error.filename or "A file"
            why = error.strerror or error
            typer.echo(
                f"{place} cannot be read or written ({why}); name another path, or make room or "
                "allow it there.",
                err=True,
            )
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Early-exit networks cut between a quantized edge and a full-precision cloud.",
)


@app.command(epilog="Example: hybrid networks")
def networks(*, as_json: AsJson = False) -> None:
    """List the networks that lie in pretrained/."""
    from hybrid import zoo

    cards = [zoo.card(name) for name in zoo.networks()]
    if not cards:
        typer.echo(
            f"There are no networks in {zoo.pretrained_folder()}; name another folder in "
            "HYBRID_PRETRAINED, or train one with `hybrid train`.",
            err=True,
        )
    if as_json:
        output.print_json([output.network_json(card) for card in cards])
        return
    for card in cards:
        typer.echo(f"{card.network}: {card.title}")
        for variant in card.variants.values():
            typer.echo(f"  {variant.name:<14} {output.accuracies(variant)}")


@app.command(
    epilog="Example: hybrid evaluate digits-vgg --bits 4 --thresholds 0.9,0.8 --json",
)
def evaluate(
    network: Network,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    measure: Measure = "max_probability",
    split: Split = "test",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    certify: Annotated[
        bool,
        typer.Option(
            "--certify",
            help="Add what leaving early costs at most; fix the thresholds before you look.",
        ),
    ] = False,
    confidence: Annotated[
        float, typer.Option(help="Of the certificate, above 0 and below 1.")
    ] = 0.95,
    point: PointFile = None,
    as_json: AsJson = False,
) -> None:
    """What stays at the edge, how right it is and what it costs, at these thresholds.

    With --point, leave out the network and --bits: the file has them.

    A certificate comes from the certify split, or from one of your own where --split names it. A
    point that was chosen with images is not certified on them again.
    """
    from hybrid import policy, zoo
    from hybrid.certificates import check_delta
    from hybrid.choosing import load_point
    from hybrid.evaluation import Prices, certified, disagreement, evaluate

    check_delta(1 - confidence)
    prices = Prices(profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope)
    chosen = None if point is None else load_point(point)
    limits = policy.check_thresholds(
        thresholds, zoo.variant(network, bits, static=static).early_exits
    )
    asked = (network, zoo.variant_name(bits, static=static), limits, measure)
    if chosen is not None and asked != chosen.answers:
        typer.echo(
            f"This is not the point of {point} any more, and nothing that it promises holds here.",
            err=True,
        )
        chosen = None
    if chosen is not None and certify:
        chosen.check_unseen(split)
    found = evaluate(
        network,
        bits,
        limits,
        static=static,
        cloud=chosen is not None and chosen.mode == "cloud",
        measure=measure,
        split=split,
        prices=prices,
    )
    about: dict[str, Any] = {"network": network, "bits": bits, "split": split}
    if not found.outcome.labelled:
        recorded = zoo.trace(network, zoo.variant_name(bits, static=static), split)
        about["disagreement"] = disagreement(recorded, found.outcome.thresholds, measure)
    made = None
    if certify:
        made = certified(
            network,
            bits,
            found.outcome.thresholds,
            static=static,
            measure=measure,
            split=split,
            confidence=confidence,
        )
    priced = {"scope": scope, "profile": prices.profile.name}
    if as_json:
        promised = {} if made is None else {"certificate": made.to_dict()}
        if chosen is not None and chosen.certificate:
            promised["certified_when_chosen"] = dict(chosen.certificate)
        output.print_json(output.point_json(about, found, priced) | promised)
    else:
        output.print_table(output.point_rows(about | priced | {"link": prices.link.name}, found))
        output.print_table(output.certificate_rows(made))
        output.print_table(output.chosen_rows(chosen))


@app.command(
    epilog="Example: hybrid choose digits-vgg --max-loss 2.0 --uncertified --max-energy-uj 20 "
    "--out operating-point.toml --report report.html --json",
)
def choose(
    networks: Annotated[
        list[str], typer.Argument(help="Networks to choose among, as `hybrid networks` lists them.")
    ],
    *,
    images: Annotated[
        str, typer.Option(help="Your own, kept by `import-images --tune-certify` under this name.")
    ] = "",
    max_loss: Annotated[
        float | None, typer.Option(help="Accuracy that may be lost, in points, against the twin.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Of the certificate that holds the loss, above 0 and below 1.")
    ] = 0.95,
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Hold only the loss seen on tune, uncertified.")
    ] = False,
    max_energy_uj: Annotated[float | None, typer.Option(help="Energy per image, in µJ.")] = None,
    max_latency_ms: Annotated[float | None, typer.Option(help="Mean latency.")] = None,
    max_uplink_bytes: Annotated[float | None, typer.Option(help="Mean uplink per image.")] = None,
    max_edge_memory_kib: Annotated[
        float | None, typer.Option(help="Packed weights and largest activations of the edge.")
    ] = None,
    images_per_day: Annotated[
        float | None, typer.Option(help="For how long a battery lasts.")
    ] = None,
    battery_mah: Annotated[float | None, typer.Option(help="Charge of the battery.")] = None,
    battery_volts: Annotated[float | None, typer.Option(help="Its voltage.")] = None,
    min_days: Annotated[float | None, typer.Option(help="How long it must last.")] = None,
    measure: Measure = "max_probability",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    every_profile: Annotated[
        bool, typer.Option("--every-profile", help="Add whether other energy models agree.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the point as TOML, for `evaluate` and `predict`.", dir_okay=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write an HTML report that opens without a network.", dir_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """State limits; get the point that keeps them at least energy, and why not the others.

    Chosen on tune, certified on certify, reported on test; of your own images on the two halves
    NAME-tune and NAME-certify. Exit code 1 where nobody keeps them.
    """
    from hybrid.choosing import Limits, choose, collect_candidates, point_file, save_point
    from hybrid.evaluation import Prices

    limits = Limits(
        max_loss_points=max_loss,
        confidence=None if uncertified else confidence,
        max_energy_uj=max_energy_uj,
        max_latency_ms=max_latency_ms,
        max_uplink_bytes=max_uplink_bytes,
        max_edge_memory_kib=max_edge_memory_kib,
        images_per_day=images_per_day,
        battery_mah=battery_mah,
        battery_volts=battery_volts,
        min_days=min_days,
    )
    prices = Prices(profile=energy.load_profile(profile), link=energy.load_link(link), scope=scope)
    with output.progress("counting thresholds") as progress:
        field = collect_candidates(networks, images=images, measure=measure, progress=progress)
    answer = choose(field, limits, prices)
    compared = _profile_checks(field, limits, prices, answer) if every_profile or report else ()
    if as_json:
        survived = {"profiles": [one.to_dict() for one in compared]} if every_profile else {}
        output.print_json(answer.to_dict() | survived)
    else:
        output.print_table(output.answer_rows(answer, compared if every_profile else ()))
    if report:
        from hybrid.ui.choose.report import save_report

        save_report(field, answer, prices, compared, report)
    if answer.best is None:
        if out:
            typer.echo(f"No point was written to {out}: nobody keeps the limits.", err=True)
        raise typer.Exit(1)
    if out:
        save_point(point_file(answer, profile=profile, link=link), out)


@app.command("energy", epilog="Example: hybrid energy digits-vgg --bits 4 --json")
def energy_(
    network: Network,
    *,
    bits: Bits,
    static: Static = False,
    profile: ProfileName = energy.DEFAULT_PROFILE,
    scope: Scope = energy.SCOPES[0],
    as_json: AsJson = False,
) -> None:
    """The census: each layer with its MACs, its bits and its energy when a sample runs it."""
    from hybrid import zoo

    prices = energy.load_profile(profile)
    layers = zoo.variant(network, bits, static=static).layers
    rows = [
        asdict(layer) | {"energy_pj": energy.layer_energy_pj(layer, prices, scope)}
        for layer in layers
    ]
    if as_json:
        output.print_json(rows)
        return
    typer.echo(f"{'layer':<24}{'segment':<9}{'MACs':>12}{'bits':>7}{'energy':>12}")
    for row in rows:
        width = f"{row['weight_bits']}/{row['activation_bits']}"
        name, joules = f"{row['name']:<24}{row['segment']:<9}", output.joules(row["energy_pj"])
        typer.echo(f"{name}{row['macs']:>12,}{width:>7}{joules:>12}")
    typer.echo(f"Energy ({scope}) with {prices.title}.")


@app.command(epilog="Example: hybrid train digits-vgg --variant hybrid-4bit --checkpoints runs")
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships, or the path of your own.")],
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; may be given several times.")
    ] = None,
    checkpoints: Annotated[
        Path, typer.Option(help="Folder of checkpoints; an interrupted run resumes from it.")
    ] = Path("runs"),
    max_images: Annotated[
        int | None,
        typer.Option(min=1, help="Use at most this many training images; nothing is published."),
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile", help="Compile the quantizers where a C++ compiler is: 1.5x to 1.8x."
        ),
    ] = False,
) -> None:
    """Train what is missing of a recipe's variants and put it into pretrained/, card and all.

    A run that was killed goes on from its last epoch and ends in the same weights.
    """
    from hybrid import zoo
    from hybrid.training.recipe import load_recipe

    plans = load_recipe(recipe)
    chosen = tuple(plans.plan(name).name for name in variant or ())
    try:
        from lightning.pytorch.callbacks import RichProgressBar

        from hybrid.training.run import TrainingRun, train
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"Training needs {error.name}, which is not installed; "
            'install it with: pip install "hybrid[train]".'
        ) from None
    bar = RichProgressBar(console_kwargs={"stderr": True})
    how = TrainingRun(folder=checkpoints, limit=max_images, callbacks=(bar,), compiled=compiled)
    done = train(plans, how, variants=chosen)
    if not done:
        typer.echo(f"Nothing is missing of {plans.network}.")
    elif max_images is None:
        typer.echo(f"In {zoo.pretrained_folder() / plans.network}: {', '.join(done)}.")
    else:
        typer.echo(f"Trial ended, nothing published: {', '.join(done)}.")


@app.command(epilog="Example: hybrid refresh digits-vgg")
def refresh(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships, or the path of your own.")],
    *,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant; may be given several times.")
    ] = None,
) -> None:
    """Record all traces of a network anew and write its card from them; weights stay.

    A weights file that repeats the variant its heads were trained on is written without that.
    """
    from hybrid.training.publish import renew
    from hybrid.training.recipe import load_recipe

    renew(load_recipe(recipe), variants=tuple(variant or ()))


@app.command(epilog="Example: hybrid profiles")
def profiles(*, as_json: AsJson = False) -> None:
    """List the hardware and link profiles with their sources."""
    found: dict[str, Sequence[energy.Profile | energy.Link]] = {
        "hardware": [energy.load_profile(name) for name in energy.profile_names()],
        "links": [energy.load_link(name) for name in energy.link_names()],
    }
    if as_json:
        output.print_json({kind: [asdict(one) for one in some] for kind, some in found.items()})
        return
    for kind, some in found.items():
        typer.echo(f"{kind.capitalize()}:")
        for one in some:
            typer.echo(f"  {one.name:<22} {one.title}\n{'':25}{one.source}")


@app.command(epilog="Example: hybrid published")
def published(*, as_json: AsJson = False) -> None:
    """Print published figures of early exit beside what the networks here reach."""
    from hybrid.choosing import published

    made = published.rows()
    if as_json:
        output.print_json([row.to_dict() for row in made])
    else:
        output.print_wide_table(published.COLUMNS, published.table(made))
        typer.echo(published.NOTE)


def _profile_checks(
    field: "Field", limits: "Limits", prices: "Prices", answer: "Answer"
) -> "tuple[ProfileCheck, ...]":
    """The choice under every profile that ships, and the one it was made under."""
    from hybrid.choosing import check_profiles

    if answer.best is None:
        return ()
    names = [name for name in energy.profile_names() if name != prices.profile.name]
    profiles = [prices.profile, *map(energy.load_profile, names)]
    return check_profiles(field, limits, prices, answer.best, profiles)


images.add_to(app)
models.add_to(app)
