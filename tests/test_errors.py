"""The tree of errors: drawn completely, and every sentence names what was given and what to do."""

import ast
from pathlib import Path

import pytest

from hybrid import errors
from hybrid.errors import BitWidthError, HybridError, UnknownNameError


def subclasses(of: type[HybridError]) -> set[type[HybridError]]:
    direct = set(of.__subclasses__())
    return direct.union(*(subclasses(one) for one in direct))


def test_every_error_of_the_module_is_drawn_in_it_and_offered_by_it():
    drawn = errors.__doc__ or ""
    own = {one for one in subclasses(HybridError) if one.__module__ == errors.__name__}

    assert {one.__name__ for one in {HybridError, *own}} == set(errors.__all__)
    assert all(one.__name__ in drawn for one in own)


def test_an_unknown_name_lists_what_there_is_and_the_nearest():
    with pytest.raises(UnknownNameError, match="No profile is called 'purdue'; there are: ") as it:
        raise UnknownNameError("profile", "purdue", ["purdue-45nm", "braintta"])

    assert str(it.value).endswith("braintta, purdue-45nm. Did you mean purdue-45nm?")


def test_an_unknown_name_far_from_all_suggests_nothing():
    assert "Did you mean" not in str(UnknownNameError("link", "zzz", ["wifi", "ble"]))


def test_an_unknown_name_where_there_is_nothing_says_so():
    assert "there are: none." in str(UnknownNameError("network", "x", []))


def test_a_bit_width_that_is_not_offered_lists_those_that_are():
    with pytest.raises(BitWidthError, match=r"5 bits are not offered here; choose one of 1, 2, 8"):
        raise BitWidthError(5, [1, 2, 8])


def test_a_bit_width_where_none_is_offered_says_so():
    assert str(BitWidthError(5, [])) == (
        "5 bits are not offered here, nor is any other width; train one."
    )


def test_nothing_swallows_errors_it_does_not_name(root: Path):
    """`except Exception` hides a bug behind a sentence; errors are caught by their own names."""
    files = [*root.glob("hybrid/**/*.py"), *root.glob("pages/**/*.py"), root / "app.py"]
    bare = {
        str(file.relative_to(root))
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or names_all(node.type))
    }

    # Pillow's decoders, zipfile's methods and runtimes raise what they like; a job keeps what it
    # raised for its page to raise.
    assert bare <= {
        "hybrid/data/images.py", "hybrid/data/sources/zips.py", "hybrid/deploy/cloud/batching.py",
        "hybrid/ui/jobs.py",
    }  # fmt: skip


def names_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}
