"""certifying.js alone against Python: the bound at any thresholds, in tenths of a point."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hybrid import certificates
from hybrid.traces.confidence import CODES
from hybrid.ui.explore import bands
from tests.strategies import synthetic_trace

JavaScript = Callable[[str, Any], Any]


@pytest.mark.parametrize("early", [1, 2, 3])
def test_the_bound_is_pythons_at_any_setting(javascript: JavaScript, early: int) -> None:
    certify, tune = (
        synthetic_trace(samples=400, exits=early + 1, seed=seed, split=split)
        for seed, split in enumerate(("certify", "tune"))
    )
    cells = certificates.slider_cells(tune, np.full((4, early), 0.65))
    found = certificates.band(certify, cells, guide=tune, delta=0.05, part=0.1)
    rng = np.random.default_rng(early)
    common = np.repeat(rng.integers(0, CODES + 1, (60, 1)), early, axis=1)
    ends = np.array([[0] * early, [CODES] * early, [8000] * early, [6500] * early])
    settings = np.concatenate([ends, common, rng.integers(0, CODES + 1, (200, early))])

    tenths = javascript(
        "([band, all]) => { const found = certifying.unpackBand(band);"
        "return all.map((thresholds) => certifying.boundAt(found, thresholds)); }",
        [bands.packed(found), settings.tolist()],
    )

    expected = [certificates.tenths_up(found.bound(one)) for one in (settings / CODES).tolist()]
    assert tenths == expected
    assert len(set(tenths)) > 10


@pytest.mark.parametrize("method", list(certificates.METHODS))
def test_the_kind_of_claim_is_pythons(javascript: JavaScript, method: str) -> None:
    tenths = [-12, 0, 1, 350]

    kinds = javascript(
        "([method, all]) => all.map((one) => certifying.kindOfClaim(method, one))",
        [method, tenths],
    )

    assert kinds == [certificates.kind_of_claim(method, one) for one in tenths]
