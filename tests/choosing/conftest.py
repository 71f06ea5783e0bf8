"""The small pretrained folder with weights that the command's other tests run on."""

from tests.test_cli import pictures, pretrained, run

__all__ = ["pictures", "pretrained", "run"]
