"""filling.js against Python: the same numbers, the same sentences, and no text of its own."""

import base64
import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid import policy, zoo
from hybrid.text import numbers, point
from hybrid.ui.explore import follower, load
from hybrid.ui.explore.alternatives import better
from hybrid.ui.view import View
from tests.own_images import write_user_split

JavaScript = Callable[[str, Any], Any]
FOLDER = Path(follower.__file__).parent
WORDS_AT = """([data, trace, bits, all]) => all.map((thresholds) => {
    const [unpacked] = counting.traces(new Uint8Array(Buffer.from(trace, "base64")));
    const width = { ...data, ...data.widths.find((one) => one.bits === bits) };
    return filling.words(width, counting.operatingPoint(unpacked, width, thresholds));
})"""
LETTERS = re.compile(r"[^\W\d_]")


def shared_numbers() -> list[float]:
    """Of all sizes and both signs, with zeros, halves and the ends of units among them."""
    rng = np.random.default_rng(3)
    sizes = 10.0 ** rng.uniform(-9, 14, 400)
    halves = (rng.integers(0, 10_000, 200) + 0.5) / 1000
    ends = [size * near for size in (1, 1e3, 1e6, 1e9, 1e12) for near in (0.999_999, 1, 1.000_001)]
    known = [*sizes.tolist(), *halves.tolist(), *ends, 0.125, 0.0625, 99.95, 0.0]
    return known + [-one for one in known]


@pytest.mark.parametrize("kind", numbers.FORMATS)
def test_every_number_is_written_alike_in_python_and_in_javascript(
    javascript: JavaScript, kind: str
) -> None:
    known = shared_numbers()

    written = javascript(
        "([kind, numbers, all]) => all.map((value) => filling.write(value, kind, numbers))",
        [kind, numbers.as_payload(), known],
    )

    assert written == [numbers.write(value, kind) for value in known]


def test_an_infinite_ratio_is_written_alike(javascript: JavaScript) -> None:
    written = javascript(
        '(numbers) => filling.write(Infinity, "ratio", numbers)', numbers.as_payload()
    )

    assert written == numbers.ratio(float("inf")) == "∞×"


def test_a_template_is_filled_alike(javascript: JavaScript) -> None:
    template = "{a:count} of {b:count} ({a:percent}), {c} and {d:"

    filled = javascript(
        "([template, values, numbers]) => filling.fill(template, values, numbers)",
        [template, {"a": 1234, "b": 5e6}, numbers.as_payload()],
    )

    assert filled == numbers.fill(template, {"a": 1234, "b": 5e6})
    assert filled == "1,234 of 5,000,000 (123400.0 %), {c} and {d:"


def sent(view: View, codes: list[list[int]]) -> list[Any]:
    """What WORDS_AT is given: the settings, a bit width's trace, and thresholds."""
    chunk = load.follower_traces(view)[view.bits]
    return [load.follower_settings(view), base64.b64encode(chunk).decode(), view.bits, codes]


def expected(view: View) -> dict[str, Any]:
    """All texts at a view's thresholds, as Python writes them."""
    data = load.explore_data(view)
    now = policy.operating_point(
        data.trace,
        view.thresholds,
        measure=view.measure,
        costs=data.prices.costs,
        twin_energy_pj=data.prices.twin_energy_pj,
        twin_accuracy=data.prices.twin_accuracy,
    )
    told = {"scope": view.scope, "labelled": data.labelled}
    names = zoo.exit_labels(view.early_exits)
    known = load.known_alternatives(view)
    at = better(known, accuracy=now.outcome.accuracy, energy_pj=now.energy_pj)
    best, statics = None if at is None else known[at], [s.bits for s in data.statics]
    shown = point.headlines(now, data.prices.costs, image_bytes=data.card.image_bytes, **told)
    return {
        "words": {one.key: [one.value, one.note] for one in shown}
        | {
            "verdict": [point.verdict(now, best, static_bits=statics, **told), None],
            "reach": [point.reach(now.outcome, names[:-1], together=view.together), None],
            "interval": [point.interval(now, labelled=data.labelled), None],
        },
        "better": at,
        "labels": point.flow_labels(now.outcome, names, labelled=data.labelled),
    }


@pytest.mark.parametrize("scope", ["compute", "device"])
@pytest.mark.parametrize("bits", [1, 4])
def test_every_sentence_is_the_one_that_python_writes(
    javascript: JavaScript, toy: Path, scope: str, bits: int
) -> None:
    codes = np.random.default_rng(2).integers(0, 10_001, (40, 2)).tolist()
    codes[0] = [0, 8000]  # the second exit is never reached
    views = [
        View(network="trees-toy", bits=bits, scope=scope, thresholds=(a / 10_000, b / 10_000))
        for a, b in codes
    ]

    shown = javascript(WORDS_AT, sent(views[0], codes))

    assert len(shown) == 40
    for view, one in zip(views, shown, strict=True):
        wanted = expected(view)
        assert one["labels"] == wanted["labels"]
        assert one["better"] == wanted["better"]
        assert one["words"].keys() == wanted["words"].keys()
        for key, (value, note) in one["words"].items():
            assert [value, note] == wanted["words"][key]
        edge, accuracy, energy = (one["words"][key][0] for key in ("edge", "accuracy", "energy"))
        assert (
            one["spoken"]
            == f"{edge} answered at the edge, accuracy {accuracy}, {energy} per image ({scope})"
        )


@pytest.mark.usefixtures("traces")
def test_without_labels_the_sentences_are_those_of_python(
    javascript: JavaScript, toy: Path
) -> None:
    write_user_split("trees-toy", "mine", labelled=False)
    view = View(network="trees-toy", bits=2, thresholds=(0.6, 0.5), split="mine")

    (shown,) = javascript(WORDS_AT, sent(view, [[6000, 5000]]))

    wanted = expected(view)
    assert shown["labels"] == wanted["labels"]
    assert shown["words"]["accuracy"] == wanted["words"]["accuracy"]
    assert shown["words"]["verdict"] == [point.UNLABELLED, None]
    assert "accuracy unknown" in shown["spoken"]


def without_letters(data: dict[str, Any]) -> dict[str, Any]:
    """A payload whose templates and units have lost every letter outside their slots."""
    bare = copy.deepcopy(data)

    def strip(text: str) -> str:
        return "".join(f"{{{name}:{kind}}} " for name, kind in numbers.slots(text))

    for width in bare["widths"]:
        texts = width["headlines"]
        width["headlines"] = {key: [strip(text) for text in pair] for key, pair in texts.items()}
    known = bare["templates"]
    known |= {key: [strip(text) for text in known[key]] for key in ("flow", "reach")}
    known["verdict"] = {kind: strip(text) for kind, text in known["verdict"].items()}
    known |= {key: strip(known[key]) for key in ("interval", "spoken")}
    for form in bare["numbers"]["formats"].values():
        form["zero"] = None
        form["units"] = [unit | {"suffix": ""} for unit in form["units"]]
    return bare


def test_every_letter_that_is_shown_comes_from_the_payload(
    javascript: JavaScript, toy: Path
) -> None:
    view = View(network="trees-toy", bits=1, thresholds=(0.8, 0.8))
    data, *others = sent(view, [[0, 0], [8000, 8000], [10_000, 10_000]])

    shown = javascript(WORDS_AT, [without_letters(data), *others])

    assert len(shown) == 3
    for one in shown:
        pairs = [text for pair in one["words"].values() for text in pair if text]
        texts = [*pairs, *one["labels"], one["spoken"]]
        assert [text for text in texts if re.search(r"\d", text)]
        assert not [text for text in texts if LETTERS.search(text)]


def literals(text: str) -> list[str]:
    """The string literals of a script, comments and what is put into a literal left out."""
    code = re.sub(r"(?m)^\s*//.*$|\s// .*$", "", text)
    found = re.findall(r'"([^"\n]*)"|`([^`]*)`', code)
    return [re.sub(r"\$\{[^}]*\}", "", double or tick) for double, tick in found]


@pytest.mark.parametrize("name", follower.FILES)
def test_no_sentence_and_no_unit_stands_in_the_scripts(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    code = re.sub(r"(?m)^\s*//.*$|\s// .*$", "", text)
    suffixes = {unit.suffix for form in numbers.FORMATS.values() for unit in form.units} - {""}

    assert literals(text) or name == "counting.js"
    assert code.isascii()  # no µ, no ×, no −, no ∞
    for literal in literals(text):
        assert not re.search(r"[A-Za-z]{2,},? [A-Za-z]{2,}", literal), literal
        assert not any(literal.endswith(suffix) for suffix in suffixes), literal


def test_the_files_of_the_component_are_one_module_without_imports() -> None:
    script = follower.script()

    assert not re.search(r"(?m)^(import|export (?!default))", script)
    assert script.count("export default") == 1
    names = re.findall(r"(?m)^(?:const|let|function\*?) (\w+)", script)
    assert len(names) > 10
    assert len(names) == len(set(names))


def test_every_file_beside_the_component_is_part_of_it() -> None:
    assert {path.name for path in FOLDER.glob("*.js")} == set(follower.FILES)
