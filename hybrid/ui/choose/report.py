"""An answer as one HTML file that opens offline: text, tables, and interactive figures.

Plotly's script is included once. All text is escaped, so a network may have any name.
"""

import datetime as dt
import html
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from hybrid import zoo
from hybrid.choosing import (
    Answer,
    Field,
    LossCurve,
    ParetoSet,
    Point,
    ProfileCheck,
    loss_curve,
    origin,
    pareto_sets,
    point_file,
    to_toml,
)
from hybrid.data import user_splits
from hybrid.errors import FileError
from hybrid.evaluation import Prices
from hybrid.files import home_folder, replacing
from hybrid.text import candidate, choice, decision, numbers
from hybrid.ui.choose import figures, tables

__all__ = ["COLOURS", "in_script", "save_report", "to_html"]

# Colours of the palette's slots in the report: those of the light theme.
COLOURS = (
    "#1f5fd0", "#d97a12", "#14a87c", "#a3239b", "#22335c",
    "#727d8a", "#16202e", "#b7c0cb", "#2e9e62", "#c8402f",
)  # fmt: skip
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #16202e; max-width: 1080px; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: 0.35rem 0.6rem; border-bottom: 1px solid #dde2e9;
  vertical-align: top }
.answer { border-left: 4px solid #1f5fd0; background: #f3f5f8; padding: 0.8rem 1rem }
.warned { border-left: 4px solid #d97a12; background: #fdf4e7; padding: 0.6rem 1rem }
.small { color: #727d8a; font-size: 0.9rem } pre { background: #f3f5f8; padding: 1rem;
  overflow: auto } .scroll { overflow-x: auto }
"""


def save_report(
    field: Field, answer: Answer, prices: Prices, compared: Sequence[ProfileCheck], path: Path
) -> None:
    """Write the report of an answer."""
    seen = pareto_sets(field, answer.limits, prices)
    curve = loss_curve(field, answer.limits, prices)
    page = to_html(answer, seen, curve, compared)
    with replacing(path) as draft:
        draft.write_text(page, encoding="utf-8")


def to_html(
    answer: Answer,
    seen: Sequence[ParetoSet],
    curve: LossCurve,
    compared: Sequence[ProfileCheck] = (),
    *,
    on: dt.date | None = None,
) -> str:
    """The report as one page.

    Args:
        seen: the candidates to draw.
        curve: the least energy for each loss allowed.
        compared: the choice under other energy models; empty leaves the part out.
        on: the date that it bears; today if none is given.
    """
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>Operating point: {_text(', '.join(_networks(answer)))}</title>",
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>",
        "<h1>Operating point</h1>",
        *_origin(answer, on),
        _paragraph(f"Asked for: {choice.asked(answer.limits)}.", "small"),
        _paragraph(choice.on_images(answer), "small"),
        *map(_paragraph, filter(None, [choice.apart(answer)])),
        _paragraph(choice.headline(answer), "answer"),
        *_best(answer),
        *_costs(answer, curve),
        *_others(answer),
        "<h2>All candidates</h2>",
        _paragraph(
            "Dotted lines: limits. Filled: meets every limit on the tuning images"
            f"{tables.ruled_out(answer, seen)}.",
            "small",
        ),
        _drawn("trade", figures.trade(seen, answer)),
        _paragraph("Drag along an axis to filter; the choice is red.", "small"),
        _drawn("axes", figures.axes(seen, answer)),
        *_compared(answer, compared),
        "<h2>How it was chosen</h2>",
        _paragraph(choice.counted(answer)),
        _paragraph(
            f"Energy of {answer.scope} by the profile {answer.profile}{_cloud(answer)}, link "
            f"{answer.link}; confidence is {answer.measure}."
        ),
        *(_paragraph(_without_folders(note)) for note in choice.notes(answer)),
        *_file(answer),
        "</body></html>",
    ]
    return "\n".join(parts)


def _origin(answer: Answer, on: dt.date | None) -> list[str]:
    made = origin(answer, on)
    return [
        _paragraph(f"Made on {made['date']} by hybrid {made['version']} with", "small"),
        f"<pre>{_text(made['command'])}</pre>",
    ]


def _best(answer: Answer) -> list[str]:
    best = answer.best
    if best is None:
        return [_paragraph(decision.decided(answer)), *_ruled_out(answer)]
    proof = [choice.certificate(answer.proof, best, answer.limits)] if answer.proof else []
    return [
        _paragraph(candidate.how(best)),
        *map(_paragraph, proof),
        _paragraph(decision.decided(answer), "warned" if answer.limits.uncertified else ""),
        *map(_paragraph, filter(None, [decision.without(answer)])),
        *_ruled_out(answer),
        _paragraph(choice.on_test(answer)),
        _table(_figures(best, answer.scope)),
    ]


def _ruled_out(answer: Answer) -> list[str]:
    """The points that only the certificate rules out."""
    if not answer.uncertifiable:
        return []
    return [
        _paragraph("These meet every limit on the tuning images and cannot be certified:"),
        *(_paragraph(decision.uncertifiable(one), "small") for one in answer.uncertifiable),
    ]


def _figures(best: Point, scope: str) -> list[dict[str, str]]:
    """A point's figures on test, where nothing was chosen, and below on tune."""
    both = {"On test": best.test, f"On {best.tune.split}": best.tune}
    return [
        {"": title}
        | {choice.column(key, scope): candidate.figure(key, of.by_limit[key])
           for key in candidate.FIGURES if key in of.by_limit}
        | {"Answered at the edge": numbers.percent(of.edge_fraction)}
        for title, of in both.items()
        if of is not None
    ]  # fmt: skip


def _costs(answer: Answer, curve: LossCurve) -> list[str]:
    return [
        f"<h2>Least energy ({answer.scope}) for the loss allowed</h2>",
        _paragraph(decision.curve(answer.limits), "small"),
        _drawn("curve", figures.loss_curve(curve, answer.limits.max_loss_points)),
        "<details><summary>As a table</summary>",
        _table(tables.costs(curve)),
        "</details>",
    ]


def _file(answer: Answer) -> list[str]:
    if answer.best is None:
        return []
    return [
        "<h2>The point as a file</h2>",
        _paragraph("Saved as operating-point.toml, hybrid evaluate and predict read it.", "small"),
        f"<pre>{_text(to_toml(point_file(answer)))}</pre>",
    ]


def _others(answer: Answer) -> list[str]:
    parts = []
    if answer.runners_up:
        named = {str(place): point for place, point in enumerate(answer.runners_up, start=1)}
        parts += ["<h2>Runners-up</h2>", _table(choice.rows(named, answer.scope))]
    if answer.left_out:
        parts += ["<h2>Left out, and why</h2>", _table(tables.left_out(answer))]
    return parts


def _compared(answer: Answer, compared: Sequence[ProfileCheck]) -> list[str]:
    if answer.best is None or not compared:
        return []
    return [
        f"<h2>Under other energy models ({answer.scope})</h2>",
        _paragraph(choice.survival(compared, answer.best)),
        _drawn("profiles", figures.profiles(compared)),
        _table(tables.under_models(compared)),
    ]


def _cloud(answer: Answer) -> str:
    return f" (cloud: {answer.cloud_profile})" if answer.cloud_profile else ""


def _without_folders(words: str) -> str:
    """The same words without the folders of this machine; a report is read elsewhere."""
    folders = [zoo.pretrained_folder()]
    with suppress(FileError):  # without a home folder there is nothing to leave out
        folders += [user_splits.folder(), home_folder("HYBRID_TRACES")]
    for folder in folders:
        words = words.replace(f"{folder}/", "")
    return words


def _networks(answer: Answer) -> list[str]:
    return sorted({ranked.point.network for ranked in answer.ranking})


def in_script(value: Any) -> str:
    """JSON for a script: no text in it begins a tag or a comment, which could end the script."""
    return json.dumps(value).replace("<", "\\u003c")


def _drawn(name: str, figure: go.Figure) -> str:
    spec = figure.to_json()
    assert isinstance(spec, str)
    for place, colour in enumerate(COLOURS, start=1):
        spec = spec.replace(f"#{place:06d}", colour)
    values = json.loads(spec)
    values["layout"]["font"] = {"family": "system-ui, sans-serif", "color": "#16202e"}
    words = in_script(values)
    call = f"Plotly.newPlot('{name}', spec.data, spec.layout, {{responsive: true}});"
    return f"<div id='{name}'></div><script>{{const spec = {words}; {call}}}</script>"


def _paragraph(words: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{_text(words)}</p>" if kind else f"<p>{_text(words)}</p>"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    head = "".join(f"<th>{_text(column)}</th>" for column in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class='scroll'>{table}</div>"


def _text(words: str) -> str:
    return html.escape(words)
