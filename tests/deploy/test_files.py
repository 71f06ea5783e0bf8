"""A form's file gives the same form back, and nothing else is taken for one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from hybrid.deploy import interpreter
from hybrid.deploy.files import load_form, save_form
from hybrid.deploy.form import Form
from hybrid.errors import FormError
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
