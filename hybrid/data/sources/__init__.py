"""Folders, zips and uploads of a user's images, and the labels that come with them.

    with sources.opened(Path("photos.zip")) as source:
        words = sources.label_words(source, classes)  # one per entry: its folder or its row
        pixels = read_input(entry.name, source.read(entry), size=32, channels=3)

Nothing is unpacked to disk and no name is trusted. A file that cannot be read does not stop the
others; what is not read is counted and named.
"""

from hybrid.data.sources.levels import label_words
from hybrid.data.sources.names import ignored_words
from hybrid.data.sources.opening import Given, opened
from hybrid.data.sources.source import Entry, Source
from hybrid.data.sources.tables import table_bytes
from hybrid.data.sources.uploads import MAX_FILES, read_upload

__all__ = [
    "MAX_FILES",
    "Entry",
    "Given",
    "Source",
    "ignored_words",
    "label_words",
    "opened",
    "read_upload",
    "table_bytes",
]
