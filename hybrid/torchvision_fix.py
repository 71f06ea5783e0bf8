"""Lets `import torchvision` succeed beside a torch it was not compiled for.

The CPU build of torch next to the torchvision wheel of the package index (compiled for CUDA)
cannot load torchvision's compiled half; then its Python half stops at import, because it
describes two operators that nobody declared. Nothing here calls them: to declare their
signatures is enough. Where the compiled half loads, nothing is changed.
"""

import functools
import importlib.util
from pathlib import Path

import torch

__all__ = ["declare_operators"]

# Signatures as in torchvision's csrc/ops/nms.cpp and csrc/ops/quantized/qnms_kernel.cpp.
_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[torch.library.Library] = []  # one that is collected takes its operators along


@functools.cache
def declare_operators() -> tuple[str, ...]:
    """Declare what torchvision's Python half misses; call it before the first import of that.

    Returns:
        the names declared; empty where torchvision is not installed or its compiled half loads.
    """
    compiled = _compiled_half()
    if compiled is None or _loads(compiled):
        return ()
    missing = tuple(name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name))
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in missing:
        library.define(_SCHEMAS[name])  # type: ignore[no-untyped-call]
    _libraries.append(library)
    return missing


def _compiled_half() -> Path | None:
    """The shared library torchvision loads when imported; only Linux has builds that differ."""
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((path for folder in folders for path in Path(folder).glob("_C*.so")), None)


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
