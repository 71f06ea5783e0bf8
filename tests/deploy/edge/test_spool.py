"""A spool keeps audits in their order through restarts, has an end, and survives damage."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.deploy.edge.spool import Audit, Spool
from hybrid.errors import FileError


def audit(number: int) -> Audit:
    return Audit(image=f"boot-{number}", weights="ab" * 32, packed=bytes([number % 256]) * 50)


def drained(spool: Spool) -> list[Audit]:
    found = []
    while (one := spool.first()) is not None:
        found.append(one)
        spool.drop_first()
    return found


@given(st.lists(st.sampled_from(["put", "drop", "restart"]), max_size=30))
@settings(max_examples=30)
def test_it_is_a_queue_also_after_restarts(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
):
    folder = tmp_path_factory.mktemp("spool")
    spool, expected = Spool(folder), []
    for number, step in enumerate(steps):
        if step == "put":
            assert spool.put(audit(number))
            expected.append(audit(number))
        elif step == "drop" and expected:
            spool.drop_first()
            del expected[0]
        elif step == "restart":
            spool = Spool(folder)

    assert len(spool) == len(expected)
    assert drained(spool) == expected


def test_a_full_spool_takes_no_more_and_keeps_the_oldest(tmp_path: Path):
    spool = Spool(tmp_path, most=3)

    taken = [spool.put(audit(number)) for number in range(5)]

    assert taken == [True, True, True, False, False]
    assert drained(spool) == [audit(0), audit(1), audit(2)]


def test_a_full_disk_takes_no_audit_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    spool = Spool(tmp_path)
    spool.put(audit(1))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert not spool.put(audit(2))
    assert drained(spool) == [audit(1)]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\n", b'{"image": "a"}\nxyz', b"[" * 100_000])
def test_a_damaged_file_is_removed_and_the_next_one_is_read(tmp_path: Path, damage: bytes):
    spool = Spool(tmp_path)
    spool.put(audit(1))
    spool.put(audit(2))
    next(iter(sorted(tmp_path.glob("*.audit")))).write_bytes(damage)

    assert drained(spool) == [audit(2)]


def test_a_flipped_bit_is_found(tmp_path: Path):
    spool = Spool(tmp_path)
    spool.put(audit(1))
    (path,) = tmp_path.glob("*.audit")
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)

    assert spool.first() is None


def test_audits_are_there_after_the_process_was_killed(tmp_path: Path):
    script = (
        "import os, pathlib, signal, sys\n"
        "from hybrid.deploy.edge.spool import Audit, Spool\n"
        "spool = Spool(pathlib.Path(sys.argv[1]))\n"
        "for n in range(20):\n"
        "    spool.put(Audit(image=f'boot-{n}', weights='ab' * 32, packed=bytes([n]) * 50))\n"
        "(pathlib.Path(sys.argv[1]) / '.draft-half').write_bytes(b'half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)

    assert killed.returncode == -9
    assert drained(Spool(tmp_path)) == [audit(number) for number in range(20)]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(FileError, match=r"file cannot hold audits .* --spool"):
        Spool(tmp_path / "file")
