"""Points as a table with units in its column names, shown on Explore and exported as CSV."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hybrid.ui.explore.data import Frontier, StaticPoint

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frontier"]


def frontier(
    frontiers: Sequence[Frontier], statics: Sequence[StaticPoint], *, scope: str
) -> "pd.DataFrame":
    """One row per point of every bit width's frontier, then one per static network."""
    import pandas as pd  # here, so that the figures do not wait for it

    rows = [
        {"variant": f"hybrid-{found.bits}bit"}
        | {f"threshold_{i + 1}": float(t) for i, t in enumerate(found.thresholds[m])}
        | {
            "edge_fraction": float(found.edge_fraction[m]),
            "accuracy": float(found.accuracy[m]),
            "energy_pj": float(found.energy_pj[m]),
        }
        for found in frontiers
        for m in range(len(found.energy_pj))
    ]
    rows += [
        {
            "variant": f"static-{static.bits}bit",
            "edge_fraction": 1.0,
            "accuracy": static.accuracy,
            "energy_pj": static.energy_pj,
        }
        for static in statics
    ]
    return pd.DataFrame(rows).assign(scope=scope)
