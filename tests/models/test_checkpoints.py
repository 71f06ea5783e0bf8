"""Weights come back as they were, or not at all and with one sentence."""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hybrid.errors import WeightsError
from hybrid.files import sha256_of
from hybrid.models import Network, Spec, build
from hybrid.models.checkpoints import base_of, load_network, save_network
from hybrid.models.network import quantized_layers
from hybrid.quant.levels import BITS

every_width = pytest.mark.parametrize("bits", BITS)
one_folder = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def network_of(*, bits: int = 3, seed: int = 0, **changes: Any) -> Network:
    torch.manual_seed(seed)
    about: dict[str, Any] = {"classes": 10, "channels": 1, "size": 8, "cut": 2, "exits": (1, 2)}
    spec = Spec(architecture="digits-vgg", bits=bits, **about, **changes)
    network = build(spec)
    for parameter in network.parameters():  # none stays where it was built
        parameter.data += 0.01 * torch.randn_like(parameter)
    network(torch.randn(32, 1, 8, 8))
    network.temperatures = (1.5, 0.7, 1.1)
    return network.eval()


@cache
def written() -> bytes:
    """A whole file, for tests to damage."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_network(network_of(), path)
        return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


def changed(change: Callable[[dict[str, Any]], None], data: bytes | None = None) -> bytes:
    """A file whose header was changed."""
    data = data or written()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


# ---------------------------------------------------------------- whole files


@every_width
def test_a_network_comes_back_with_the_same_answers_to_the_last_bit(bits: int, path: Path):
    network, x = network_of(bits=bits), torch.randn(8, 1, 8, 8)
    before = network(x)

    save_network(network, path)
    loaded = load_network(path)

    assert loaded.spec == network.spec
    assert loaded.temperatures == network.temperatures
    assert not loaded.training
    for one, other, frozen in zip(before, loaded(x), network(x), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, frozen)


def test_branches_at_other_bits_come_back_with_the_same_answers_and_are_packed(path: Path):
    network = network_of(bits=1, branch_blocks=(0, 1), branch_bits=(32, 2))
    x = torch.randn(8, 1, 8, 8)
    before = network(x)

    save_network(network, path)
    loaded = load_network(path)

    assert loaded.spec.branch(1) == (1, 2)
    assert all(torch.equal(one, other) for one, other in zip(before, loaded(x), strict=True))
    stored = load_file(path).items()
    convolutions = [t for name, t in stored if name.startswith("heads.2.blocks.0.conv")]
    packed = sum(t.numel() for t in convolutions if t.dtype == torch.uint8)
    branch = quantized_layers(network.heads["2"]).values()
    assert packed == sum(layer.weight.numel() for layer in branch) * 2 // 8 > 0


@every_width
def test_weights_are_packed_at_their_bit_width(bits: int, path: Path):
    network = network_of(bits=bits)

    save_network(network, path)

    plain = 4 * sum(t.numel() for t in network.state_dict().values())
    for layer in quantized_layers(network).values():
        plain -= 4 * layer.weight.numel() - -(-layer.weight.numel() * bits // 8)
    # the header, and 8 bytes instead of 4 for each batch norm's counter
    assert abs(path.stat().st_size - plain) < 10_000
    assert bits == 32 or len(quantized_layers(network)) == 4


@every_width
def test_saved_again_the_file_is_the_same_to_the_last_byte(bits: int, path: Path):
    first = save_network(network_of(bits=bits), path)

    again = save_network(load_network(path), path)

    assert again == first == sha256_of(path)


def test_a_loaded_network_can_be_trained_on(path: Path):
    save_network(network_of(bits=32), path)
    network = load_network(path).train()

    sum(z.square().mean() for z in network(torch.randn(8, 1, 8, 8))).backward()

    parameters = list(network.parameters())
    assert parameters
    assert all(parameter.grad is not None for parameter in parameters)


def test_the_file_that_the_card_describes_is_taken(path: Path):
    sha256 = save_network(network_of(), path)

    assert load_network(path, expect_sha256=sha256).exit_stages == (1, 2)


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    before = save_network(network_of(), path)

    def half(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="no space left"):
        save_network(network_of(seed=1), path)

    assert sha256_of(path) == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


# ---------------------------------------------------------------- damaged files


def test_no_file_says_what_to_do(path: Path):
    with pytest.raises(WeightsError, match=r"There are no weights at .*; train the network first"):
        load_network(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 8, b"\xff" * 64, pickle.dumps({"weight": [1, 2]}), b"PK\3\4" + b"\0" * 60, b"{}"],
    ids=["empty", "zeros", "ones", "pickle", "zip", "text"],
)
def test_what_is_no_safetensors_file_is_not_read(data: bytes, path: Path):
    path.write_bytes(data)

    with pytest.raises(WeightsError, match="is not an intact safetensors file of this"):
        load_network(path)


def test_a_pickle_of_torch_is_never_executed(path: Path):
    ran = path.with_name("ran")

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (ran,)

    torch.save({"weight": Harmful()}, path)

    with pytest.raises(WeightsError, match="other formats are not read"):
        load_network(path)
    assert not ran.exists()


@one_folder
@given(st.integers(0, 10**9))
def test_a_truncated_file_is_refused(path: Path, length: int):
    path.write_bytes(written()[: length % len(written())])

    with pytest.raises(WeightsError, match=r"^\S+ .*\.$"):
        load_network(path)


@one_folder
@given(st.integers(0, 10**9), st.integers(1, 255))
def test_one_byte_changed_is_noticed_by_its_sha256(path: Path, position: int, flip: int):
    data = bytearray(written())
    whole = sha256_of_bytes(bytes(data))
    data[position % len(data)] ^= flip
    path.write_bytes(data)

    with pytest.raises(WeightsError, match="is not the file its card describes"):
        load_network(path, expect_sha256=whole)


def sha256_of_bytes(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@one_folder
@given(st.integers(0, 6000), st.integers(1, 255))
def test_one_byte_changed_in_the_header_gives_a_network_or_one_sentence(
    path: Path, position: int, flip: int
):
    data = bytearray(written())
    data[position] ^= flip
    path.write_bytes(data)

    sentence, network = "", None
    try:
        network = load_network(path)
    except WeightsError as error:
        sentence = str(error)

    assert network is not None or sentence
    assert "\n" not in sentence


HEADERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no metadata": (lambda h: h.pop("__metadata__"), "not an intact safetensors file"),
    "other format": (lambda h: h["__metadata__"].update(format="2"), "weights format 2, not 1"),
    "no spec": (lambda h: h["__metadata__"].pop("spec"), "does not hold this network's weights"),
    "spec is a list": (lambda h: h["__metadata__"].update(spec="[]"), "does not hold"),
    "spec is deep": (lambda h: h["__metadata__"].update(spec="[" * 9999), "does not hold"),
    "temperatures": (lambda h: h["__metadata__"].update(temperatures="[1.0]"), "3 exits need as"),
    "cold": (lambda h: h["__metadata__"].update(temperatures="[1, 0, 1]"), "must be above 0"),
    "missing": (lambda h: h.pop("classifier.linear.bias"), "does not hold"),
    "renamed": (lambda h: h.update(x=h.pop("classifier.linear.bias")), "bias is missing"),
    "no codes": (lambda h: h.pop("stages.1.conv1.weight.codes"), "does not hold"),
    "shape": (
        lambda h: h["classifier.linear.weight"].update(shape=[64, 10]),
        r"classifier.linear.weight is torch.float32 of shape \(64, 10\)",
    ),
    "type": (
        lambda h: h["classifier.linear.weight"].update(dtype="I32"),
        "classifier.linear.weight is torch.int32",
    ),
}


@pytest.mark.parametrize("change, sentence", HEADERS.values(), ids=HEADERS)
def test_a_header_that_does_not_fit_names_what_is_wrong(
    change: Callable[[dict[str, Any]], None], sentence: str, path: Path
):
    path.write_bytes(changed(change))

    with pytest.raises(WeightsError, match=sentence) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def with_spec(**values: object) -> bytes:
    def change(header: dict[str, Any]) -> None:
        spec = json.loads(header["__metadata__"]["spec"]) | values
        header["__metadata__"]["spec"] = json.dumps(spec)

    return changed(change)


SPECS: list[dict[str, object]] = [
    {"architecture": "resnet20", "channels": 3},
    {"architecture": "resnet99"},
    {"bits": 4},
    {"bits": "many"},
    {"bits": 9},
    {"classes": 11},
    {"classes": 10**9},
    {"classes": -1},
    {"classes": 10**30},
    {"classes": 2.5},
    {"size": 16},
    {"size": 10**6},
    {"size": 0},
    {"cut": 9},
    {"cut": "x"},
    {"exits": [2]},
    {"exits": 1},
    {"channels": 3},
    {"more": 1},
]


@pytest.mark.parametrize("values", SPECS, ids=str)
def test_the_weights_of_another_network_are_refused_without_building_it(
    values: dict[str, object], path: Path
):
    """A billion classes would fill the memory: they are compared, never allocated."""
    path.write_bytes(with_spec(**values))

    with pytest.raises(WeightsError, match=r"weights \(|cannot be loaded") as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_scales_that_are_none_are_refused(bad: float, path: Path):
    network = network_of()
    network.stages[1].conv1.weight_log_step.data[0] = bad
    network.stages[1].conv1.freeze()
    network.stages[1].conv1.frozen_scale[0] = bad
    save_network(network, path)

    with pytest.raises(WeightsError, match="no scale of 0 or more for each of its 24 channels"):
        load_network(path)


# ---------------------------------------------------------------- files with a base

every_read = pytest.mark.parametrize("read", [load_network, base_of])


def twin_of(network: Network) -> Network:
    """The same weights at 32 bits, without exits."""
    twin = build(replace(network.spec, cut=3, exits=(), bits=32, static=True))
    weights = {n: v for n, v in network.state_dict().items() if n in twin.state_dict()}
    twin.load_state_dict(weights)
    return twin.eval()


def bits_of(network: Network) -> dict[str, bytes]:
    return {name: one.numpy().tobytes() for name, one in network.state_dict().items()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "static-32bit" / "weights.safetensors"
    save_network(twin_of(network_of(bits=32)), path)
    return path


@pytest.fixture
def based(base: Path, tmp_path: Path) -> Path:
    """A file that leaves all but its heads to `base`."""
    path = tmp_path / "hybrid-32bit" / "weights.safetensors"
    save_network(network_of(bits=32), path, base=base)
    return path


def test_a_file_with_a_base_gives_the_network_that_a_whole_one_gives(based: Path, path: Path):
    save_network(network_of(bits=32), path)

    whole, apart = load_network(path), load_network(based)

    assert bits_of(apart) == bits_of(whole)
    assert (apart.spec, apart.temperatures) == (whole.spec, whole.temperatures)
    x = torch.randn(8, 1, 8, 8)
    assert all(torch.equal(a, b) for a, b in zip(apart(x), whole(x), strict=True))


def test_a_file_with_a_base_holds_its_heads_and_names_the_rest(based: Path, base: Path, path: Path):
    save_network(network_of(bits=32), path)
    heads = {f"heads.{i}.linear.{kind}" for i in (1, 2) for kind in ("weight", "bias")}

    assert set(load_file(based)) == heads
    assert set(load_file(base)) | heads == set(load_file(path))
    assert based.stat().st_size < path.stat().st_size / 20
    assert base_of(based) == base
    assert base_of(base) is None


@every_width
def test_at_every_bit_width_the_cloud_is_left_to_the_base(bits: int, tmp_path: Path):
    files = [tmp_path / name / "weights.safetensors" for name in ("twin", "apart", "whole")]
    network = network_of(bits=bits)
    save_network(twin_of(network), files[0])

    save_network(network, files[1], base=files[0])
    save_network(network, files[2])

    cloud = {name for name in network.state_dict() if name.startswith(("stages.3", "classifier"))}
    assert not cloud & load_file(files[1]).keys()
    assert bits_of(load_network(files[1])) == bits_of(load_network(files[2]))


def test_a_file_with_a_base_saved_again_is_the_same_to_the_last_byte(based: Path, base: Path):
    before = sha256_of(based)

    assert save_network(load_network(based), based, base=base) == before


def test_beside_other_weights_the_file_is_whole(base: Path, path: Path, tmp_path: Path):
    """Counters of batches are alike in both; they are not worth a second file."""
    other = tmp_path / "hybrid-32bit" / path.name

    with_base = save_network(network_of(bits=32, seed=1), other, base=base)

    assert with_base == save_network(network_of(bits=32, seed=1), path)
    assert base_of(other) is None


@one_folder
@given(st.floats(width=32), st.floats(width=32))
@example(0.0, -0.0)
@example(float("nan"), float("nan"))
def test_one_number_of_another_bit_keeps_its_tensor_in_the_file(
    based: Path, base: Path, theirs: float, ours: float
):
    network = network_of(bits=32)
    twin = twin_of(network)
    twin.stages[3].norm1.bias.data[0] = theirs
    network.stages[3].norm1.bias.data[0] = ours
    save_network(twin, base)

    save_network(network, based, base=base)

    alike = struct.pack("<f", theirs) == struct.pack("<f", ours)
    assert ("stages.3.norm1.bias" in load_file(based)) != alike
    assert bits_of(load_network(based)) == bits_of(network)


@every_read
def test_a_variant_copied_without_its_base_says_what_is_missing(
    read: Callable[[Path], object], based: Path, tmp_path: Path
):
    copied = tmp_path / "elsewhere" / based.parent.name
    shutil.copytree(based.parent, copied)

    with pytest.raises(
        WeightsError, match=r"32bit/w\S+, which is missing; fetch or train it again"
    ):
        read(copied / based.name)


@every_read
def test_a_base_that_was_trained_again_is_refused(
    read: Callable[[Path], object], based: Path, base: Path
):
    save_network(twin_of(network_of(bits=32, seed=1)), base)

    with pytest.raises(WeightsError, match=r"SHA-256 differs.*train hybrid-32bit again\.$"):
        read(based)


def test_the_sha256_of_a_file_changes_with_its_base(based: Path, base: Path):
    before = sha256_of(based)
    twin = load_network(base)
    twin.temperatures = (2.0,)
    save_network(twin, base)

    assert save_network(network_of(bits=32), based, base=base) != before


def pointing(path: Path, **metadata: object) -> None:
    """Let a file name another base."""
    path.write_bytes(changed(lambda h: h["__metadata__"].update(metadata), path.read_bytes()))


def holding(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Let a file hold other tensors under its own metadata."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
    save_file(tensors, path, about)


FOLDERS = ["", ".", "..", "../static-32bit", "a/b", "a\\b", "/etc", "a\0b", " ", ".hidden", None, 1]


@every_read
@pytest.mark.parametrize("folder", FOLDERS, ids=repr)
def test_a_base_that_is_no_plain_folder_name_is_not_looked_for(
    read: Callable[[Path], object], folder: object, based: Path, monkeypatch: pytest.MonkeyPatch
):
    pointing(based, base=folder)
    looked_at: list[Path] = []
    whole = Path.open
    monkeypatch.setattr(Path, "open", lambda p, mode: looked_at.append(p) or whole(p, mode))

    with pytest.raises(WeightsError, match="is not a sibling folder; fetch or train"):
        read(based)
    assert looked_at == [based]


@one_folder
@given(st.text(max_size=40))
def test_whatever_is_named_as_base_stays_beside_or_is_one_sentence(based: Path, folder: str):
    pointing(based, base=folder, base_sha256="0" * 64)

    with pytest.raises(WeightsError, match=r"not a sibling folder|is missing|SHA-256 differs"):
        load_network(based)


def test_a_base_without_its_sha256_is_refused(based: Path):
    def forget(header: dict[str, Any]) -> None:
        del header["__metadata__"]["base_sha256"]

    based.write_bytes(changed(forget, based.read_bytes()))

    with pytest.raises(WeightsError, match="SHA-256 differs"):
        load_network(based)


def test_a_base_with_a_base_is_neither_written_nor_read(based: Path, tmp_path: Path):
    third = tmp_path / "hybrid-8bit" / based.name

    with pytest.raises(WeightsError, match="cannot be one; name a whole file"):
        save_network(network_of(bits=32), third, base=based)
    assert not third.exists()

    shutil.copytree(based.parent, third.parent)
    pointing(third, base=based.parent.name, base_sha256=sha256_of(based))
    with pytest.raises(WeightsError, match=r"cannot be one.*fetch or train it again\.$"):
        load_network(third)


def test_a_base_that_is_damaged_is_refused(based: Path, base: Path):
    base.write_bytes(changed(lambda h: h.pop("classifier.linear.bias"), base.read_bytes()))
    pointing(based, base_sha256=sha256_of(base))

    with pytest.raises(WeightsError, match=r"static-32bit.* is damaged; fetch or train it again"):
        load_network(based)


@pytest.mark.parametrize("missing", ["classifier.linear.bias", "heads.1.linear.bias"])
def test_a_tensor_that_is_in_neither_file_is_named(missing: str, based: Path, base: Path):
    """The base of another network, and a file that lost a head: both fit their SHA-256."""
    for path in (base, based):
        holding(path, {n: v for n, v in load_file(path).items() if n != missing})
    pointing(based, base_sha256=sha256_of(base))

    with pytest.raises(
        WeightsError, match=rf"\({missing} is neither in it nor in its base\); fetch"
    ):
        load_network(based)


def test_a_tensor_that_the_network_has_not_is_refused_beside_a_base_too(based: Path):
    holding(based, load_file(based) | {"stages.9.more": torch.zeros(3)})

    with pytest.raises(WeightsError, match=r"stages\.9\.more is unknown"):
        load_network(based)


@pytest.mark.parametrize("place", ["weights.safetensors", "a/b/weights.safetensors", "a/other"])
def test_a_base_that_would_not_be_found_again_is_refused(place: str, base: Path, tmp_path: Path):
    path = tmp_path / "hybrid-32bit" / base.name
    shutil.copytree(base.parent, (tmp_path / place).parent, dirs_exist_ok=True)

    with pytest.raises(WeightsError, match=r"cannot be the base of .* in a sibling folder"):
        save_network(network_of(bits=32), path, base=tmp_path / place)
    assert not path.exists()


def test_a_relative_path_finds_the_base_too(based: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(based.parent)

    assert load_network(Path(based.name)).exit_stages == (1, 2)
