"""Makes `import torchvision` work with a torch that it was not compiled for.

With the CPU build of torch, the torchvision wheel from the package index (compiled for CUDA)
cannot load its compiled half; then its Python half fails at import, because it describes two
operators that are not declared. We never call them, so declaring their signatures is enough. If
the compiled half loads, nothing is changed.
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
_libraries: list[torch.library.Library] = []  # kept alive, and their operators with them


@functools.cache
def declare_operators() -> tuple[str, ...]:
    """Declare the operators that torchvision lacks; call this before importing torchvision.

    Returns:
        The names declared; empty if torchvision is not installed or its compiled half loads.
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
    """The shared library that torchvision loads on import; only Linux has builds that differ."""
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((path for folder in folders for path in Path(folder).glob("_C*.so")), None)


def _loads(library: Path) -> bool:
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
