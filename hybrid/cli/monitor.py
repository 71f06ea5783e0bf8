"""The command `monitor`: the lines of an edge in; evidence, alarm and what is certified out."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli import output
from hybrid.cli.options import AsJson, Deployed, Measure, PointFile, Thresholds
from hybrid.errors import LineError

if TYPE_CHECKING:
    from hybrid.monitor.plan import Plan
    from hybrid.monitor.watch import Monitor

__all__ = ["add_to"]

_EVERY = 1_000  # images between two reports while following


def add_to(app: typer.Typer) -> None:
    """Make this command part of the command line."""
    app.command(
        epilog="Example: hybrid monitor --network digits-vgg --bits 4 --thresholds 0.9,0.8 "
        "--save-plan plan.json"
    )(monitor)


def monitor(
    lines: Annotated[
        str,
        typer.Argument(
            help="The edge's JSON lines: a file, - for stdin, or an http address that sends them."
        ),
    ] = "",
    *,
    plan: Annotated[
        Path | None, typer.Option(help="The plan that the edge has too, a JSON file.")
    ] = None,
    save_plan: Annotated[
        Path | None,
        typer.Option(help="Write the plan for the edge to this file; LINES may then be left out."),
    ] = None,
    network: Annotated[str, typer.Option(help="Without --plan: the network.")] = "",
    bits: Annotated[int, typer.Option(help="Without --plan: bit width on the device.")] = 0,
    static: Annotated[bool, typer.Option("--static", hidden=True)] = False,
    deployed: Deployed = False,
    thresholds: Thresholds = "",
    measure: Measure = "max_probability",
    point: PointFile = None,
    split: Annotated[
        str, typer.Option(help="Images that certify the promise: certify, or a user split.")
    ] = "certify",
    confidence: Annotated[
        float, typer.Option(help="Confidence of the promise, between 0 and 1.")
    ] = 0.95,
    promise: Annotated[
        float | None,
        typer.Option(
            help="Share of the answers that may differ from the cloud's, in place of a certificate."
        ),
    ] = None,
    audit: Annotated[
        float, typer.Option(help="Share of the early answers that the edge also sends.")
    ] = 0.05,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm, over all time.")] = 0.01,
    run_length: Annotated[
        int,
        typer.Option(help="Images between false alarms of the restarting test, on average."),
    ] = 10_000_000,
    window: Annotated[
        int, typer.Option(help="Images of each bound of what is certified now.")
    ] = 20_000,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on at the end of the file, until interrupted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test on a device's audits whether a certificate's promise still holds.

    Make a plan first, with --save-plan and a network or --point; the edge and this command read it.
    The promise, at most so many answers that differ from the cloud's, is certified then, as
    `evaluate --certify` does.

    Exit code 1 if an alarm was raised.
    """
    if plan is not None:
        from hybrid.monitor.plan import load_plan

        agreed = load_plan(plan)
    else:
        if point is not None and promise is None:
            from hybrid.choosing import load_point

            load_point(point).check_unseen(split)
        agreed = _made(
            network, bits, thresholds, static, deployed,
            measure=measure, split=split, confidence=confidence, epsilon=promise, share=audit,
            alpha=alpha, run_length=run_length, window=window,
        )  # fmt: skip
    if save_plan is not None:
        from hybrid.monitor.plan import save_plan as save

        save(agreed, save_plan)
        typer.echo(f"The plan is in {save_plan}.", err=True)
    if not lines:
        if save_plan is None:
            raise LineError("Name the edge's lines: a file, - for stdin, or an http address.")
        return
    watched = _watched(agreed, lines, follow=follow, report=_reporter(as_json=as_json))
    if watched.status().alarm:
        raise typer.Exit(1)


def _made(
    network: str, bits: int, thresholds: str, static: bool, deployed: bool, **options: object
) -> "Plan":
    """The plan of a network; its promise is certified now."""
    from hybrid import policy, zoo
    from hybrid.monitor.plans import plan_of

    if not network:
        raise LineError(
            "Name the plan with --plan, or make one with --network, --bits and --thresholds, or "
            "with --point."
        )
    variant = zoo.variant(network, bits, static=static, deployed=deployed)
    limits = policy.check_thresholds(thresholds, variant.early_exits)
    return plan_of(network, variant, limits, **options)  # type: ignore[arg-type]  # options by name


def _watched(
    plan: "Plan", lines: str, *, follow: bool, report: "Callable[[Monitor], None]"
) -> "Monitor":
    """Read the lines to their end and report; while following, report on the way."""
    from hybrid.monitor.source import batches
    from hybrid.monitor.watch import Monitor

    watched = Monitor(plan)
    reported, alarmed = 0, False
    streaming = follow or lines.startswith("http") or lines == "-"
    try:
        for batch in batches(lines, follow=follow, wait=time.sleep):
            watched.read(batch.texts, last_is_whole=batch.last_is_whole)
            now = watched.status() if streaming else None
            if now and (now.images >= reported + _EVERY or now.alarm != alarmed):
                reported, alarmed = now.images, now.alarm
                report(watched)
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
    report(watched)
    return watched


def _reporter(*, as_json: bool) -> "Callable[[Monitor], None]":
    """What prints a status: a table, or one JSON object per line."""
    from hybrid.text import monitor as text

    def report(watched: "Monitor") -> None:
        status = watched.status()
        if as_json:
            typer.echo(json.dumps(text.to_json(status, watched.plan), allow_nan=False))
        else:
            output.print_table(text.rows(status, watched.plan))

    return report
