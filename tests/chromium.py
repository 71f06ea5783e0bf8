"""The browser that tests, benchmarks and pictures drive."""

import os
import shutil

__all__ = ["NAMES", "find"]

# The shell has no window to draw, and opens a page in half the time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Path of HYBRID_CHROMIUM, else of the first that is installed; None without any."""
    named = os.environ.get("HYBRID_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)
