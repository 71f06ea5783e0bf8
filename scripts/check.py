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
# What a test looks for, and the packages that bring it.
DEBIAN = {
    "chromium-headless-shell": ["chromium-headless-shell"],
    "cc": ["gcc", "libc6-dev"],
    "make": ["make"],
    "cmake": ["cmake"],
    "arm-none-eabi-gcc": ["gcc-arm-none-eabi", "libnewlib-arm-none-eabi"],
    "qemu-system-arm": ["qemu-system-arm"],
}
QUIETLY = ("-q", "-y", "--no-install-recommends")
BUILD_TOOLS = ("platformio", "scons", "kconfiglib")
CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def main(pytest_arguments: Sequence[str]) -> int:
    """Run every step, also after one failed, and name those that did."""
    install_missing()
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


def install_missing() -> None:
    """Install what tests need beside Python packages, as far as this user may."""
    missing = {name: packages for name, packages in DEBIAN.items() if not shutil.which(name)}
    if any(shutil.which(name) for name in CHROMIUM_NAMES) or os.environ.get("HYBRID_CHROMIUM"):
        missing.pop(CHROMIUM_NAMES[0], None)
    if missing and (shutil.which("apt-get") is None or os.geteuid() != 0):
        names = ", ".join(missing)
        print(f"No right to install {names} here: the tests that need them skip.")
    elif missing:
        apt_get("update", "-q")
        for name, packages in missing.items():
            # older Debians have no shell of Chromium
            if not apt_get("install", *QUIETLY, *packages) and (
                name != CHROMIUM_NAMES[0] or not apt_get("install", *QUIETLY, "chromium")
            ):
                print(f"{name} could not be installed: the tests that need it skip.")
    install_build_tools()


def apt_get(*words: str) -> bool:
    """Run Debian's package manager, which asks nothing."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(["apt-get", *words], env=quiet, check=False).returncode == 0


def install_build_tools() -> None:
    """Install PlatformIO and its kin next to this Python; they share no package with it."""
    place = Path(sys.prefix) / "build-tools"
    if (place / "bin" / "pio").exists() or sys.prefix == sys.base_prefix:
        return
    pip = [place / "bin" / "pip", "install", "-q", *BUILD_TOOLS]
    tools = [sys.executable, "-m", "venv", place], pip
    if any(subprocess.run(words, check=False).returncode for words in tools):
        print("PlatformIO could not be installed: the tests that need it skip.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
