"""ONNX Runtime gives the whole numbers of the interpreter, whether it optimizes or not."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.deploy import interpreter
from hybrid.deploy.exits import confidences, multiplier
from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Output, bound
from hybrid.deploy.graphs.edge import edge_graphs, segments
from hybrid.deploy.graphs.sessions import EdgeSessions
from hybrid.quant.packing import pack
from tests.deploy.forms import forms, one_form, pixels

MEASURES = ("max_probability", "margin", "entropy")


def check_equal(form: Form, *, measure: str, images: int = 4) -> None:
    """Every exit's logits, class and confidence, and the packed bytes, are the interpreter's."""
    given_ = pixels(form, images)
    whole = interpreter.run(form, given_)
    bits = form.codes[SENT].bits
    packed = np.stack([np.frombuffer(pack(one, bits=bits), np.uint8) for one in whole.sent])
    graphs = list(edge_graphs(form, measure=measure).values())

    for optimized in (False, True):
        answers, sent = EdgeSessions(graphs, optimized=optimized).run(given_)

        assert np.array_equal(sent, packed)
        for i, (answer, head) in enumerate(zip(answers, form.heads, strict=True)):
            scale = multiplier(head.scale, form.temperatures[i])
            assert np.array_equal(answer.logits, whole.logits[i])
            assert np.array_equal(answer.classes, whole.logits[i].argmax(axis=1))
            assert np.array_equal(answer.confidences, confidences(whole.logits[i], scale, measure))


@settings(max_examples=25)
@given(forms(), st.sampled_from(MEASURES))
def test_onnx_runtime_equals_the_interpreter(form: Form, measure: str):
    check_equal(form, measure=measure)


@pytest.mark.slow
@settings(max_examples=150)
@given(forms(), st.sampled_from(MEASURES))
def test_onnx_runtime_equals_the_interpreter_for_many_forms(form: Form, measure: str):
    check_equal(form, measure=measure, images=3)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("largest", [255, 2**20])
def test_sums_above_float32s_whole_numbers_are_exact(kernel: int, largest: int):
    """At most one of many sums would be even if float32 had added them."""
    form = with_large_sums(kernel, largest)
    (conv,) = form.convolutions[1:]
    assert bound(conv, form.codes[conv.source]) > 2**24

    check_equal(form, measure="max_probability")


def with_large_sums(kernel: int, largest: int) -> Form:
    """Pixels times 2^13 or so, then a convolution whose sums exceed 2^24; its codes are sent."""
    rng = np.random.default_rng(0)
    base = one_form(8)
    side, inputs = 7, 5
    sides = np.zeros(side, np.uint8)
    plain = {
        "stage": 0, "stride": 1, "padding": 0, "pool": 1, "rows": sides, "columns": sides,
        "plus": "", "relu": False, "prelu": np.zeros((0, 0), np.float32),
    }  # fmt: skip
    first = Conv(
        name="first", source=PIXELS, weights=rng.integers(1, 9, (inputs, 1, 1, 1), np.int32),
        bits=12, fill=np.zeros(1, np.int32), multiply=np.full(inputs, largest / 2040, np.float32),
        add=np.zeros((inputs, 1, 1), np.float32),
        outputs=(Output(register="wide", codes=Codes(low=0, high=largest)),), **plain,
    )  # fmt: skip
    weights = rng.integers(-(2**19), 2**19, (3, inputs, kernel, kernel)).astype(np.int32)
    second = Conv(
        name="second", source="wide", weights=weights, bits=20, fill=np.zeros(inputs, np.int32),
        multiply=np.full(3, 2.0**-30, np.float32), add=np.full((3, 1, 1), 7, np.float32),
        outputs=(
            Output(register="exit", codes=Codes(low=-(2**14), high=2**14, scale=9.0)),
            Output(register=SENT, codes=Codes(low=0, high=255, scale=100.0)),
        ),
        **plain | {"padding": kernel // 2},
    )  # fmt: skip
    head = replace(base.heads[0], source="exit", pool=1)
    head = replace(
        head, weights=rng.integers(-99, 99, (base.classes, 3 * side * side)).astype(np.int32)
    )
    shapes = {
        PIXELS: (1, side, side), "wide": (inputs, side, side), "exit": (3, side, side),
        SENT: (3, side, side),
    }  # fmt: skip
    return replace(base, steps=(first, second, head), shapes=shapes)


@settings(max_examples=30)
@given(forms())
def test_segments_hand_on_all_that_later_ones_read(form: Form):
    kept = {PIXELS}

    for part in segments(form):
        assert set(part.inputs) <= kept
        kept |= set(part.outputs)
        written = {
            o.register for step in part.steps if isinstance(step, Conv) for o in step.outputs
        }
        assert set(part.outputs) <= written

    assert SENT in kept
    assert [step for part in segments(form) for step in part.steps] == list(form.steps)


def test_an_exits_graph_has_no_convolution_of_later_stages():
    form = one_form(4)
    graphs = edge_graphs(form, measure="margin")

    counted = [
        sum(node.op_type == "Conv" for node in onnx.load_from_string(data).graph.node)
        for data in graphs.values()
    ]

    assert list(graphs) == ["edge-1.onnx", "edge-2.onnx"]
    assert sum(counted) <= len(form.convolutions)
    assert counted[-1] == 1  # the convolution after the exit


@settings(max_examples=10)
@given(forms())
def test_equal_forms_give_equal_bytes(form: Form):
    assert edge_graphs(form, measure="entropy") == edge_graphs(form, measure="entropy")
