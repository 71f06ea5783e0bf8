"""Labels of a user's images, which are any words, matched to a network's classes."""

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import UnknownNameError

__all__ = ["HOW", "LEFT_OUT", "UNLABELLED", "Match", "alike", "class_table", "labels", "match"]

# How a word was matched, the most certain first. "position" and "near" only propose a class.
HOW = {
    "exact": "the same",
    "spelling": "other spelling",
    "position": "number of the class",
    "near": "similar: check it",
    "none": "no match",
}
PROPOSED = ("position", "near")
UNLABELLED = -1  # the class of every sample of a split without labels
LEFT_OUT = -2  # the class of an image whose word has none
_MOST_LETTERS = 100  # of a word that is compared with classes by likeness or number
_MOST_COMPARED = 500_000  # words times classes; with more, none is compared by likeness
_NEAR = 0.72  # of difflib's ratio: "aeroplane" finds "airplane", "cat" does not find "car"


@dataclass(frozen=True, kw_only=True)
class Match:
    """A word, how many images have it, and its class; None if it has none."""

    word: str
    images: int
    class_name: str | None
    how: str

    @property
    def proposed(self) -> bool:
        """Whether it is a guess that the user should confirm."""
        return self.how in PROPOSED


def alike(word: str) -> str:
    """A word without its case, spaces, `_`, `-` and the encoding of its accents, for comparing.

    >>> alike("Traffic_Light") == alike("traffic light") == alike("traffic-light")
    True
    """
    folded = unicodedata.normalize("NFKC", word).casefold()
    return "".join(letter for letter in folded if letter not in " _-")


def match(words: Iterable[str | None], classes: Sequence[str]) -> tuple[Match, ...]:
    """Each word with its class: equal, in another spelling, by number, or similar.

    Args:
        words: one per image; None, an image without a label, is ignored.

    Returns:
        One match per distinct word, sorted by word.
    """
    counts = Counter(word for word in words if word is not None)
    # Numbers are positions only if every word is a number: a folder "2" among names is not one.
    numbers = bool(counts) and all(word.isdecimal() for word in counts)
    spelled = {alike(name): name for name in classes}
    guesses = len(counts) * len(classes) <= _MOST_COMPARED
    found = []
    for word, images in sorted(counts.items()):
        class_name, how = _class_of(word, classes, spelled, numbers=numbers, guesses=guesses)
        found.append(Match(word=word, images=images, class_name=class_name, how=how))
    return tuple(found)


def class_table(
    found: Iterable[Match], confirmed: Mapping[str, str], classes: Sequence[str]
) -> dict[str, str | None]:
    """Word to class: every match that is not a proposal, and those that the user confirmed.

    Args:
        confirmed: word to class.

    Raises:
        UnknownNameError: a word that no image has, or a class that the network does not have.
    """
    table = {one.word: None if one.proposed else one.class_name for one in found}
    for word, class_name in confirmed.items():
        if word not in table:
            raise UnknownNameError("label", word, table)
        if class_name not in classes:
            raise UnknownNameError("class", class_name, classes)
        table[word] = class_name
    return table


def labels(
    words: Sequence[str | None], table: Mapping[str, str | None], classes: Sequence[str]
) -> NDArray[np.int64]:
    """The class of each image by its word (n,), `LEFT_OUT` if it has none."""
    positions = {name: i for i, name in enumerate(classes)}
    by_word = {word: positions.get(name or "", LEFT_OUT) for word, name in table.items()}
    return np.array(
        [LEFT_OUT if word is None else by_word.get(word, LEFT_OUT) for word in words], np.int64
    )


def _class_of(
    word: str,
    classes: Sequence[str],
    spelled: Mapping[str, str],
    *,
    numbers: bool,
    guesses: bool,
) -> tuple[str | None, str]:
    if word in classes:
        return word, "exact"
    if alike(word) in spelled:
        return spelled[alike(word)], "spelling"
    if len(word) > _MOST_LETTERS:
        return None, "none"
    if numbers and int(word) < len(classes):
        return classes[int(word)], "position"
    if not guesses:
        return None, "none"
    near = difflib.get_close_matches(alike(word), spelled, n=1, cutoff=_NEAR)
    return (spelled[near[0]], "near") if near else (None, "none")
