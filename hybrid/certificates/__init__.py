"""Upper bounds, at a stated confidence, on the accuracy that early exits cost.

Arrays in, numbers out. A sample's gap is D = f - e in {-1, 0, 1}: correct at the final exit minus
correct at the exit it takes, so the mean gap is the accuracy lost compared with the final exit. A
bound holds for images drawn like those of the trace, with probability 1 - delta over the draw, for
thresholds that were fixed before anyone looked at the labels.

    certify          one bound at thresholds that were fixed beforehand
    Ledger           the questions to the same images, whose answers all hold together
    fixed_sequence   how far along a path of thresholds, itself fixed on `tune`, a limit holds
    band             bounds for every setting of a free slider, which all hold together

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
    fixed_bet_bounds,
)
from hybrid.certificates.cells import Cells, slider_cells
from hybrid.certificates.certificates import (
    CLAIMS,
    METHODS,
    Answered,
    Certificate,
    certify,
    certify_exits,
    check_trace,
    disagreements,
    kind_of_claim,
    loss_gaps,
    regrets,
    rounded_up,
    tenths_up,
    without_cloud,
)
from hybrid.certificates.exact import MOST_SAMPLES, exact_bound, exact_exceeds, exact_p_value
from hybrid.certificates.ledger import Ledger, Question, spent
from hybrid.certificates.simultaneous import Band, band, fixed_sequence

__all__ = [
    "CLAIMS",
    "METHODS",
    "MOST_SAMPLES",
    "Answered",
    "Band",
    "Cells",
    "Certificate",
    "Ledger",
    "Question",
    "band",
    "betting_bound",
    "betting_bounds",
    "betting_p_values",
    "certify",
    "certify_exits",
    "check_delta",
    "check_trace",
    "clopper_pearson",
    "clopper_pearson_p_values",
    "disagreements",
    "exact_bound",
    "exact_exceeds",
    "exact_p_value",
    "expected_samples",
    "fewest_samples",
    "fixed_bet_bounds",
    "fixed_sequence",
    "kind_of_claim",
    "loss_gaps",
    "regrets",
    "rounded_up",
    "slider_cells",
    "spent",
    "tenths_up",
    "without_cloud",
]
