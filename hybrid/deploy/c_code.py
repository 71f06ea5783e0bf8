"""A form as C99: the tables of `hybrid_net.c` and the sizes of `hybrid_net.h`. Text out.

The engine itself is `hybrid/deploy/c/hybrid_edge.c`, the same for every network.
"""

import math
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.exits import LOG2, POWERS, confidences, multiplier
from hybrid.deploy.form import INT32, PIXELS, SENT, Codes, Conv, Form, Head, weight_rule
from hybrid.deploy.interpreter import run
from hybrid.deploy.memory import LANES, Place, Working, plan
from hybrid.quant.packing import pack, packed_bytes

__all__ = ["ENGINE", "c_files", "packed_weights", "test_files"]

ENGINE = (
    "hybrid_edge.h",
    "hybrid_edge.c",
    "hybrid_steps.h",
    "hybrid_finish.c",
    "hybrid_portable.c",
    "hybrid_x86.c",
    "hybrid_vector.h",
    "hybrid_vector_narrow.h",
    "hybrid_vector_fine.h",
)
_INT16 = 2**15 - 1
_KINDS = {"floats": 0, "wide": 1, "codes": 2, "signs": 3}


def c_files(form: Form) -> dict[str, str]:
    """All C files of a form, by name; equal forms give equal bytes."""
    folder = resources.files("hybrid.deploy") / "c"
    engine = {name: (folder / name).read_text("utf-8") for name in ENGINE}
    places, arena = plan(form)
    made = _Tables(form, places)
    return engine | {
        "hybrid_net.c": made.source(),
        "hybrid_net.h": _header(form, places, arena, made),
    }


def test_files(form: Form, pixels: NDArray[np.uint8]) -> dict[str, str]:
    """Makefile, program and test vectors: what the specification gives for some images."""
    folder = resources.files("hybrid.deploy") / "c"
    given = {name: (folder / name).read_text("utf-8") for name in ("Makefile", "main.c")}
    return given | {"hybrid_vectors.h": _vectors(form, pixels)}


def packed_weights(conv: Conv) -> tuple[bytes, int, int]:
    """Weights of 1 to 8 bits packed, and how a code becomes a weight: code * spread + lowest.

    Each output channel starts with a byte; then the order is column, row, input channel.
    """
    spread, lowest = weight_rule(conv.bits)
    codes = (conv.weights.transpose(0, 3, 2, 1) - lowest) // spread
    return b"".join(pack(one, bits=conv.bits) for one in codes), spread, lowest


def _bits(conv: Conv) -> bytes:
    """Weights of 1 bit as a register of signs stores them; each channel is filled up to words."""
    signs = (conv.weights > 0).transpose(0, 3, 2, 1)  # (out, column, row, in)
    rows = np.packbits(signs, axis=3, bitorder="little").reshape(len(signs), -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def _digits(conv: Conv, source: Codes, place: Place) -> int:
    """Digits of -128 to 127 to the base of 256 of the weights, where two digits' sums fit 32 bits.

    0 where they do not, or where the source is not stored as bytes.
    """
    largest = int(np.abs(conv.weights).max())
    pair = conv.weights[0].size * source.largest * 128 * (1 + 256)
    for digits in (3, 4):
        if place.kind == "codes" and pair < INT32 and largest <= 127 * (256**digits // 255):
            return digits
    return 0


def _pixel(conv: Conv, place: Place) -> NDArray[np.uint8]:
    """What a pixel outside the source of a convolution is stored as."""
    signs = place.kind == "signs"
    stored = np.packbits(conv.fill > 0, bitorder="little") if signs else conv.fill
    return np.pad(stored.astype(np.uint8), (0, place.stored - len(stored)))


class _Tables:
    """The arrays and structures of one form."""

    def __init__(self, form: Form, places: Mapping[str, Place]) -> None:
        self.form, self.places = form, places
        self.codes = form.codes
        self.readers = {step.source: step for step in form.steps}
        self.parts: list[str] = []
        self.memory = Working()

    def source(self) -> str:
        """The text of hybrid_net.c."""
        rows = []
        for number, step in enumerate(self.form.steps):
            if isinstance(step, Conv):
                self._conv(number, step)
                rows.append(f"    {{&conv{number}, 0}},")
            else:
                self._head(number, step)
                rows.append(f"    {{0, &head{number}}},")
        temperatures = self.form.temperatures
        multipliers = [
            multiplier(head.scale, t)
            for head, t in zip(self.form.heads, temperatures[:-1], strict=True)
        ]
        return "\n".join(
            [
                f"/* {self.form.network} {self.form.variant}: tables for hybrid_edge.c. */",
                '#include "hybrid_steps.h"',
                "",
                *self.parts,
                "const hybrid_step_t hybrid_steps[HYBRID_STEPS] = {",
                *rows,
                "};",
                _array("const uint64_t", "hybrid_multipliers", map(str, multipliers), "u"),
                _array("const uint32_t", "hybrid_powers", map(str, POWERS), "u"),
                _array("const uint32_t", "hybrid_log2", map(str, LOG2), "u"),
                "",
            ]
        )

    def _conv(self, number: int, conv: Conv) -> None:
        name, place = f"conv{number}", self.places[conv.source]
        channels, inputs, kernel, _ = conv.weights.shape
        fields: dict[str, str | int] = {"weights": self.memory.weight_bytes}
        if conv.bits > 8:
            fine = conv.weights.transpose(2, 3, 1, 0)
            fields["fine"] = self._put("int32_t", f"{name}_fine", fine.ravel())
            fields["digits"] = _digits(conv, self.codes[conv.source], place)
        elif place.kind == "signs":
            fields["binary"], fields["packed"] = (
                1,
                self._put("uint8_t", f"{name}_bits", _bits(conv)),
            )
        else:
            data, spread, lowest = packed_weights(conv)
            fields |= {"bits": conv.bits, "spread": spread, "lowest": lowest}
            fields["packed"] = self._put("uint8_t", f"{name}_packed", data)
            fields["pairs"] = _INT16 // (2 * self.codes[conv.source].largest * -lowest)
        source_width = -(-self.form.shapes[conv.source][2] // place.every) + 2 * place.border
        self.memory.convolution(conv, place, source_width)
        fields["multiply"] = self._put("float", f"{name}_multiply", conv.multiply)
        fields["add"] = self._put("float", f"{name}_add", conv.add.transpose(1, 2, 0).ravel())
        if conv.prelu.size:
            fields["prelu"] = self._put("float", f"{name}_prelu", conv.prelu.ravel())
        fields["rows"] = self._put("uint8_t", f"{name}_rows", conv.rows)
        fields["columns"] = self._put("uint8_t", f"{name}_columns", conv.columns)
        fields |= {
            "source": place.offset,
            "source_width": source_width,
            "source_wide": int(place.kind == "wide"),
            "stored": place.stored,
            "inputs": inputs,
            "channels": channels,
            "kernel": kernel,
            "stride": conv.stride // place.every,
            "pool": conv.pool,
            "row_width": len(conv.columns) * conv.pool,
            "width": len(conv.columns),
            "height": len(conv.rows),
            "plus": self.places[conv.plus].offset if conv.plus else -1,
            "relu": int(conv.relu),
            "kinds": conv.add.shape[2],
            "output_count": len(conv.outputs),
            "outputs": self._outputs(name, conv),
        }
        self._structure("hybrid_conv_t", name, fields)

    def _outputs(self, name: str, conv: Conv) -> str:
        rows = []
        for number, output in enumerate(conv.outputs):
            place, codes = self.places[output.register], output.codes
            reader = self.readers.get(output.register)
            thresholds = fill = "0"
            if codes is not None and codes.thresholds.size:
                thresholds = self._put("float", f"{name}_out{number}_thresholds", codes.thresholds)
            if isinstance(reader, Conv) and place.border and (reader.fill > 0).any():
                fill = self._put("uint8_t", f"{name}_out{number}_fill", _pixel(reader, place))
            numbers = codes or Codes(low=0, high=0)
            rows.append(
                f"    {{{_KINDS[place.kind]}, {place.offset}, {place.border}, {place.stored}, "
                f"{place.every}, {_float(numbers.scale)}, {_float(numbers.low)}, "
                f"{_float(numbers.high)}, {thresholds}, {fill}}},"
            )
        self.parts.append(
            "\n".join([f"static const hybrid_output_t {name}_outputs[] = {{", *rows, "};"])
        )
        return f"{name}_outputs"

    def _head(self, number: int, head: Head) -> None:
        name = f"head{number}"
        channels, height, width = self.form.shapes[head.source]
        rows, columns = height // head.pool, width // head.pool
        weights = head.weights.reshape(-1, channels, rows, columns).transpose(2, 3, 1, 0)
        self.memory.head(channels * rows * columns)
        fields: dict[str, str | int] = {
            "source": self.places[head.source].offset,
            "channels": channels,
            "height": height,
            "width": width,
            "pool": head.pool,
            "weights": self._put("int32_t", f"{name}_weights", weights.ravel()),
            "bias": self._put("int64_t", f"{name}_bias", head.bias),
        }
        self._structure("hybrid_head_t", name, fields)

    def _put(self, kind: str, name: str, values: NDArray[np.generic] | bytes) -> str:
        words = map(_float, values) if kind == "float" else map(str, values)
        self.parts.append(_array(f"static const {kind}", name, words))
        return name

    def _structure(self, kind: str, name: str, fields: Mapping[str, str | int]) -> None:
        rows = [f"    .{key} = {value}," for key, value in fields.items()]
        self.parts.append("\n".join([f"static const {kind} {name} = {{", *rows, "};"]))


def _vectors(form: Form, pixels: NDArray[np.uint8]) -> str:
    answers = run(form, pixels)
    bits = form.codes[SENT].bits
    sent = np.stack([np.frombuffer(pack(one, bits=bits), np.uint8) for one in answers.sent])
    logits = np.stack(answers.logits, axis=1)  # (n, exits, classes)
    sure = [
        confidences(whole, multiplier(head.scale, t), "max_probability")
        for whole, head, t in zip(answers.logits, form.heads, form.temperatures[:-1], strict=True)
    ]
    shape = "[HYBRID_VECTORS]"
    return "\n".join(
        [
            f"/* {form.network} {form.variant}: images, and what every engine must give. */",
            "#ifndef HYBRID_VECTORS_H",
            "#define HYBRID_VECTORS_H",
            '#include "hybrid_net.h"',
            f"#define HYBRID_VECTORS {len(pixels)}",
            _table(
                "uint8_t", "pixels", f"{shape}[{pixels[0].size}]", pixels.reshape(len(pixels), -1)
            ),
            _table("int64_t", "logits", f"{shape}[HYBRID_EXITS][HYBRID_CLASSES]", logits),
            _table("uint32_t", "confidences", f"{shape}[HYBRID_EXITS]", np.stack(sure, axis=1)),
            _table("uint8_t", "sent", f"{shape}[HYBRID_SENT_BYTES]", sent),
            "#endif",
            "",
        ]
    )


def _table(kind: str, name: str, shape: str, values: NDArray[np.generic]) -> str:
    return f"static const {kind} hybrid_vector_{name}{shape} = {_braces(values.tolist())};"


def _braces(values: Any) -> str:
    if not isinstance(values, list):
        return str(values)
    joint = ",\n" if isinstance(values[0], list) else ", "
    return "{" + joint.join(map(_braces, values)) + "}"


def _header(form: Form, places: Mapping[str, Place], arena: int, tables: _Tables) -> str:
    channels, height, width = form.shapes[PIXELS]
    sent, (out, high, wide) = places[SENT], form.shapes[SENT]
    bits, memory = form.codes[SENT].bits, tables.memory
    scratch = arena + memory.sums
    numbers = {
        "STEPS": len(form.steps),
        "EXITS": len(form.heads),
        "CLASSES": form.classes,
        "CHANNELS": channels,
        "HEIGHT": height,
        "WIDTH": width,
        "PIXELS": places[PIXELS].offset,
        "PIXEL_BORDER": places[PIXELS].border,
        "PIXEL_STORED": places[PIXELS].stored,
        "MAX_CHANNELS": max(-(-len(c.weights) // LANES) * LANES for c in form.convolutions),
        "MAX_WINDOW": memory.window,
        "SUMS": arena,
        "SCRATCH": scratch,
        "WEIGHT_BYTES": memory.weight_bytes,
        "SENT": sent.offset,
        "SENT_STORED": sent.stored,
        "SENT_CHANNELS": out,
        "SENT_PIXELS": high * wide,
        "SENT_BITS": bits,
        "PER_BIT": round(2**24 / math.log2(form.classes)) if form.classes > 1 else 0,
    }
    rows = [f"#define HYBRID_{name} {value}" for name, value in numbers.items()]
    rows.append(f"#define HYBRID_SENT_BYTES {packed_bytes((out, high, wide), bits=bits)}u")
    rows += [
        "#if defined(__x86_64__)",
        f"#define HYBRID_ARENA_BYTES {scratch + max(memory.plain, memory.x86)}",
        "#else",
        f"#define HYBRID_ARENA_BYTES {scratch + memory.plain}",
        "#endif",
    ]
    title = f"/* {form.network} {form.variant}: sizes. */"
    return "\n".join([title, "#ifndef HYBRID_NET_H", "#define HYBRID_NET_H", *rows, "#endif", ""])


def _array(kind: str, name: str, words: Iterable[str], suffix: str = "") -> str:
    given = [f"{word}{suffix}" for word in words]
    lines = [", ".join(given[start : start + 16]) for start in range(0, len(given), 16)]
    return "\n".join([f"{kind} {name}[{len(given)}] = {{", *(f"    {one}," for one in lines), "};"])


def _float(value: float | np.floating) -> str:
    """A float32 without loss: C99's hexadecimal."""
    return f"{float(value).hex()}f"
