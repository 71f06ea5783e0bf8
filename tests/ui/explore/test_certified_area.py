"""The area of the bound that holds for all settings at once, by common threshold."""

import numpy as np

from hybrid import policy
from hybrid.ui.explore import figures
from tests.strategies import synthetic_trace


def test_the_area_is_between_the_accuracy_and_the_bound_below_the_final_exit() -> None:
    grid = np.linspace(0, 1, 5)
    together = policy.sweep(synthetic_trace(), measure="max_probability", grid=grid)
    bounds = np.array([0.9, 0.2, 0.1, 0.05, 0.01])

    area = figures.certified_area(together, bounds, final_exit_accuracy=0.8)

    least = 100 * np.array([0, 0.6, 0.7, 0.75, 0.79])
    assert area.x.tolist() == [*grid, *grid[::-1]]
    np.testing.assert_allclose(area.y[5:][::-1], least)
    np.testing.assert_allclose(area.y[:5], np.maximum(100 * together.accuracy, least))
    assert (area.meta, area.fill) == ("bound", "toself")
