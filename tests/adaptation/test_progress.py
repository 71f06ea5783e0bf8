"""The time left: `hybrid.adaptation.progress`."""

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import nn

from hybrid.adaptation.progress import Work
from hybrid.models import Network


def test_the_time_left_is_that_of_the_images_left_at_the_speed_so_far():
    now, told = [100.0], []
    stage = nn.Identity()
    network = cast(Network, SimpleNamespace(spec=SimpleNamespace(bits=32), stages=[stage]))
    parts = {"twin": 50, "earlier": 100, "rest": 150}
    work = Work(parts=parts, report=lambda *at: told.append(at), clock=lambda: now[0])
    assert work.left() == ""

    with torch.no_grad(), work.watching("twin", network):
        stage(torch.zeros(40, 1))
        now[0] += 20
    now[0] += 10_000  # between the variants, which no image runs through
    work.skip("earlier")

    assert told == [(40, 300), (150, 300)]
    assert work.left() == " About 60 seconds left."  # 150 of 300 images left, 50 took 20 s
    with pytest.raises(KeyboardInterrupt), work.watching("rest", network):
        raise KeyboardInterrupt
    stage(torch.zeros(40, 1))
    assert told == [(40, 300), (150, 300)]  # nothing is counted outside
