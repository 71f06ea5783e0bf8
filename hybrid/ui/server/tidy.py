"""What killed processes left behind, removed when the server starts."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hybrid import zoo
from hybrid.data import user_splits
from hybrid.files import remove_drafts as remove_drafts_in

__all__ = ["remove_drafts"]

_MOST_FOLDERS = 10_000  # that are looked into, of networks and of user splits each
_DEEPEST = 3  # a user split's folder is that of a network in that of all networks


def remove_drafts() -> None:
    """Remove drafts that are a day old from the folders of networks and of user splits.

    Raises:
        FileError: there is no home folder, and no other folder is set.
    """
    for top in (zoo.pretrained_folder(), user_splits.folder()):
        for folder in islice(_folders(top), _MOST_FOLDERS):
            remove_drafts_in(folder)


def _folders(top: Path) -> Iterator[Path]:
    """The folder and those inside it, without those of drafts and of other places."""
    for place, inner, _ in os.walk(top):
        folder = Path(place)
        yield folder
        if len(folder.relative_to(top).parts) >= _DEEPEST:
            inner.clear()
