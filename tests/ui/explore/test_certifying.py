"""certifying.js alone against Python: the bound at any thresholds, in tenths of a point."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hybrid import certificates, policy
from hybrid.traces.confidence import CODES
from hybrid.ui.explore import bands, figures
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


def test_the_area_is_pythons(javascript: JavaScript) -> None:
    certify, tune = (
        synthetic_trace(samples=400, seed=seed, split=split)
        for seed, split in enumerate(("certify", "tune"))
    )
    cells = certificates.slider_cells(tune, np.full((4, 2), 0.65))
    found = certificates.band(certify, cells, guide=tune, delta=0.05, part=0.1)
    together = policy.sweep(tune, grid=np.arange(201) / 200)

    area = javascript(
        "([band, accuracy]) => { const found = certifying.unpackBand(band);"
        "const thresholds = accuracy.map((_, i) => 50 * i);"
        "return certifying.areaOf(found, thresholds, accuracy, 0.75); }",
        [bands.packed(found), (100 * together.accuracy).tolist()],
    )

    tenths = [certificates.tenths_up(found.bound((one, one))) for one in together.grid.tolist()]
    drawn = figures.certified_area(together, np.array(tenths) / 1000, final_exit_accuracy=0.75)
    np.testing.assert_allclose(area, drawn.y, rtol=1e-12)
    assert len(set(area)) > 10
