"""Fixtures of tests/deploy/measuring."""

from tests.deploy.edge.conftest import bundle, bundle_folder, cache
from tests.deploy.frozen import frozen, frozen_once

__all__ = ["bundle", "bundle_folder", "cache", "frozen", "frozen_once"]
