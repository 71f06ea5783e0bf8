"""Upper bounds, at a stated confidence, on the accuracy that early exits cost.

Arrays in, numbers out. A sample's gap is D = f - e in {-1, 0, 1}: correct at the final exit minus
correct at the exit it takes, so the mean gap is the accuracy lost compared with the final exit. A
bound holds for images drawn like those of the trace, with probability 1 - delta over the draw, for
thresholds that were fixed before anyone looked at the labels.

    certify          one bound at thresholds that were fixed beforehand
    fixed_sequence   how far along a path of thresholds, itself fixed on `tune`, a limit holds
    band             bounds on a grid for a free slider, which all hold together

Nothing is certified from `train`, `tune` or `test`: the first two were used for choosing, and the
third checks the certificates.
"""

from hybrid.certificates.bounds import (
    betting_bound,
    betting_bounds,
    betting_p_values,
    check_delta,
    clopper_pearson,
    clopper_pearson_p_values,
    expected_samples,
    fewest_samples,
)
from hybrid.certificates.certificates import (
    METHODS,
    Answered,
    Certificate,
    certify,
    certify_exits,
    disagreements,
    loss_gaps,
    regrets,
    rounded_up,
)
from hybrid.certificates.simultaneous import (
    Band,
    band,
    fixed_sequence,
    nearest,
    slider_grid,
)

__all__ = [
    "METHODS",
    "Answered",
    "Band",
    "Certificate",
    "band",
    "betting_bound",
    "betting_bounds",
    "betting_p_values",
    "certify",
    "certify_exits",
    "check_delta",
    "clopper_pearson",
    "clopper_pearson_p_values",
    "disagreements",
    "expected_samples",
    "fewest_samples",
    "fixed_sequence",
    "loss_gaps",
    "nearest",
    "regrets",
    "rounded_up",
    "slider_grid",
]
