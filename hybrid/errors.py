"""Every error a user can cause, as one tree; each class builds its own sentence.

The sentence says what was given, what is allowed and what to do. Pages, command line and
services each translate `HybridError` in exactly one place.

    HybridError
    ├── BitWidthError       a bit width that is not offered
    ├── ThresholdError      thresholds outside [0, 1], not numbers, too many, too few
    ├── UnknownNameError    a name that does not exist (did you mean …)
    ├── ProfileError        a hardware or link profile that cannot be read
    ├── DataMissingError    a data set that is not on this machine
    ├── ImageError          a file that is no image we can use
    ├── SourceError         a folder, zip or table of own images that makes no split
    ├── WeightsError        weights that are damaged, foreign or not safetensors
    ├── ModelError          a model of one's own that cannot be loaded, followed or cut
    ├── SweepError          trials that cannot be listed or kept where they should be
    ├── ClusterError        no Ray installed, or none that answers
    ├── TraceError          a trace that is damaged, older or of another network
    ├── CertificateError    what cannot be certified: a split, a delta, a limit
    ├── LimitError          a limit that is none, or nothing to choose among
    ├── PointError          an operating-point file that cannot be used
    ├── AddressError        an address or a port that the dashboard cannot listen on
    ├── RecipeError         a training recipe that cannot be followed
    ├── NetworkError        an architecture description that makes no network
    └── PayloadError        bytes from the link that are no whole payload
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "AddressError",
    "BitWidthError",
    "CertificateError",
    "ClusterError",
    "DataMissingError",
    "HybridError",
    "ImageError",
    "LimitError",
    "ModelError",
    "NetworkError",
    "PayloadError",
    "PointError",
    "ProfileError",
    "RecipeError",
    "SourceError",
    "SweepError",
    "ThresholdError",
    "TraceError",
    "UnknownNameError",
    "WeightsError",
]


class HybridError(Exception):
    """Something the user gave cannot be used; the message is one sentence that says what to do."""


class BitWidthError(HybridError):
    """A bit width that is not offered."""

    def __init__(self, given: object, allowed: Iterable[int]) -> None:
        offered = ", ".join(str(bits) for bits in allowed)
        advice = f"; choose one of {offered}" if offered else ", nor is any other width; train one"
        super().__init__(f"{given!r} bits are not offered here{advice}.")


class ThresholdError(HybridError):
    """Thresholds outside [0, 1], not numbers, too many or too few."""


class UnknownNameError(HybridError):
    """A name that does not exist; the sentence lists what there is and the nearest match."""

    def __init__(self, kind: str, given: object, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(str(given), names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        listed = ", ".join(names) if names else "none"
        super().__init__(f"No {kind} is called {str(given)!r}; there are: {listed}.{hint}")


class LimitError(HybridError):
    """A limit that is none, or nothing to choose among."""


class PointError(HybridError):
    """An operating-point file that cannot be used."""


class AddressError(HybridError):
    """An address or a port that the dashboard cannot listen on."""

    def __init__(
        self, address: str, port: int, *, in_use: bool = False, unknown: bool = False
    ) -> None:
        self.in_use = in_use
        if unknown:
            sentence = (
                f"{address} is not an address of this machine; use 127.0.0.1, or 0.0.0.0 to let "
                "other machines connect."
            )
        else:
            why = "in use" if in_use else "not allowed for this user"
            sentence = f"Port {port} on {address} is {why}; choose another one with --port."
        super().__init__(sentence)


class ProfileError(HybridError):
    """A hardware or link profile that cannot be read."""


class DataMissingError(HybridError):
    """A data set that is not on this machine."""


class ImageError(HybridError):
    """A file that is no image we can use."""


class SourceError(HybridError):
    """A folder, a zip or a table of a user's own images that makes no split."""


class WeightsError(HybridError):
    """Weights that are damaged, foreign or not safetensors."""


class ModelError(HybridError):
    """A model of a user's own that cannot be loaded, followed or cut where they say."""


class SweepError(HybridError):
    """Trials of a sweep that cannot be listed, or not be kept where they should be."""


class ClusterError(HybridError):
    """No Ray is installed, or none that answers at an address."""


class TraceError(HybridError):
    """A trace that is damaged, older or of another network."""


class CertificateError(HybridError):
    """What cannot be certified: a split that was chosen on, a delta of 0 or 1, no samples."""


class RecipeError(HybridError):
    """A training recipe that cannot be followed."""


class NetworkError(HybridError):
    """An architecture description that makes no network."""


class PayloadError(HybridError):
    """Bytes from the link that are no whole payload."""
