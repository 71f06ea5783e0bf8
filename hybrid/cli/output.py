"""The output of the commands: objects to JSON, or to the rows of a table."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from hybrid.text import intervals, numbers
from hybrid.text.plain import printable

if TYPE_CHECKING:
    from hybrid.choosing import Answer, PointFile, ProfileCheck
    from hybrid.data.labels import Match
    from hybrid.data.sources import Source
    from hybrid.data.user_splits import UserSplit
    from hybrid.evaluation import Certified
    from hybrid.models import Inference
    from hybrid.policy import OperatingPoint
    from hybrid.zoo import Card, Variant

__all__ = [
    "accuracies",
    "answer_json",
    "answer_rows",
    "certificate_rows",
    "chosen_rows",
    "network_json",
    "point_json",
    "point_rows",
    "print_json",
    "print_table",
    "print_wide_table",
    "progress",
    "say",
    "say_found",
    "say_imported",
    "say_left_out",
]

_SHOWN = 20  # files that could not be read, of those that are listed


def say(words: str, *, err: bool = False) -> None:
    """A line on stdout or stderr, without what would steer the terminal."""
    typer.echo(printable(words), err=err)


def print_json(value: Any) -> None:
    """One JSON value, indented, alone on stdout."""
    say(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """One row per line: a name, then its value."""
    for name, value in rows:
        say(f"{name:<24}{value}")


def print_wide_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, two spaces between them."""
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(cells).rstrip())


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; yields a function that takes the steps done and their total."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def say_imported(about: "UserSplit") -> None:
    """How many images a split has, and which files could not be read, on stderr."""
    from hybrid.data import user_splits

    say(f"{about.name}: {about.samples:,} images.", err=True)
    if without := about.left_out.get("", 0):
        were = "1 image has" if without == 1 else f"{without:,} images have"
        say(f"{were} no label and were left out.", err=True)
    if about.skipped:
        say(f"{about.skipped:,} files could not be read:", err=True)
        for one in user_splits.skipped(about)[:_SHOWN]:
            say(f"  {one.sentence}", err=True)


def say_found(source: "Source") -> None:
    """The columns a table was read by, and the files that are no images, on stderr."""
    from hybrid.data.sources import ignored_words

    if source.table is not None:
        say(source.table.note, err=True)
    if source.ignored:
        say(f"{ignored_words(source.ignored)}.", err=True)


def say_left_out(found: Sequence["Match"], table: dict[str, str | None]) -> None:
    """List the labels that match no class, on stderr."""
    for one in found:
        if table[one.word] is None:
            guess = f"; for {one.class_name}, add --map-label" if one.class_name else ""
            were = "1 image" if one.images == 1 else f"{one.images:,} images"
            say(
                f"{were} labelled {one.word!r} {'was' if one.images == 1 else 'were'} left out: "
                f"no class has that name{guess}.",
                err=True,
            )


def network_json(card: "Card") -> dict[str, Any]:
    """A card as `hybrid networks --json` lists it."""
    return {
        "network": card.network,
        "title": card.title,
        "dataset": card.dataset,
        "bits": [one.bits for one in card.hybrids],
        "static_bits": [one.bits for one in card.statics],
        "accuracy": {v.name: v.accuracy for v in card.variants.values()},
    }


def accuracies(variant: "Variant") -> str:
    """A variant's exits with their accuracy on test."""
    said = (
        f"{exit_name(number, variant)} {100 * accuracy:.1f} %"
        for number, accuracy in enumerate(variant.accuracy.get("test", ()))
    )
    return "accuracy on test: " + ", ".join(said)


def exit_name(number: int, variant: "Variant") -> str:
    """Name of exit `number`, from 0: "exit 1" for the first, "final exit" for the last."""
    return "final exit" if number == len(variant.exit_names) - 1 else f"exit {number + 1}"


def point_json(
    about: dict[str, Any], point: "OperatingPoint", priced: dict[str, str]
) -> dict[str, Any]:
    """An operating point with the keys that other programs rely on."""
    values = point.as_row()
    counted = ("samples", "thresholds", "measure", "exit_fractions", "edge_fraction")
    right = ("accuracy", "final_exit_accuracy", "twin_accuracy")
    spent = ("energy_pj", "twin_energy_pj", "energy_reduction", "uplink_bytes")
    before = {key: values[key] for key in counted + right}
    return about | before | priced | {key: values[key] for key in spent}


def point_rows(about: dict[str, Any], point: "OperatingPoint") -> Iterator[tuple[str, str]]:
    """An operating point in words."""
    outcome = point.outcome
    for name, value in about.items():
        yield name, f"{100 * value:.2f} %" if name == "disagreement" else str(value)
    yield "samples", f"{outcome.samples:,}"
    for number, fraction in enumerate(outcome.exit_fractions[:-1], start=1):
        yield f"leave at exit {number}", f"{100 * fraction:.2f} %"
    yield "take the final exit", f"{100 * outcome.exit_fractions[-1]:.2f} %"
    if outcome.labelled:
        right, final, samples = outcome.correct, outcome.final_exit_correct, outcome.samples
        yield "accuracy", f"{100 * outcome.accuracy:.2f} %" + _interval(right, samples)
        yield (
            "final exit's accuracy",
            f"{100 * outcome.final_exit_accuracy:.2f} %" + _interval(final, samples),
        )
    else:
        yield "accuracy", "unknown: these images have no labels"
    if point.twin_accuracy is not None:
        yield "twin's accuracy", f"{100 * point.twin_accuracy:.2f} %"
    yield "energy per image", numbers.energy(point.energy_pj)
    # the device does not run the twin: the comparison is with sending the raw image
    sends = about["scope"] == "device"
    yield "to send the image" if sends else "twin's energy", numbers.energy(point.twin_energy_pj)
    yield "energy reduction", f"{point.energy_reduction:.2f}x ({about['scope']})"
    long = point.latency_ms >= 1000
    yield "latency", f"{point.latency_ms:,.0f} ms" if long else f"{point.latency_ms:.3g} ms"
    yield "uplink", f"{point.uplink_bytes:.1f} bytes"


def _interval(correct: int, samples: int) -> str:
    """The 95 % interval of an accuracy of few images."""
    words = intervals.between(correct, samples)
    return f", 95 % interval {words}" if words else ""


def certificate_rows(made: "Certified | None") -> Iterator[tuple[str, str]]:
    """A certificate in words; no row if none was asked for."""
    if made is None:
        return
    yield "certificate", made.overall.sentence
    yield "  counted as", made.answer
    for number, one in enumerate(made.exits, start=1):
        words = "no image exits" if one is None else f"{one.claim} ({one.samples:,} images)"
        yield f"  exit {number} alone", words


def chosen_rows(point: "PointFile | None") -> Iterator[tuple[str, str]]:
    """The certificate a point was chosen with; no row if it has none."""
    if point is None or not point.certificate:
        return
    kept = point.certificate
    network, variant = kept["reference"]
    bound, confidence = f"{kept['bound_points']:.3g}", f"{kept['confidence']:g}"
    against = f"{variant} of {network} ({kept['samples']:,} images)"
    yield (
        "certified when chosen",
        f"loses at most {bound} points to {against}, confidence {confidence}",
    )


def answer_json(
    answer: "Inference", card: "Card", variant: "Variant", *, sample: int = 0
) -> dict[str, Any]:
    """The exit a sample took, and the prediction of each exit that was computed for it."""
    taken = int(answer.exit_taken[sample])
    said: Sequence[dict[str, Any]] = [
        {
            "exit": i,
            "exit_name": variant.exit_names[i],
            "class": card.classes[int(answer.probabilities[sample, i].argmax())],
            "confidence": float(answer.confidences[sample, i]),
        }
        for i in range(taken + 1)
    ]
    name = {"exit": taken, "exit_name": variant.exit_names[taken]}
    return name | {"class": said[taken]["class"], "exits": said}


def answer_rows(
    answer: "Answer", compared: "tuple[ProfileCheck, ...]"
) -> Iterator[tuple[str, str]]:
    """A choice in words: answer, runners-up, what was left out and why."""
    from hybrid.choosing import command_of
    from hybrid.text import candidate, choice, decision

    yield "asked for", choice.asked(answer.limits)
    if warning := choice.apart(answer):
        yield "warning", warning
    yield "answer", choice.headline(answer)
    if answer.best:
        yield "on test", choice.on_test(answer)
        yield "on tune", choice.on_tune(answer)
    yield from _proof_rows(answer)
    for number, point in enumerate(answer.runners_up, start=1):
        yield f"runner-up {number}", candidate.short(point)
    for ranked in decision.near_misses(answer):
        yield "near misses", f"{candidate.name(ranked.point)}: {choice.place(ranked, answer)}"
    for one in compared:
        yield f"under {one.profile} ", choice.verdict(one)
    yield "searched", choice.counted(answer)
    for sentence in decision.references(answer):
        yield "reference", sentence
    for note in choice.notes(answer):
        yield "note", note
    yield "repeat with", command_of(answer)


def _proof_rows(answer: "Answer") -> Iterator[tuple[str, str]]:
    """The certificate or that there is none, what decided, and what a certificate rules out."""
    from hybrid.text import choice, decision

    if answer.best and (words := decision.uncertified(answer)):
        yield "not certified", words
    elif answer.best and answer.proof:
        yield "certificate", choice.certificate(answer.proof, answer.best, answer.limits)
    if not answer.limits.uncertified:
        yield "decided", decision.decided(answer)
    if words := decision.without(answer):
        yield "without certificate", words
    for one in answer.uncertifiable:
        yield "cannot be certified", decision.uncertifiable(one)
