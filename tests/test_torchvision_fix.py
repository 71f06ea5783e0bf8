"""Declaring operators, each time in a fresh interpreter: torch keeps them for good."""

import subprocess
import sys

import pytest

DECLARE = "from hybrid.torchvision_fix import declare_operators; print(declare_operators());"


def run(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_torchvision_can_be_imported_afterwards_and_its_transforms_work() -> None:
    lines = run(
        DECLARE + "import torch, torchvision;"
        "from torchvision.transforms.v2.functional import horizontal_flip;"
        "print(horizontal_flip(torch.arange(3).reshape(1, 1, 3)).flatten().tolist())"
    )

    assert lines[-1] == "[2, 1, 0]"


def test_declaring_twice_changes_nothing_more() -> None:
    first, second, has_both = run(
        DECLARE + "print(declare_operators()); import torch;"
        "print(all(hasattr(torch.ops.torchvision, name) for name in ('nms', 'qnms')))"
    )

    assert first == second
    assert has_both == "True"
