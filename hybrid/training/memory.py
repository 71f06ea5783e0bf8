"""Memory that a training step frees is kept for the next step."""

import ctypes

__all__ = ["keep_freed_memory"]

# of glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees; does nothing where malloc is not glibc's.

    Otherwise each step gives its large tensors back to the system and gets them again, page by
    page, as zeros: up to 5 % of a small network's step (`python -m benchmarks.training`).

    Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
