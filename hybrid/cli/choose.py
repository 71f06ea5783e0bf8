"""The command `choose`: find the lowest-energy operating point that meets the limits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid import energy
from hybrid.cli import output
from hybrid.cli.options import AsJson, CloudProfileName, LinkName, Measure, ProfileName, Scope

if TYPE_CHECKING:
    from hybrid.choosing import Answer, Field, Limits, ProfileCheck
    from hybrid.evaluation import Prices

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid choose digits-vgg --max-loss 2.0 --uncertified --max-energy-uj 20 "
        "--out operating-point.toml --report report.html --json",
    )(choose)


def choose(
    networks: Annotated[
        list[str], typer.Argument(help="Networks to choose among, as `hybrid networks` lists them.")
    ],
    *,
    images: Annotated[
        str,
        typer.Option(help="Name of your own images, imported with `import-images --tune-certify`."),
    ] = "",
    max_loss: Annotated[
        float | None,
        typer.Option(help="Accuracy that may be lost against the full-precision twin, in points."),
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Confidence of the certificate for the loss, between 0 and 1.")
    ] = 0.95,
    uncertified: Annotated[
        bool,
        typer.Option(
            "--uncertified", help="Limit only the loss measured on tune, without a certificate."
        ),
    ] = False,
    max_energy_uj: Annotated[
        float | None, typer.Option(help="Mean energy per image, in µJ.")
    ] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Mean latency per image, in ms.")
    ] = None,
    max_p95_latency_ms: Annotated[
        float | None,
        typer.Option(help="Latency that 95 % of the images stay within, in ms."),
    ] = None,
    max_uplink_bytes: Annotated[
        float | None, typer.Option(help="Mean bytes sent per image.")
    ] = None,
    max_edge_memory_kib: Annotated[
        float | None,
        typer.Option(
            help="Memory of the device: packed weights and the largest activations, in KiB."
        ),
    ] = None,
    min_accuracy: Annotated[
        float | None, typer.Option(help="Accuracy on tune, in percent.")
    ] = None,
    min_class_accuracy: Annotated[
        float | None, typer.Option(help="Accuracy of every class on tune, in percent.")
    ] = None,
    images_per_day: Annotated[
        float | None, typer.Option(help="Images processed per day, to estimate battery life.")
    ] = None,
    battery_mah: Annotated[
        float | None, typer.Option(help="Capacity of the battery, in mAh.")
    ] = None,
    battery_volts: Annotated[float | None, typer.Option(help="Voltage of the battery.")] = None,
    min_days: Annotated[float | None, typer.Option(help="Days the battery must last.")] = None,
    deployed: Annotated[
        bool,
        typer.Option(
            "--deployed",
            help="Choose among deployment forms only, which `hybrid freeze` makes: "
            "what a device really answers.",
        ),
    ] = False,
    measure: Measure = "max_probability",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    cloud_profile: CloudProfileName = "",
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    every_profile: Annotated[
        bool,
        typer.Option(
            "--every-profile", help="Also check the choice under every other hardware profile."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the point to this TOML file, for `evaluate --point` and `predict --point`.",
            dir_okay=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write an HTML report that opens offline.", dir_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the lowest-energy operating point that meets your limits, and show why others do not.

    Points are chosen on tune, certified on certify and reported on test. For your own images the
    splits are NAME-tune and NAME-certify. Exit code 1 if there is no point, because no candidate
    meets the limits or none can be certified.
    """
    from hybrid.choosing import (
        Limits,
        choose,
        collect_candidates,
        origin,
        point_file,
        save_point,
    )
    from hybrid.evaluation import Prices

    limits = Limits(
        max_loss_points=max_loss,
        confidence=None if uncertified else confidence,
        max_energy_uj=max_energy_uj,
        max_latency_ms=max_latency_ms,
        max_p95_latency_ms=max_p95_latency_ms,
        max_uplink_bytes=max_uplink_bytes,
        max_edge_memory_kib=max_edge_memory_kib,
        min_accuracy_percent=min_accuracy,
        min_class_accuracy_percent=min_class_accuracy,
        images_per_day=images_per_day,
        battery_mah=battery_mah,
        battery_volts=battery_volts,
        min_days=min_days,
    )
    prices = Prices.named(profile=profile, link=link, scope=scope, cloud=cloud_profile)
    with output.progress("Counting thresholds") as progress:
        field = collect_candidates(
            networks, images=images, measure=measure, deployed=deployed, progress=progress
        )
    answer = choose(field, limits, prices)
    compared = _profile_checks(field, limits, prices, answer) if every_profile or report else ()
    if as_json:
        survived = {"profiles": [one.to_dict() for one in compared]} if every_profile else {}
        output.print_json(answer.to_dict() | survived | origin(answer))
    else:
        output.print_table(output.answer_rows(answer, compared if every_profile else ()))
    if report:
        from hybrid.ui.choose.report import save_report

        save_report(field, answer, prices, compared, report)
    if answer.best is None:
        if out:
            typer.echo(f"There is no point to write, so {out} was not written.", err=True)
        raise typer.Exit(1)
    if out:
        made = point_file(answer, profile=profile, link=link, cloud_profile=cloud_profile)
        save_point(made, out)


def _profile_checks(
    field: "Field", limits: "Limits", prices: "Prices", answer: "Answer"
) -> "tuple[ProfileCheck, ...]":
    """The choice under the profile it was made under, and under every other one that ships."""
    from hybrid.choosing import check_profiles

    if answer.best is None:
        return ()
    names = [name for name in energy.profile_names() if name != prices.profile.name]
    profiles = [prices.profile, *map(energy.load_profile, names)]
    return check_profiles(field, limits, prices, answer.best, profiles)
