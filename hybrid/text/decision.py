"""What decided a choice, in words: the limits or the certificate, and what losses relate to."""

from collections.abc import Mapping

from hybrid.choosing import Answer, Decided, Limits, RankedCandidate, Uncertifiable, taken_from
from hybrid.text import numbers
from hybrid.text.candidate import percent, short, takes

__all__ = [
    "curve",
    "decided",
    "near_misses",
    "reference_change",
    "references",
    "uncertifiable",
    "uncertified",
    "without",
]


def decided(answer: Answer) -> str:
    """Whether the limits decided or the certificate, in one sentence."""
    best, limits = answer.best, answer.limits
    if answer.decided is Decided.UNCERTIFIED:
        return uncertified(answer)
    if best is None:
        if answer.decided is Decided.CERTIFICATE:
            return "The certificate decided: without it, there would be an answer."
        return "The limits decided: no setting that was tried meets them all on the tuning images."
    if answer.decided is Decided.CERTIFICATE:
        return (
            "The certificate decided: a point that needs less energy meets every limit on the "
            "tuning images, but cannot be certified."
        )
    proven = " and can be certified" if limits.certified else ""
    return (
        "The limits decided: no setting that was tried needs less energy and meets every limit on "
        f"the tuning images. This one does{proven}."
    )


def without(answer: Answer) -> str:
    """The answer without the certificate, and what the certificate costs; empty if it is equal."""
    point, best = answer.without, answer.best
    if point is None or answer.decided is not Decided.CERTIFICATE:
        return ""
    found = f"Without a certificate: {short(point)}."
    cost = answer.certificate_cost_pj
    if best is None or cost is None:
        return found
    share = f" ({100 * cost / point.tune.energy_pj:.0f} % more)" if point.tune.energy_pj else ""
    return f"{found} The certificate costs {numbers.energy(cost)} per image{share}."


def uncertified(answer: Answer) -> str:
    """That the loss is not certified, if it has a limit and was only measured; else empty."""
    if not answer.limits.uncertified:
        return ""
    return (
        "Not certified: the accuracy lost was only measured on the tuning images "
        f"({taken_from(answer.images)['tune']}), by which the point was chosen. On new images it "
        "can be larger."
    )


def uncertifiable(one: Uncertifiable) -> str:
    """A point that only the certificate rules out, and what it would take."""
    return f"{short(one.point)}: {takes(one)}"


def near_misses(answer: Answer, most: int = 5) -> tuple[RankedCandidate, ...]:
    """The choice and the candidates that miss a limit by least, by rising miss."""
    chosen = [one for one in answer.ranking if answer.best and one.point == answer.best]
    return (*chosen, *answer.left_out[:most])


def references(answer: Answer) -> tuple[str, ...]:
    """What losses are counted against, one sentence for each data set."""
    return tuple(
        f"Losses on {dataset} are counted against {variant} of {network}, the most accurate "
        "full-precision network of those chosen among."
        for dataset, (network, variant) in answer.references.items()
    )


def reference_change(
    before: Mapping[str, tuple[str, str]], now: Mapping[str, tuple[str, str]]
) -> str:
    """That losses are counted against another network than before; empty if they are not.

    Args:
        before, now: `references` of two answers.
    """
    changed = [name for name in now if name in before and before[name] != now[name]]
    return " ".join(
        f"The reference changed: losses on {dataset} are now counted against {now[dataset][1]} of "
        f"{now[dataset][0]}, before against {before[dataset][1]} of {before[dataset][0]}. So "
        "losses from before cannot be compared with these."
        for dataset in changed
    )


def curve(limits: Limits) -> str:
    """What a curve of the least energy over the loss allowed promises."""
    if limits.confidence is None:
        return "Each loss is measured on the tuning images and is not certified."
    return (
        f"Each certified point holds by itself, with {percent(limits.confidence)} confidence, for "
        "a limit that was fixed before looking. For a limit picked from this curve, the confidence "
        "is lower."
    )
