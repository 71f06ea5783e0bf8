"""Every error that a user can cause, as one tree; its message is one sentence.

The sentence names what was given, what is allowed and what to do. Pages, command line and
services each translate `HybridError` in exactly one place.

    HybridError
    ├── BitWidthError       a bit width that is not offered
    ├── ThresholdError      thresholds outside [0, 1], not numbers, too many, too few
    ├── UnknownNameError    a name that does not exist, with the nearest match
    ├── ProfileError        a hardware or link profile that cannot be read
    ├── DataMissingError    a data set that is not on this machine
    ├── ImageError          a file that is not a usable image
    ├── SourceError         a folder, zip or table of labels that cannot become a split
    ├── WeightsError        weights that are missing, damaged or do not fit
    ├── ModelError          a user's model that cannot be loaded, traced or cut
    ├── SweepError          a sweep without trials, or a folder it cannot write to
    ├── ClusterError        Ray is not installed or does not answer
    ├── TraceError          a trace that is damaged, outdated or of another network
    ├── CertificateError    a split, delta or limit that cannot be certified
    ├── LimitError          an invalid limit, or no candidates to choose from
    ├── PointError          an operating-point file that cannot be used
    ├── FileError           a file or folder that cannot be named, read or written
    ├── SettingError        a setting with a value that it does not have
    ├── AddressError        an address or a port that a server cannot listen on
    ├── CloudError          a cloud's address, token or certificate that an edge cannot use
    ├── LineError           a line of an edge, or a plan to watch it, that cannot be used
    ├── RecipeError         a training recipe that is not valid
    ├── NetworkError        a description that is not a valid network
    ├── FormError           an edge that has no exact deployment form, or a damaged one
    ├── BundleError         a bundle that is damaged, of another format or of another network
    ├── FleetError          a fleet, a day or a cloud that cannot be simulated
    └── PayloadError        received bytes that are not an intact payload
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "AddressError",
    "BitWidthError",
    "BundleError",
    "CertificateError",
    "CloudError",
    "ClusterError",
    "DataMissingError",
    "FileError",
    "FleetError",
    "FormError",
    "HybridError",
    "ImageError",
    "LimitError",
    "LineError",
    "ModelError",
    "NetworkError",
    "PayloadError",
    "PointError",
    "ProfileError",
    "RecipeError",
    "SettingError",
    "SourceError",
    "SweepError",
    "ThresholdError",
    "TraceError",
    "UnknownNameError",
    "WeightsError",
]


class HybridError(Exception):
    """Something that the user gave cannot be used; the message is one sentence with advice."""


class BitWidthError(HybridError):
    """A bit width that is not offered."""

    def __init__(self, given: object, allowed: Iterable[int]) -> None:
        offered = ", ".join(str(bits) for bits in allowed)
        advice = f"; choose one of {offered}" if offered else ", nor is any other width; train one"
        super().__init__(f"{given!r} bits are not offered here{advice}.")


class ThresholdError(HybridError):
    """Thresholds outside [0, 1], not numbers, too many or too few."""


class UnknownNameError(HybridError):
    """A name that does not exist; the sentence lists the known names and the nearest match."""

    def __init__(self, kind: str, given: object, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(str(given), names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        listed = ", ".join(names) if names else "none"
        super().__init__(f"No {kind} is called {str(given)!r}; there are: {listed}.{hint}")


class LimitError(HybridError):
    """An invalid limit, or no candidates to choose from."""


class PointError(HybridError):
    """An operating-point file that cannot be used."""


class FileError(HybridError):
    """A file or folder that cannot be named, read or written."""


class SettingError(HybridError):
    """A setting with a value that it does not have."""

    def __init__(self, name: str, given: str, allowed: Iterable[str]) -> None:
        super().__init__(f"{name} is {given[:40]!r}; set it to one of {', '.join(allowed)}.")


class AddressError(HybridError):
    """An address or a port that a server cannot listen on."""

    def __init__(
        self,
        address: str,
        port: int,
        *,
        in_use: bool = False,
        unknown: bool = False,
        option: str = "--port",
    ) -> None:
        self.in_use = in_use
        if unknown:
            sentence = (
                f"{address} is not an address of this machine; use 127.0.0.1, or 0.0.0.0 to let "
                "other machines connect."
            )
        else:
            why = "in use" if in_use else "not allowed for this user"
            sentence = f"Port {port} on {address} is {why}; choose another one with {option}."
        super().__init__(sentence)


class ProfileError(HybridError):
    """A hardware or link profile that cannot be read."""


class DataMissingError(HybridError):
    """A data set that is not on this machine."""


class ImageError(HybridError):
    """A file that is not a usable image."""


class SourceError(HybridError):
    """A folder, zip or table of labels that cannot become a split."""


class WeightsError(HybridError):
    """Weights that are missing, damaged or do not fit."""


class ModelError(HybridError):
    """A user's model that cannot be loaded, traced or cut."""


class SweepError(HybridError):
    """A sweep without trials, or a folder it cannot write to."""


class ClusterError(HybridError):
    """Ray is not installed or does not answer."""


class TraceError(HybridError):
    """A trace that is damaged, outdated or of another network."""


class CertificateError(HybridError):
    """A split, delta or limit that cannot be certified."""


class CloudError(HybridError):
    """A cloud's address, token or certificate that an edge cannot use."""


class LineError(HybridError):
    """A line of an edge, or a plan to watch it, that cannot be used."""


class RecipeError(HybridError):
    """A training recipe that is not valid."""


class NetworkError(HybridError):
    """A description that is not a valid network."""


class FormError(HybridError):
    """An edge that has no exact deployment form, or a form's file that is damaged."""


class BundleError(HybridError):
    """A bundle that is damaged, of another format or of another network than was asked for."""


class FleetError(HybridError):
    """A fleet, a day or a cloud that cannot be simulated."""


class PayloadError(HybridError):
    """Received bytes that are not an intact payload."""
