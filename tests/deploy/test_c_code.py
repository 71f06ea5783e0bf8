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


def make(folder: Path, flags: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["make", "-C", str(folder), "test", f"CFLAGS={flags}", *more]
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
@pytest.mark.skipif(not shutil.which("clang"), reason="clang is not installed")
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_clang_makes_the_same_of_it(bits: int, tmp_path: Path):
    done = make(written(one_form(bits), tmp_path), "-O2", "CC=clang")

    assert done.returncode == 0, done.stderr
    assert "plain: 4 images" in done.stdout


REFUSALS = """
#include <stdio.h>
#include "hybrid_edge.h"
static unsigned char arena[HYBRID_ARENA_BYTES + 64] __attribute__((aligned(64)));
static uint8_t pixels[HYBRID_HEIGHT * HYBRID_WIDTH * HYBRID_CHANNELS], sent[HYBRID_SENT_BYTES];
static hybrid_edge_t edge;
static void tried(void *at, uint32_t bytes, int32_t kernel)
{
    hybrid_answer_t answer;
    int32_t exits = 0, refused = hybrid_edge_init(&edge, at, bytes, 0, kernel);
    hybrid_edge_begin(&edge, pixels);
    while (hybrid_edge_step(&edge, &answer)) exits++;
    printf("%d %d %d\\n", refused, exits, hybrid_edge_pack(&edge, sent) == HYBRID_SENT_BYTES);
}
int main(void)
{
    tried(arena, HYBRID_ARENA_BYTES, HYBRID_PLAIN);
    tried(arena, HYBRID_ARENA_BYTES - 1, HYBRID_PLAIN);
    tried(0, HYBRID_ARENA_BYTES, HYBRID_PLAIN);
    tried(arena + 4, HYBRID_ARENA_BYTES, HYBRID_PLAIN);
    tried(arena + 8, HYBRID_ARENA_BYTES, HYBRID_PLAIN);
    tried(arena, HYBRID_ARENA_BYTES, HYBRID_AVX2);
    tried(arena, HYBRID_ARENA_BYTES, HYBRID_KERNELS);
    return 0;
}
"""


def test_an_arena_too_small_is_refused_and_then_nothing_runs(tmp_path: Path):
    form = one_form(2)
    (written(form, tmp_path) / "main.c").write_text(REFUSALS)
    sources = map(str, tmp_path.glob("*.c"))
    program = tmp_path / "refusals"
    flags = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    subprocess.run(["cc", "-std=c99", *flags, "-o", str(program), *sources], check=True)

    told = subprocess.run([program], capture_output=True, text=True, check=True).stdout

    runs = f"0 {len(form.heads)} 1"
    assert told.splitlines() == [runs, "1 0 0", "1 0 0", "2 0 0", runs, "3 0 0", "3 0 0"]


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
