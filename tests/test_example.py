"""The example runs from top to bottom and ends in a certified operating point."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_example_ends_in_a_certified_point(root: Path, tmp_path: Path):
    places = {"TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}

    finished = subprocess.run(
        [sys.executable, root / "examples" / "own_network_own_photos.py"],
        cwd=tmp_path,
        env=os.environ | places,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()[-3:]
    assert re.match(r"Chosen: mine \w+-\d+bit, thresholds \(", lines[0])
    assert re.match(r"Certified to lose at most [0-3](\.\d+)? points", lines[1])
    assert re.match(r"Test photos: [\d.]+ % answered at the edge", lines[2])
