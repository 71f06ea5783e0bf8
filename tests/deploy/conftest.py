"""Fixtures of tests/deploy."""

from tests.deploy.frozen import copied, frozen, frozen_once

__all__ = ["copied", "frozen", "frozen_once"]
