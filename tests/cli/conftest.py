"""The small pretrained folder with weights that the tests of every command run on."""

from tests.cli.test_main import pictures, pretrained, run

__all__ = ["pictures", "pretrained", "run"]
