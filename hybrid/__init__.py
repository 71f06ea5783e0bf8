"""Which part of a vision network runs on the device, at how many bits, and how sure must it be?"""

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    """`hybrid.load`, found when asked for, so that `import hybrid` costs nothing."""
    if name == "load":
        from hybrid.zoo import load

        return load
    raise AttributeError(f"module 'hybrid' has no attribute {name!r}")
