"""Every engine gives the whole numbers of the interpreter, bit for bit."""

import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.deploy import interpreter
from hybrid.deploy.compiling import FLAGS
from hybrid.deploy.exits import confidences, multiplier
from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Output, bound, check
from hybrid.deploy.library import Library
from hybrid.deploy.torch_engine import Engine
from hybrid.errors import FormError
from hybrid.quant.packing import pack
from tests.deploy.forms import extreme, forms, one_form, pixels

compiled = pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler here")
MEASURES = ("max_probability", "margin", "entropy")


def same(one: interpreter.Answers, other: interpreter.Answers) -> bool:
    return np.array_equal(one.sent, other.sent) and all(
        np.array_equal(a, b) for a, b in zip(one.logits, other.logits, strict=True)
    )


def tiny(*, weights: list[list[int]], multiply: float = 1.0, add: float = 0.0) -> Form:
    """One 2x2 convolution of a 3x3 grey image, whose rounded sums are sent."""
    conv = Conv(
        name="conv", stage=0, source=PIXELS, weights=np.array([[weights]], np.int32), bits=12,
        stride=1, padding=0, fill=np.zeros(1, np.int32), pool=1,
        multiply=np.array([multiply], np.float32), add=np.array([[[add]]], np.float32),
        rows=np.zeros(2, np.uint8), columns=np.zeros(2, np.uint8), plus="", relu=False,
        prelu=np.zeros((0, 0), np.float32),
        outputs=(Output(register=SENT, codes=Codes(low=0, high=255)),),
    )  # fmt: skip
    return Form(
        network="tiny", variant="hybrid-8bit", source_sha256="", bits=8, classes=2, steps=(conv,),
        shapes={PIXELS: (1, 3, 3), SENT: (1, 2, 2)}, step=1.0, temperatures=(1.0,),
    )  # fmt: skip


IMAGE = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9


def test_a_convolution_is_the_sum_that_one_writes_by_hand():
    form = tiny(weights=[[1, 2], [0, -1]])

    sent = interpreter.run(form, IMAGE).sent

    by_hand = [[1 + 2 * 2 - 5, 2 + 2 * 3 - 6], [4 + 2 * 5 - 8, 5 + 2 * 6 - 9]]
    assert sent.tolist() == [[by_hand]]


def test_halves_round_to_even_and_the_rest_is_clipped():
    form = tiny(weights=[[1, 0], [0, 0]], multiply=0.5, add=0.0)  # 1 2 / 4 5, halved

    assert interpreter.run(form, IMAGE).sent.tolist() == [[[[0, 1], [2, 2]]]]


def test_sums_that_reach_32_bits_are_refused():
    form = tiny(weights=[[1, 1], [1, 1]])
    (conv,) = form.convolutions
    wide = Conv(**{**vars(conv), "bits": 8, "weights": conv.weights * 2**22})

    assert bound(conv, Codes(low=0, high=255)) == 4 * 255
    with pytest.raises(FormError, match="choose fewer bits"):
        check(Form(**{**vars(form), "steps": (wide,)}))


@settings(max_examples=15)
@given(forms())
def test_torch_equals_the_interpreter_in_any_batch(form: Form):
    images = pixels(form, 5)
    whole = interpreter.run(form, images)
    engine = Engine(form)

    alone = [engine.run(images[i : i + 1]) for i in range(5)]

    assert same(engine.run(images), whole)
    assert np.array_equal(np.concatenate([one.sent for one in alone]), whole.sent)


def test_torch_gives_the_same_with_one_and_two_threads():
    form = one_form(4)
    images, before = pixels(form, 16), torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            answers.append(Engine(form).run(images))
    finally:
        torch.set_num_threads(before)

    assert same(*answers)


UNOPTIMISED = (*FLAGS, "-O0")  # compiles in a fifth of the time


@cache
def uncertain(bits: int) -> Form:
    """`one_form` with five classes, at a temperature at which its confidences differ."""
    form, rng = one_form(bits), np.random.default_rng(bits)
    (head,) = form.heads
    wider = replace(
        head,
        weights=rng.integers(-99, 100, (5, head.weights.shape[1])).astype(np.int32),
        bias=rng.integers(-99, 100, 5),
    )
    steps = tuple(wider if step is head else step for step in form.steps)
    form = replace(form, steps=steps, classes=5)
    logits = interpreter.run(form, pixels(form, 8)).logits[0]
    return replace(form, temperatures=(head.scale * float(logits.std()), 1.0))


@cache
def library_of(bits: int) -> Library:
    """The C engine of `uncertain`, compiled once."""
    return Library(uncertain(bits), flags=UNOPTIMISED)


def every_kernel_equals(library: Library, images: np.ndarray) -> bool:
    whole = interpreter.run(library.form, images)
    found = []
    for kernel in library.kernels:
        library.use(kernel)
        found.append(same(library.run(images), whole))
    library.use("plain", packed=True)
    return all([*found, same(library.run(images), whole)])


@compiled
@pytest.mark.slow
@settings(max_examples=12)
@given(forms())
def test_c_equals_the_interpreter_with_every_kernel(form: Form):
    assert every_kernel_equals(Library(form, flags=UNOPTIMISED), pixels(form, 3))


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 2, 5, 7, 8])
def test_c_equals_the_interpreter_at_the_widths_that_pack_differently(bits: int):
    assert every_kernel_equals(library_of(bits), pixels(one_form(bits), 3))


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 8])
def test_c_equals_the_interpreter_with_320_channels_and_the_largest_sums(bits: int):
    form = extreme(bits, channels=320)

    # -O1 compiles in half the time of -O3, and kernels are as fast
    library = Library(form, flags=(*FLAGS, "-O1"))

    assert every_kernel_equals(library, np.full((1, 6, 6, 1), 255, np.uint8))


@compiled
@pytest.mark.slow
def test_optimised_c_of_another_dialect_equals_the_interpreter():
    form = one_form(3)

    library = Library(form, flags=("-std=gnu99", "-O3", "-march=native"))

    assert every_kernel_equals(library, pixels(form, 4))


@compiled
def test_c_equals_the_interpreter_at_four_bits():
    assert every_kernel_equals(library_of(4), pixels(one_form(4), 4))


@settings(max_examples=100)
@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12),
    st.floats(1e-9, 1e-3),
    st.sampled_from(MEASURES),
)
def test_a_whole_confidence_is_near_the_real_one(logits: list[int], scale: float, measure: str):
    from hybrid.traces import confidence

    whole = np.array([logits])

    real = confidence.MEASURES[measure](confidence.softmax(whole * scale))

    found = confidences(whole, multiplier(scale, 1.0), measure) / 2**24
    assert found == pytest.approx(real, abs=5e-4)
    assert 0 <= found[0] <= 1


@compiled
def test_c_packs_the_codes_that_it_sends():
    library, images = library_of(4), pixels(one_form(4), 3)

    _, packed = library.run_packed(images)

    codes = interpreter.run(library.form, images).sent
    assert packed.tolist() == [list(pack(one, bits=4)) for one in codes]


@compiled
def test_c_tests_an_exit_as_the_specification_does():
    form, rng = uncertain(4), np.random.default_rng(0)
    logits = rng.integers(-(2**34), 2**34, (200, form.classes)) >> rng.integers(0, 20, (200, 1))
    library = library_of(4)
    (head,) = form.heads

    for number, measure in enumerate(MEASURES):
        expected = confidences(logits, multiplier(head.scale, form.temperatures[0]), measure)
        assert np.array_equal(library.confidences(logits, exit_=0, measure=number), expected)


def left_as(one: interpreter.Left, other: interpreter.Left) -> bool:
    pairs = [(one.exit_taken, other.exit_taken), (one.steps, other.steps), (one.sent, other.sent)]
    pairs += zip(one.logits, other.logits, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def limits_between(form: Form, images: np.ndarray, measure: str) -> list[int]:
    """A confidence that one of the images has: it leaves, and others do not."""
    logits, (multiply,) = interpreter.run(form, images).logits[0], interpreter.multipliers(form)
    return [int(np.sort(confidences(logits, multiply, measure))[len(images) // 2])]


def test_an_image_leaves_where_its_confidence_reaches_the_limit():
    form = uncertain(4)
    images = pixels(form, 8)
    limits = limits_between(form, images, "margin")

    left = interpreter.leave(form, images, limits, "margin")

    whole = interpreter.run(form, images)
    head = next(n for n, step in enumerate(form.steps, 1) if step is form.heads[0])
    stays = []
    for i in range(8):  # one image after the other, by the words of `exits`
        logits = whole.logits[0][i : i + 1]
        goes = confidences(logits, interpreter.multipliers(form)[0], "margin")[0] >= limits[0]
        assert left.exit_taken[i] == (0 if goes else 1)
        assert left.steps[i] == (head if goes else len(form.steps))
        stays += [] if goes else [i]
    assert np.array_equal(left.sent, whole.sent[stays])
    assert 0 < len(stays) < 8


@settings(max_examples=10)
@given(forms(), st.sampled_from(MEASURES))
def test_torch_leaves_images_early_as_the_interpreter_does(form: Form, measure: str):
    images = pixels(form, 6)

    for limits in (limits_between(form, images, measure), [0], [2**24 + 1]):
        expected = interpreter.leave(form, images, limits, measure)
        assert left_as(Engine(form).leave(images, limits, measure), expected)


@compiled
@pytest.mark.parametrize("measure", MEASURES)
def test_c_leaves_images_early_as_the_interpreter_does(measure: str):
    library, images = library_of(4), pixels(one_form(4), 6)

    for limits in (limits_between(library.form, images, measure), [0], [2**24 + 1]):
        expected = interpreter.leave(library.form, images, limits, measure)
        assert left_as(library.leave(images, limits, measure), expected)


@pytest.mark.parametrize("engine", [Engine, pytest.param(Library, marks=compiled)])
def test_an_image_of_another_size_is_one_sentence(engine: type):
    form = one_form(4)
    made = library_of(4) if engine is Library else engine(form)
    wrong = np.zeros((1, 99, 4, 3), np.uint8)

    for run in (made.run, lambda images: interpreter.run(form, images)):
        with pytest.raises(FormError, match="resize them first"):
            run(wrong)


def test_without_a_compiler_one_sentence_tells_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hybrid.deploy.compiling.shutil.which", lambda _: None)

    with pytest.raises(FormError, match="no C compiler here; install gcc or clang"):
        Library(one_form(4))
