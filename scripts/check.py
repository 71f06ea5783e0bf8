"""Everything that must hold before a change lands: style, types, arrows, tests.

Run it with the Python the project is installed into: `.venv/bin/python scripts/check.py`.
Words after it go to pytest: `scripts/check.py -k policy`. Ends with 1 if any step failed.
The tests end with the slowest 20 of them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# One more than there are cores: tests that drive a browser mostly wait for it.
WORKERS = (os.cpu_count() or 1) + 1
IN_PARALLEL = ("-n", str(WORKERS), "--dist", "loadfile", "--no-loadscope-reorder")
SLOWEST = ("--durations=20", "--durations-min=1")
CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def main(pytest_arguments: Sequence[str]) -> int:
    """Run every step, also after one failed, and name those that did."""
    install_chromium()
    steps = {
        "style": ["ruff", "check", "."],
        "format": ["ruff", "format", "--check", "."],
        "types": ["mypy"],
        "arrows": ["lint-imports"],
        "tests": ["pytest", *IN_PARALLEL, *SLOWEST, *pytest_arguments],
    }
    failed = [name for name, command in steps.items() if not passes(name, command)]
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nAll steps passed.")
    return 1 if failed else 0


def passes(name: str, command: Sequence[str]) -> bool:
    """Run a tool that is installed next to this Python, from the project's root; print its time."""
    print(f"\n== {name}: {' '.join(command)}", flush=True)
    started = time.monotonic()
    tool = Path(sys.executable).parent / command[0]
    finished = subprocess.run([tool, *command[1:]], cwd=ROOT, check=False)
    print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
    return finished.returncode == 0


def install_chromium() -> None:
    """Install Chromium for the browser tests, if there is none and this user may install it."""
    if any(shutil.which(name) for name in CHROMIUM_NAMES) or os.environ.get("HYBRID_CHROMIUM"):
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print("No Chromium here and no right to install one: the browser tests skip.")
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["install", "-q", "-y", "--no-install-recommends"]
    subprocess.run(["apt-get", "update", "-q"], env=quiet, check=False)
    for package in ("chromium-headless-shell", "chromium"):  # older Debians have no shell
        command = ["apt-get", *install, package]
        if subprocess.run(command, env=quiet, check=False).returncode == 0:
            return
    print("Chromium could not be installed: the browser tests skip.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
