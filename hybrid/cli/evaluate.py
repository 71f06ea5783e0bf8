"""The command `evaluate`: what stays on the device at given thresholds, and what it costs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid import energy
from hybrid.cli import output
from hybrid.cli.options import (
    AsJson,
    Bits,
    CloudProfileName,
    Deployed,
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

if TYPE_CHECKING:
    from hybrid.choosing import PointFile as ChosenPoint

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(epilog="Example: hybrid evaluate digits-vgg --bits 4 --thresholds 0.9,0.8 --json")(
        evaluate
    )


def evaluate(
    network: Network,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    static: Static = False,
    deployed: Deployed = False,
    measure: Measure = "max_probability",
    split: Split = "test",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    cloud_profile: CloudProfileName = "",
    link: LinkName = energy.DEFAULT_LINK,
    scope: Scope = energy.SCOPES[0],
    certify: Annotated[
        bool,
        typer.Option(
            "--certify",
            help="Add a certified upper bound on the accuracy lost to early exits. Fix the "
            "thresholds first.",
        ),
    ] = False,
    confidence: Annotated[
        float, typer.Option(help="Confidence of the certificate, between 0 and 1.")
    ] = 0.95,
    point: PointFile = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate thresholds: share answered on the device, accuracy, energy, latency and traffic.

    With --point, leave out the network and --bits: the file has them.

    A certificate comes from the certify split, or from a user split if --split names one. A
    point that was chosen on some images is not certified on the same images again.
    """
    from hybrid import policy, zoo
    from hybrid.certificates import check_delta
    from hybrid.evaluation import Prices, certified, disagreement, evaluate_variant

    check_delta(1 - confidence)
    prices = Prices.named(profile=profile, link=link, scope=scope, cloud=cloud_profile)
    variant = zoo.variant(network, bits, static=static, deployed=deployed)
    limits = policy.check_thresholds(thresholds, variant.early_exits)
    chosen = _unchanged(point, (network, variant.name, limits, measure))
    if chosen is not None and certify:
        chosen.check_unseen(split)
    found = evaluate_variant(
        zoo.card(network),
        variant,
        limits,
        cloud=chosen is not None and chosen.mode == "cloud",
        measure=measure,
        split=split,
        prices=prices,
    )
    about: dict[str, Any] = {"network": network, "bits": bits, "split": split}
    about |= {"variant": variant.name} if deployed else {}
    if not found.outcome.labelled:
        recorded = zoo.trace(network, variant.name, split)
        about["disagreement"] = disagreement(recorded, limits, measure)
    made = None
    if certify:
        made = certified(
            network, variant, limits, measure=measure, split=split, confidence=confidence
        )
    if as_json:
        priced = {"scope": scope, "profile": prices.profile.name}
        priced |= {"cloud_profile": prices.cloud_name} if prices.cloud else {}
        promised = {} if made is None else {"certificate": made.to_dict()}
        if chosen is not None and chosen.certificate:
            promised["certified_when_chosen"] = dict(chosen.certificate)
        output.print_json(output.point_json(about, found, priced) | promised)
        return
    about |= {"scope": scope, "profile": prices.profile.name}
    about |= {"cloud profile": prices.cloud_name} if prices.cloud else {}
    about["link"] = prices.link.name
    output.print_table(output.point_rows(about, found))
    output.print_table(output.certificate_rows(made))
    output.print_table(output.chosen_rows(chosen))


def _unchanged(
    point: Path | None, asked: "tuple[str, str, tuple[float, ...], str]"
) -> "ChosenPoint | None":
    """The point of a file, as long as no option changed what it was chosen for."""
    from hybrid.choosing import load_point

    if point is None:
        return None
    chosen = load_point(point)
    if asked == chosen.answers:
        return chosen
    typer.echo(
        f"An option changes the point of {point}, so its certificate does not apply.", err=True
    )
    return None
