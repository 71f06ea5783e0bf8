"""The words of the trade and their meanings: shown on hover, and as the table of docs/glossary.md.

    glossary.define("scope", "profile")                 # for a control
    glossary.explain("Certified on certify", note="…")  # a note, then every word of a text

`define` and `explain` give Markdown for the `help=` of a control, metric, caption or heading.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IN_FRAME", "TERMS", "Term", "define", "explain", "words"]


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word's meaning, and the other words that stand for it; a plural with s is understood."""

    meaning: str
    also: tuple[str, ...] = ()


TERMS: Mapping[str, Term] = {
    "baseline": Term(
        meaning="A network that a hybrid is compared with: the twin, or a static network."
    ),
    "bit width": Term(
        meaning="Bits of weights and activations in the quantized edge layers: 1 to 8, or 32 for "
        "full precision."
    ),
    "candidate": Term(meaning="One variant in one deployment mode, competing in Choose."),
    "card": Term(
        meaning="The file `pretrained/<network>/card.toml`, written by a command: how a network "
        "was built and trained, its variants, its accuracies and the SHA-256 of its files."
    ),
    "census": Term(
        meaning="The list of a variant's layers with their multiply-accumulates, bits, weights and "
        "activations."
    ),
    "certificate": Term(
        meaning="An upper bound, at a stated confidence, on the accuracy lost to early exits. Its "
        "images are used for nothing else.",
        also=("certify", "certified", "certifies", "certifying"),
    ),
    "cloud segment": Term(meaning="The stages after the cut, at full precision."),
    "comparison": Term(
        meaning="A static network next to the cheapest hybrid point that is at most half a point "
        "less accurate, in one scope and under one profile."
    ),
    "confidence": Term(
        meaning="A number from 0 to 1 that an exit attaches to its prediction; of a certificate, "
        "how often such bounds hold, at least."
    ),
    "cut": Term(
        meaning="The place between two stages where the edge segment ends and the cloud segment "
        "begins."
    ),
    "deployment form": Term(
        meaning="The edge in whole numbers, as a device has it: every engine gives the same "
        "answers, to the bit.",
        also=("as deployed",),
    ),
    "deployment mode": Term(
        meaning="How a variant is used: hybrid, edge only, static on the device, or raw images "
        "sent to the twin in the cloud."
    ),
    "device": Term(
        meaning="The small machine that runs the edge segment; also the scope that counts its "
        "energy alone, radio included."
    ),
    "early exit": Term(
        meaning="A small classifier (exit head) after a stage of the edge segment; an image stops "
        "there if its confidence reaches the exit's threshold.",
        also=("exit", "exit head"),
    ),
    "edge segment": Term(
        meaning="The stages before the cut, on the device.",
        also=("edge", "at the edge"),
    ),
    "final exit": Term(meaning="The classifier at the end of the cloud segment."),
    "frontier": Term(
        meaning="The operating points that no other point beats in both of two figures, such as "
        "accuracy and energy."
    ),
    "hybrid": Term(meaning="A variant with a quantized edge, exits and a cut: `hybrid-4bit`."),
    "link": Term(
        meaning="A radio, described by a link profile: energy and time per bit, time per round "
        "trip.",
        also=("link profile",),
    ),
    "MAC": Term(
        meaning="A multiply-accumulate, the unit in which computing is counted.",
        also=("multiply-accumulate",),
    ),
    "measure": Term(
        meaning="The formula that turns an exit's probabilities into a confidence: the highest "
        "probability, the margin between the two highest, or 1 − entropy / ln(classes).",
        also=("confidence measure",),
    ),
    "network": Term(
        meaning="An architecture trained on a data set, with all its variants: `cifar10-resnet32`."
    ),
    "operating point": Term(
        meaning="Network, bit width and thresholds, and what follows from them: exit fractions, "
        "accuracy, energy, latency, uplink."
    ),
    "profile": Term(
        meaning="A published energy model of hardware, or of a radio link, as a TOML file with its "
        "source.",
        also=("hardware profile", "cloud profile", "energy model"),
    ),
    "profile check": Term(
        meaning="The test of whether a choice remains the best one under the other hardware "
        "profiles."
    ),
    "query": Term(meaning="The limits and settings that Choose is asked with."),
    "saved split": Term(meaning="A user split that is kept on disk."),
    "scope": Term(meaning="What energy includes: `compute`, `compute + memory`, or `device`."),
    "split": Term(
        meaning="A part of a data set with a purpose: `train`, `tune` (choosing), `certify` "
        "(certificates), `test` (reporting), or a user split.",
        also=("tune", "certify split", "test", "tuning image", "test image"),
    ),
    "stage": Term(meaning="A run of layers between two possible cuts; the first one is the stem."),
    "static network": Term(
        meaning="The same architecture with every layer but the first and the classifier at k "
        "bits, no exit and no cut, all on the device: `static-4bit`.",
        also=("static baseline", "static"),
    ),
    "temperature": Term(
        meaning="The number that an exit's logits are divided by, fitted on `tune` so that a "
        "confidence of 0.8 is right eight times in ten."
    ),
    "threshold": Term(meaning="The confidence at which an exit answers; one per early exit."),
    "trace": Term(
        meaning="Every exit's prediction and confidences for every image of a split, recorded "
        "once; all figures are computed from it."
    ),
    "twin": Term(
        meaning="The full-precision network of the same architecture without early exits, "
        "`static-32bit`.",
        also=("full-precision twin", "full-precision baseline"),
    ),
    "uplink": Term(
        meaning="What is sent from the device to the cloud: the packed features at the cut, with a "
        "header."
    ),
    "user split": Term(meaning="A split made from your own images."),
    "variant": Term(
        meaning="One bit width of a network, as a hybrid or static: `hybrid-4bit`, `static-2bit`."
    ),
    "violation": Term(
        meaning="A limit that a point does not meet, with the amount; of a certificate, a true "
        "figure above the bound."
    ),
}

# Explained by the controls that every page has, so that no page explains them again.
IN_FRAME = (
    "network", "bit width", "edge segment", "scope", "cut", "profile", "device", "link", "measure",
    "confidence", "threshold", "early exit",
)  # fmt: skip

_NAMES = {
    name.lower(): term for term, found in TERMS.items() for name in (term, *found.also)
}  # a word in a text to its term
_WORDS = re.compile(
    rf"\b({'|'.join(map(re.escape, sorted(_NAMES, key=len, reverse=True)))})s?\b", re.IGNORECASE
)


def words(text: str) -> list[str]:
    """The terms that a text uses, in the order of their first use.

    >>> words("Twin and static networks, certified on test; more twins")
    ['twin', 'static network', 'certificate', 'split']
    """
    return list(dict.fromkeys(_NAMES[found[1].lower()] for found in _WORDS.finditer(text)))


def define(*terms: str, note: str = "") -> str:
    """The note, then the meaning of each term, as Markdown for a tooltip."""
    meanings = [f"**{term[0].upper()}{term[1:]}**: {TERMS[term].meaning}" for term in terms]
    return "  \n".join([note, *meanings] if note else meanings)


def explain(text: str, *, note: str = "") -> str | None:
    """The note, then the meaning of every term of a text that the frame does not explain.

    None if there is neither.
    """
    found = [term for term in words(text) if term not in IN_FRAME]
    return define(*found, note=note) or None
