"""A plan for a network that ships or a user's own: names in, a plan out."""

from collections.abc import Sequence

from hybrid import zoo
from hybrid.evaluation import certified
from hybrid.monitor.plan import Plan, Promise, make_plan
from hybrid.policy import check_thresholds

__all__ = ["plan_of"]


def plan_of(
    network: str,
    variant: zoo.Variant,
    thresholds: Sequence[float],
    *,
    measure: str = "max_probability",
    split: str = "certify",
    confidence: float = 0.95,
    epsilon: float | None = None,
    share: float = 0.05,
    alpha: float = 0.01,
    run_length: int = 10_000_000,
    window: int = 20_000,
) -> Plan:
    """The plan to watch what is certified at these thresholds.

    The promise is the certified share of answers that differ from the final exit's, which needs no
    label and so can be tested on a device. It takes a number in the ledger, as `certified` does.

    Args:
        split: `certify`, or one of the user's own splits.
        epsilon: a promise that is not certified here, in place of the certificate.

    Other arguments and errors as in `certified` and `make_plan`.
    """
    limits = check_thresholds(thresholds, variant.early_exits)
    guide = zoo.trace(network, variant.name, "tune")
    if epsilon is None:
        made = certified(
            network,
            variant,
            limits,
            measure=measure,
            split=split,
            confidence=confidence,
            method="disagreement",
        ).overall
        promise = Promise(epsilon=made.bound, confidence=confidence, images=made.samples)
    else:
        promise = Promise(epsilon=epsilon)
    return make_plan(
        guide,
        limits,
        promise,
        bundle=guide.weights_sha256,
        network=network,
        variant=variant.name,
        measure=measure,
        share=share,
        alpha=alpha,
        run_length=run_length,
        window=window,
    )
