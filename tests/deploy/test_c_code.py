"""The generated C: strict warnings, sanitizers, no shared bytes, equal text for equal forms."""

import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings

from hybrid.deploy.c_code import c_files, test_files
from hybrid.deploy.compiling import FLAGS
from hybrid.deploy.form import Conv, Form, Head
from hybrid.deploy.library import Library
from hybrid.deploy.memory import plan
from hybrid.errors import FormError
from tests.deploy.forms import forms, one_form, pixels

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
test_files.__test__ = False  # pytest would take it for a test


def written(form: Form, folder: Path) -> Path:
    for name, text in (c_files(form) | test_files(form, pixels(form, 4))).items():
        (folder / name).write_text(text)
    return folder


def make(folder: Path, flags: str) -> subprocess.CompletedProcess[str]:
    words = ["make", "-C", str(folder), "test", f"CFLAGS={flags}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_make_test_is_clean_and_equal(tmp_path: Path):
    done = make(written(one_form(4), tmp_path), "-O0")

    assert done.returncode == 0, done.stderr
    assert "plain, packed weights: 4 images" in done.stdout
    assert "DIFFERENT" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_sanitizers_find_nothing(tmp_path: Path, bits: int):
    flags = "-O0 -fsanitize=address,undefined -fno-sanitize-recover=all"

    done = make(written(one_form(bits), tmp_path), flags)

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_changed_vector_is_found(tmp_path: Path):
    vectors = written(one_form(4), tmp_path) / "hybrid_vectors.h"
    name = "hybrid_vector_sent[HYBRID_VECTORS][HYBRID_SENT_BYTES] = {{"
    vectors.write_text(vectors.read_text().replace(name, f"{name}1 ^ "))

    done = make(tmp_path, "-O0")

    assert done.returncode != 0
    assert "DIFFERENT" in done.stdout


def test_fast_math_is_refused():
    with pytest.raises(FormError, match="ffast-math"):
        Library(one_form(4), flags=(*FLAGS, "-ffast-math"))


@settings(max_examples=30)
@given(forms())
def test_equal_forms_give_equal_text(form: Form):
    assert c_files(form) == c_files(form)


@settings(max_examples=60)
@given(forms())
def test_registers_that_live_at_once_share_no_byte(form: Form):
    places, arena = plan(form)

    assert form.steps
    for number, step in enumerate(form.steps):
        alive = alive_during(form, number)
        plus = step.plus if isinstance(step, Conv) else ""
        for one, other in combinations(sorted(alive), 2):
            a, b = places[one], places[other]
            apart = a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
            in_place = a.offset == b.offset and plus in {one, other}
            assert apart or in_place
    assert all(one.offset + one.size <= arena for one in places.values())


def alive_during(form: Form, number: int) -> set[str]:
    """Registers written by a step or before it, and read by it or later (or sent)."""

    def reads(step: Conv | Head) -> set[str]:
        return {step.source} | ({step.plus} if isinstance(step, Conv) and step.plus else set())

    def writes(step: Conv | Head) -> set[str]:
        return {o.register for o in step.outputs} if isinstance(step, Conv) else set()

    before = {"pixels"}.union(*map(writes, form.steps[: number + 1]))
    later = {"sent"}.union(*map(reads, form.steps[number:]))
    return before & later | writes(form.steps[number])
