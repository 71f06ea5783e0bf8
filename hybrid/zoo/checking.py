"""Whether what was read from a card is what its classes say: values against annotations.

A card may come from anyone. A number where a list belongs would fail in a page, far from here.
"""

from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

__all__ = ["check_types"]

_HINTS: dict[type, Mapping[str, Any]] = {}  # read once for each class
_MOST = 2**53  # of whole numbers, up to which every program reads them alike


def check_types(made: Any, what: str) -> None:
    """Compare each field of a dataclass with its annotation.

    Args:
        what: it is, for the error.

    Raises:
        TypeError: the name of a field with a value of another kind.
    """
    kind = type(made)
    hints = _HINTS.setdefault(kind, _HINTS.get(kind) or get_type_hints(kind))
    for one in fields(made):
        if not _fits(getattr(made, one.name), hints[one.name]):
            raise TypeError(f"{one.name} of {what} is not what it should be")


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(one, inner[0]) for one in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and _fits(one, inner[1]) for key, one in value.items()
        )
    if kind is int:
        return type(value) is int and abs(value) <= _MOST
    return kind is Any or isinstance(value, (int, float) if kind is float else kind)
