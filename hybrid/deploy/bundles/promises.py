"""The certificates of a bundle, from the traces of its deployment form. Needs no torch."""

from typing import Any

from hybrid import zoo
from hybrid.choosing import PointFile
from hybrid.errors import PointError
from hybrid.evaluation import certified, certified_without_cloud

__all__ = ["check_point", "promises"]


def promises(
    network: str,
    bits: int,
    thresholds: tuple[float, ...],
    *,
    measure: str,
    confidence: float,
    split: str = "test",
    chosen: PointFile | None = None,
) -> dict[str, Any]:
    """`cloud_there` and `cloud_down`: bounds on the accuracy lost, as JSON.

    A point that was chosen with the images of certify brings its certificates along: these images
    cannot certify it once more.

    Args:
        split: as in `hybrid.evaluation.certified`.
        chosen: the file that the point is from, if it is from one.

    Raises:
        CertificateError, DataMissingError, TraceError: see `hybrid.evaluation.certified`.
    """
    variant = zoo.variant(network, bits, deployed=True)
    asked: Any = {"measure": measure, "split": split, "confidence": confidence}
    if chosen is not None and _was_chosen_on(chosen, split):
        return _as_chosen(chosen)
    there = certified(network, variant, thresholds, **asked)
    down = certified_without_cloud(network, variant, thresholds, **asked)
    return {"cloud_there": there.to_dict(), "cloud_down": down.to_dict()}


def check_point(point: PointFile, network: str, bits: int) -> None:
    """Refuse a point that is not one of a network's deployment form.

    Raises:
        PointError: another network, other bits, or a point of the trained network.
    """
    if (point.network, point.bits) != (network, bits):
        raise PointError(
            f"The point is of {point.network} at {point.bits} bits, not of {network} at {bits}; "
            "export that network, or choose again."
        )
    if not point.deployed:
        raise PointError(
            f"The point was chosen for {point.variant}, whose answers differ from the device's; "
            f"choose again with `hybrid choose {network} --deployed`."
        )


def _as_chosen(point: PointFile) -> dict[str, Any]:
    made = point.certificate
    shared = {key: made[key] for key in ("confidence", "samples", "reference")}
    there = made["bound_points"]
    down = there if point.mode == "edge" else made.get("without_cloud_points")
    return {
        "cloud_there": shared | {"bound_points": there},
        "cloud_down": None if down is None else shared | {"bound_points": down},
    }


def _was_chosen_on(point: PointFile, split: str) -> bool:
    try:
        point.check_unseen(split)
    except PointError:
        return True
    return False
