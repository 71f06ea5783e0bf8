"""Bounds as sentences: of every setting of the sliders at once, and of a point by itself.

Explore's script in the browser completes the same templates while a slider is dragged.
"""

from collections.abc import Sequence

from hybrid.certificates import CLAIMS, Band, kind_of_claim, tenths_up
from hybrid.text import numbers

__all__ = ["ALL_SETTINGS", "band_sentence", "band_templates"]

ALL_SETTINGS = (
    "Because you may move any slider, this bound holds for all settings together, and is therefore "
    "wide. Fix a point to get its own, tighter one."
)


def band_templates(found: Band) -> dict[str, str]:
    """By kind of claim, the sentence with `tenths`, the bound in tenths of a point, left open."""
    confidence, samples = numbers.percent(1 - found.delta, 0), numbers.count(found.samples)
    return {
        kind: f"For all settings at once, with {confidence} confidence: here "
        f"{claim.replace('{points}', '{tenths:tenths}')}, on images like these ({samples} images)."
        for kind, claim in CLAIMS.items()
    }


def band_sentence(found: Band, thresholds: Sequence[float]) -> str:
    """The bound at thresholds, as one of all that hold together."""
    tenths = tenths_up(found.bound(thresholds))
    template = band_templates(found)[kind_of_claim(found.method, tenths)]
    return numbers.fill(template, {"tenths": abs(tenths)})
