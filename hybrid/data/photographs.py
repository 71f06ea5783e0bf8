"""The photographs that ship with the project, with author, licence and source."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources

from PIL import Image

from hybrid.data.images import read_image

__all__ = ["Photograph", "photographs"]

_FOLDER = resources.files("hybrid.data") / "samples"


@dataclass(frozen=True, kw_only=True)
class Photograph:
    """A shipped photograph, with the credit that its licence asks for."""

    file: str
    title: str
    author: str
    licence: str
    source: str

    @property
    def credit(self) -> str:
        """Author, licence and source in one line."""
        return f"{self.title}: {self.author}, {self.licence}. Source: {self.source}."

    def read(self) -> Image.Image:
        """The picture itself, read like an upload."""
        return read_image(self.file, (_FOLDER / self.file).read_bytes())


@functools.cache
def photographs() -> tuple[Photograph, ...]:
    """All of them, in the order of `samples/LICENSES.toml`."""
    table = tomllib.loads((_FOLDER / "LICENSES.toml").read_text("utf-8"))
    return tuple(Photograph(**row) for row in table["photographs"])
