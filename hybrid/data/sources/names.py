"""Names of files and folders in what users bring: clutter, splits, suffixes, spelling.

Only names go in; nothing here opens a file.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

__all__ = [
    "MAX_DEPTH",
    "ROLES",
    "clutter",
    "folded",
    "ignored_words",
    "kind_of",
    "role_of",
    "without_splits",
]

MAX_DEPTH = 32  # folders around a file; deeper ones are refused
_KINDS_NAMED = 6

# What systems and programs add to folders and zips; beside these, all names that begin with a dot.
_CLUTTER = frozenset(
    {
        "__macosx", "icon\r", "network trash folder", "temporary items",  # macOS
        "thevolumesettingsfolder",
        "@eadir", "#recycle", "#snapshot", "@recycle", "@tmp",  # Synology and QNAP disks
        "@recently-snapshot", "@sharebin", "@snapshot",
        "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
        "lost+found", "recycler", "__pycache__", "node_modules",
    }
)  # fmt: skip

# The names of folders that divide images, and the part each means.
ROLES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

# What data sets write beside these: `training_set`, `seg_train`, `val2017`.
_BESIDE = frozenset(
    {"set", "sets", "data", "dataset", "images", "image", "imgs", "img", "split", "seg"}
)
_WORD = re.compile(r"[a-z]+|[0-9]{4}(?![0-9])|.")

Folders = tuple[str, ...]


def clutter(name: str) -> str | None:
    """The first part of a path that no user put there, such as `.DS_Store` or `@eaDir`.

    >>> clutter("cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg"), clutter("cat/1.jpg")
    ('@eaDir', None)
    """
    parts = PurePosixPath(name).parts
    return next((part for part in parts if _is_clutter(part)), None)


def folded(word: str) -> str:
    """A name for comparing: without case and the composition of its accents."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold())


def role_of(folder: str) -> str | None:
    """The part that a folder's name means, "train", "val" or "test"; None if it means none."""
    return ROLES.get(folder.strip().casefold())


def _compound_role(folder: str) -> str | None:
    """The part that a name of several words means, if it means one.

    >>> _compound_role("training_set"), _compound_role("val2017"), _compound_role("train_val")
    ('train', 'val', None)
    """
    words = [word for word in _WORD.findall(folder.strip().casefold()) if word not in " _-."]
    roles = [ROLES[word] for word in words if word in ROLES]
    others = [word for word in words if word not in ROLES and word not in _BESIDE]
    alone = len(roles) == 1 and all(word.isdecimal() and len(word) > 1 for word in others)
    return roles[0] if alone else None


def without_splits(paths: Iterable[Folders]) -> dict[Folders, tuple[str, Folders]]:
    """The folders of each path without those that divide images, and the part they mean.

    A folder `train` beside classes that holds images and no folder is a class, of trains. Names
    such as `training_set` mean a part only beside another part, or beside no other folder.

    >>> without_splits([("data", "Train", "cat"), ("data", "val", "cat")])[("data", "val", "cat")]
    ('val', ('data', 'cat'))
    """
    paths = set(paths)
    prefixes = {path[: end + 1] for path in paths for end in range(len(path))}
    inside: dict[Folders, set[str]] = {}
    for prefix in prefixes:
        inside.setdefault(prefix[:-1], set()).add(prefix[-1])
    divides = {p for p in prefixes if _divides(p, inside)}
    return {path: _divided(path, divides) for path in paths}


def kind_of(name: str) -> str:
    """The kind of a file that is no image, in a word: its suffix."""
    return PurePosixPath(name).suffix.lower() or "without a suffix"


def ignored_words(ignored: Mapping[str, int]) -> str:
    """How many files were ignored and of which kinds, in a few words.

    >>> ignored_words({".txt": 2, "@eaDir": 1})
    '3 other files or folders were ignored (2 .txt, 1 @eaDir)'
    """
    count = sum(ignored.values())
    most = sorted(ignored.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{number:,} {_printable(kind)}" for kind, number in most[:_KINDS_NAMED]]
    if rest := sum(number for _, number in most[_KINDS_NAMED:]):
        named.append(f"{rest:,} more")
    noun = "file or folder was" if count == 1 else "files or folders were"
    return f"{count:,} other {noun} ignored ({', '.join(named)})"


def _is_clutter(part: str) -> bool:
    return (part.startswith(".") and part not in {".", ".."}) or part.casefold() in _CLUTTER


def _divides(path: Folders, inside: Mapping[Folders, set[str]]) -> bool:
    if role_of(path[-1]):
        return not _is_a_class(path, inside)
    roles = [role_of(name) or _compound_role(name) for name in inside[path[:-1]]]
    together = all(roles) or len({role for role in roles if role}) > 1
    return together and _compound_role(path[-1]) is not None


def _is_a_class(path: Folders, inside: Mapping[Folders, set[str]]) -> bool:
    beside = inside[path[:-1]]
    return (
        path[-1].casefold() == "train"
        and path not in inside
        and len(beside) > 1
        and not any(role_of(name) for name in beside - {path[-1]})
    )


def _divided(path: Folders, divides: set[Folders]) -> tuple[str, Folders]:
    here = [path[: end + 1] in divides for end in range(len(path))]
    divided = (name for name, divide in zip(path, here, strict=True) if divide)
    roles = [role_of(name) or _compound_role(name) for name in divided]
    rest = tuple(name for name, divide in zip(path, here, strict=True) if not divide)
    return (roles[0] or "") if roles else "", rest


def _printable(kind: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in kind)[:40]
