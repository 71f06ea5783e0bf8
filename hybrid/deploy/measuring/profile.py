"""A hardware profile of the machines that were measured: times from lines, energies from another.

Takes lines and a census of layers; writes the TOML that `hybrid.energy` reads.
"""

import datetime as dt
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tomli_w

from hybrid.energy import Layer, Profile
from hybrid.energy.profiles import TEXTS
from hybrid.errors import ProfileError
from hybrid.files import replacing
from hybrid.monitor import AnswerLine

__all__ = ["measured_profile", "processor", "save_profile"]


def measured_profile(
    lines: Sequence[AnswerLine],
    layers: Sequence[Layer],
    *,
    early: int,
    base: Profile,
    name: str,
    network: str,
    bits: int,
) -> Profile:
    """The base's energies with the rates at which these lines were answered.

    A rate is all multiply-accumulates that ran, over all seconds that they took: with it, the mean
    latency on the device is the mean that was measured. It holds for every bit width up to `bits`.

    Raises:
        ProfileError: nothing was measured.
    """
    device_s = sum(line.device_ms or 0.0 for line in lines) / 1000
    ran = sum(_edge_macs(layers, line, early) for line in lines)
    if not (device_s and ran):
        raise ProfileError("No image was measured, so there is no profile; measure at least one.")
    told = [line.cloud_ms for line in lines if line.cloud_ms]
    there = sum(one.macs for one in layers if one.segment == "cloud")
    rate = {"edge_macs_per_second_at_bits": {bits: ran / device_s}}
    basis = dict(base.basis) | {
        "edge_macs_per_second_at_bits": f"measured: {len(lines):,} images of {network} at {bits} "
        "bits, all multiply-accumulates over all time",
    }
    cloud_rate = base.cloud_macs_per_second
    if told and there:
        cloud_rate = there * len(told) * 1000 / sum(told)
        basis["cloud_macs_per_second"] = (
            f"measured: {len(told):,} images, as the cloud reports its own time"
        )
    kept: dict[str, Any] = asdict(base)
    return Profile(
        **kept
        | rate
        | {
            "name": name,
            "title": f"{processor()}, measured; energies of {base.title}",
            "source": f"hybrid measure, {dt.datetime.now(dt.UTC):%Y-%m-%d}; energies: "
            f"{base.source}",
            "cloud_macs_per_second": cloud_rate,
            "basis": basis,
        }
    )


def save_profile(profile: Profile, path: Path) -> None:
    """Write a profile, whole or not at all."""
    stated = {*profile.basis, *TEXTS, "basis"}  # what the base does not give is 0
    given = {key: value for key, value in asdict(profile).items() if key in stated and value != ""}
    values = {key: _plain(value) for key, value in given.items()}
    with replacing(path) as draft:
        draft.write_text(tomli_w.dumps({"format": 1, **values}), encoding="utf-8")


def processor() -> str:
    """The name of this machine's processor."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _edge_macs(layers: Sequence[Layer], line: AnswerLine, early: int) -> int:
    """Multiply-accumulates on the device for one image; one that stayed ran all of them."""
    taken = line.exit_index if line.source == "exit" else early
    last = max((one.stage for one in layers if one.exit == taken), default=None)
    return sum(
        one.macs
        for one in layers
        if one.segment != "cloud"
        and (last is None or one.stage <= last)
        and (one.exit is None or one.exit <= taken)
    )


def _plain(value: Any) -> Any:
    """Tables with names as keys, as TOML has them."""
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else value
