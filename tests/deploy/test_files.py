"""A form's file gives the same form back, and nothing else is taken for one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import save_file

from hybrid.deploy import interpreter
from hybrid.deploy.files import load_form, save_form
from hybrid.deploy.form import Form, weight_rule
from hybrid.errors import FormError
from hybrid.files import sha256_of
from hybrid.quant.packing import pack
from tests.deploy.forms import forms, one_form, pixels


@settings(max_examples=20)
@given(forms())
def test_a_form_reads_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, form: Form):
    path = tmp_path_factory.mktemp("form") / "form.safetensors"
    images = pixels(form, 2)

    sha256 = save_form(form, path)
    again = load_form(path, expect_sha256=sha256)

    assert np.array_equal(interpreter.run(again, images).sent, interpreter.run(form, images).sent)
    assert save_form(again, path) == sha256


def test_a_changed_byte_is_refused(tmp_path: Path):
    path = tmp_path / "form.safetensors"
    sha256 = save_form(one_form(4), path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(FormError, match="freeze it again"):
        load_form(path, expect_sha256=sha256)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "form.safetensors"
    path.write_bytes(b"not a form")

    with pytest.raises(FormError, match="intact form"):
        load_form(path)


def test_a_missing_form_names_the_command_that_makes_it(tmp_path: Path):
    with pytest.raises(FormError, match="hybrid freeze"):
        load_form(tmp_path / "form.safetensors")


def beside_its_weights(folder: Path) -> tuple[Form, Path]:
    """A form of 3 bits, and its place beside a trained file that has the same codes."""
    form, path = one_form(3), folder / "hybrid-3bit" / "weights.safetensors"
    spread, lowest = weight_rule(3)
    codes = {
        conv.name: np.frombuffer(pack((conv.weights - lowest) // spread, bits=3), np.uint8)
        for conv in form.convolutions
        if conv.bits == 3
    }
    path.parent.mkdir()
    save_file(codes, path)
    there = folder / "deployed-3bit" / "weights.safetensors"
    return replace(form, source_sha256=sha256_of(path)), there


def test_weights_that_the_trained_file_has_are_left_out_and_read_from_there(tmp_path: Path):
    form, path = beside_its_weights(tmp_path)
    alone = tmp_path / "elsewhere" / "form.safetensors"
    save_form(form, alone)

    save_form(form, path)

    saved = sum(conv.weights.size for conv in form.convolutions if conv.bits == 3) * 3 // 8
    assert path.stat().st_size < alone.stat().st_size - saved // 2
    for one, other in zip(load_form(path).steps, load_form(alone).steps, strict=True):
        assert np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("loss, sentence", [("gone", "are missing"), ("changed", "other weights")])
def test_a_form_without_its_trained_weights_is_refused(tmp_path: Path, loss: str, sentence: str):
    form, path = beside_its_weights(tmp_path)
    save_form(form, path)
    trained = tmp_path / "hybrid-3bit" / "weights.safetensors"
    if loss == "gone":
        trained.unlink()
    else:
        trained.write_bytes(trained.read_bytes() + b" ")

    with pytest.raises(FormError, match=sentence):
        load_form(path)


def test_a_form_names_no_folder_outside_of_its_network(tmp_path: Path):
    form, path = beside_its_weights(tmp_path)

    save_form(replace(form, variant="../hybrid-3bit"), path)

    assert len(load_form(path).steps) == len(form.steps)  # nothing was left out
