"""Which part of a vision network runs on the device, at how many bits, with which thresholds?

The names below are the library for its users; docs/api.md shows each of them. They are loaded
when first used, so that `import hybrid` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid.api import (
        adapt,
        certify,
        choose,
        evaluate,
        frontier,
        ingest,
        operating_point,
    )
    from hybrid.choosing.limits import Limits
    from hybrid.errors import HybridError
    from hybrid.zoo import card, load, networks

    __version__: str

_HOMES = {
    "HybridError": "hybrid.errors",
    "Limits": "hybrid.choosing.limits",
    "adapt": "hybrid.api",
    "card": "hybrid.zoo",
    "certify": "hybrid.api",
    "choose": "hybrid.api",
    "evaluate": "hybrid.api",
    "frontier": "hybrid.api",
    "ingest": "hybrid.api",
    "load": "hybrid.zoo",
    "networks": "hybrid.zoo",
    "operating_point": "hybrid.api",
}

__all__ = [
    "HybridError",
    "Limits",
    "__version__",
    "adapt",
    "card",
    "certify",
    "choose",
    "evaluate",
    "frontier",
    "ingest",
    "load",
    "networks",
    "operating_point",
]


def __getattr__(name: str) -> Any:
    """A public name, imported from its module when it is first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("hybrid")
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    raise AttributeError(f"module 'hybrid' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
