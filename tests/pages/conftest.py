"""A made-up pretrained folder and Explore opened upon it."""

# Read here and not by a worker of the first test: it parses sources while it is imported, and
# Python 3.11 cannot parse in two threads at once ("AST constructor recursion depth mismatch").
import torch  # noqa: F401

from tests.ui.fixtures import explore, toy

__all__ = ["explore", "toy"]
