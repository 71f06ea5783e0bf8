"""A made-up pretrained folder and Explore opened upon it."""

from tests.ui.fixtures import explore, toy

__all__ = ["explore", "toy"]
