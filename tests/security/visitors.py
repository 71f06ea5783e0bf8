"""Users without a name, a home folder or rights: for tests that start programs as one."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["UNKNOWN", "as_unknown", "without_home", "without_rights"]

UNKNOWN = 12_345  # no user of this machine


def as_unknown() -> list[str]:
    """The beginning of a command, to run it as a user who may read but not write.

    Empty where only the superuser could become another one; the test then shows what it can.
    """
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        return []
    user = [f"--reuid={UNKNOWN}", f"--regid={UNKNOWN}", "--clear-groups"]
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", *user, *reads]


def without_home(**more: str) -> Mapping[str, str]:
    """This process's variables without those that name folders of the user's."""
    gone = {"HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "HYBRID_TRACES", "HYBRID_DATA"}
    return {name: value for name, value in os.environ.items() if name not in gone} | more


@contextmanager
def without_rights() -> Iterator[None]:
    """Give up the superuser's right to read everything, for the length of a block."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(UNKNOWN)
    try:
        yield
    finally:
        os.seteuid(0)
