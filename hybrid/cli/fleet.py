"""The command `fleet`: a day of many devices that share one cloud, by simulation."""

from collections.abc import Iterator, Mapping
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
    Split,
    Thresholds,
)
from hybrid.text import numbers

if TYPE_CHECKING:
    from hybrid.deploy.fleet.plan import Plan

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid fleet digits-vgg --bits 4 --thresholds 0.9,0.8 --devices 100 "
        "--images-per-day 500 --cloud-ms 3"
    )(fleet)


def fleet(
    network: Network,
    *,
    bits: Bits,
    thresholds: Thresholds = "",
    devices: Annotated[int, typer.Option(min=1, help="How many devices there are.")] = 1000,
    images_per_day: Annotated[
        float, typer.Option(help="Images that each device takes in a day.")
    ] = 1000.0,
    pattern: Annotated[
        str,
        typer.Option(help="How a day's images spread over its hours: flat, or day (most at noon)."),
    ] = "day",
    cloud_ms: Annotated[
        float,
        typer.Option(
            help="Time that one image takes in the cloud, as measured. Default: by the profile's "
            "speed."
        ),
    ] = 0.0,
    more_ms: Annotated[
        float,
        typer.Option(help="Time for each further image of a batch. Default: as for the first."),
    ] = 0.0,
    max_batch: Annotated[int, typer.Option(min=1, help="Images that a replica takes at once.")] = 1,
    queue: Annotated[
        int, typer.Option(min=1, help="Requests that may wait; more are refused.")
    ] = 10_000,
    replicas: Annotated[
        int, typer.Option(min=0, help="Replicas of the cloud. Default: as many as are needed.")
    ] = 0,
    within_ms: Annotated[
        float,
        typer.Option(
            help="The replicas needed answer 99 % of the busiest hour's requests in this time, "
            "waiting included."
        ),
    ] = 50.0,
    deployed: Deployed = False,
    measure: Measure = "max_probability",
    split: Split = "test",
    profile: ProfileName = energy.DEFAULT_PROFILE,
    cloud_profile: CloudProfileName = "",
    link: LinkName = energy.DEFAULT_LINK,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    point: PointFile = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a day of a fleet: traffic, energy, waiting in the cloud, replicas needed.

    With --point, leave out the network and --bits: the file has them. Devices take their images
    independently of each other. The share that is sent comes from the trace.
    """
    from hybrid import policy, zoo
    from hybrid.deploy.fleet import plan as plans
    from hybrid.deploy.fleet.queueing import Cloud
    from hybrid.evaluation import Prices

    del point  # its values are the other options' defaults
    prices = Prices.named(profile=profile, link=link, scope="device", cloud=cloud_profile)
    variant = zoo.variant(network, bits, deployed=deployed)
    cloud = Cloud(
        replicas=replicas or 1,
        image_ms=cloud_ms or plans.cloud_ms(variant, prices),
        more_ms=more_ms or None,
        most_in_batch=max_batch,
        most_waiting=queue,
    )
    many = plans.Fleet(devices=devices, images_per_day=images_per_day, pattern=pattern)
    limits = policy.check_thresholds(thresholds, variant.early_exits)
    made = plans.plan(
        network,
        variant,
        limits,
        many,
        cloud,
        as_needed=not replicas,
        measure=measure,
        split=split,
        prices=prices,
        within_ms=within_ms,
        seed=seed,
    )
    others = list(
        plans.by_threshold(
            network, variant, many, made.cloud, measure=measure, split=split, prices=prices
        )
    )
    if as_json:
        output.print_json(made.as_row() | {"by_threshold": others})
        return
    output.print_table(_rows(made))
    output.say("\nAt other thresholds, the same at every exit:")
    output.print_wide_table(
        ("threshold", "accuracy", "at the edge", "peak", "replicas", "uplink", "device energy"),
        map(_cells, others),
    )


def _rows(made: "Plan") -> Iterator[tuple[str, str]]:
    row = made.as_row()
    yield "images per day", numbers.count(row["images"])
    yield "answered at the edge", f"{100 * row['edge_fraction']:.2f} %"
    if row["accuracy"] is not None:
        yield "accuracy", f"{100 * row['accuracy']:.2f} %"
    yield "sent to the cloud", f"{numbers.count(row['requests'])} images"
    yield "busiest hour", f"{row['peak_requests_per_s']:.3g} requests per second"
    yield "uplink", f"{_megabytes(row['uplink_bytes'])} per day"
    yield "energy of the devices", f"{_energy(row['device_energy_j'])} per day"
    if row["replicas_needed"] is None:
        yield "replicas needed", f"no number keeps 99 % within {made.within_ms:g} ms"
    else:
        yield "replicas needed", f"{row['replicas_needed']} (99 % within {made.within_ms:g} ms)"
    yield "replicas simulated", f"{row['replicas']}, busy {100 * row['utilization']:.1f} %"
    for name, words in (("in_cloud_ms", "in the cloud"), ("latency_ms", "until the answer")):
        yield words, ", ".join(f"{key} {value:.3g} ms" for key, value in row[name].items())
    yield "refused", numbers.count(row["refused"])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    known = row["accuracy"] is not None
    return (
        f"{row['threshold']:g}",
        f"{100 * row['accuracy']:.2f} %" if known else "unknown",
        f"{100 * row['edge_fraction']:.2f} %",
        f"{row['peak_requests_per_s']:.3g} /s",
        str(row["replicas"]),
        _megabytes(row["uplink_bytes"]),
        _energy(row["device_energy_j"]),
    )


def _megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"


def _energy(energy_j: float) -> str:
    return f"{energy_j:,.1f} J"
