"""The files around the C engine: the point, build files of several tools, and the report. Text out.

`c_files` of `hybrid.deploy.c_code` gives the engine itself.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hybrid.deploy.bundles.measured import Measured, engine_of, measured
from hybrid.deploy.exits import whole_threshold
from hybrid.deploy.form import SENT, Conv, Form, Head
from hybrid.quant.packing import packed_bytes

__all__ = ["build_files", "macs", "point_header", "report"]

_MEASURES = {
    "max_probability": "HYBRID_MAX_PROBABILITY",
    "margin": "HYBRID_MARGIN",
    "entropy": "HYBRID_ENTROPY",
}
_ARRAY = re.compile(r"const (float|u?int(?:8|16|32|64)_t) (\w+)\[(\d+)\]")
_OF_STEP = re.compile(r"(?:conv|head)(\d+)_")
_WIDTH = {"float": 4, "8": 1, "16": 2, "32": 4, "64": 8}


def point_header(thresholds: Sequence[float], measure: str) -> str:
    """hybrid_point.h: the thresholds and the measure of the bundle's operating point."""
    numbers = ", ".join(f"{whole_threshold(one)}u" for one in thresholds)
    return _POINT.format(numbers=numbers, measure=_MEASURES[measure])


def build_files(sources: Sequence[str], *, name: str, version: str) -> dict[str, str]:
    """Build files for CMake, Zephyr and PlatformIO, by name.

    Args:
        sources: the engine's C files.
        name: of the network and its variant.
    """
    listed = " ".join(sources)
    return {
        "CMakeLists.txt": _CMAKE.format(sources=listed),
        "zephyr/CMakeLists.txt": _ZEPHYR.format(sources=" ".join(f"../{one}" for one in sources)),
        "zephyr/Kconfig": _KCONFIG.format(name=name),
        "zephyr/module.yml": _MODULE,
        "library.json": _platformio(name, version),
    }


def report(form: Form, files: Mapping[str, str], stages: Sequence[str]) -> str:
    """REPORT.md: flash, RAM, multiply-accumulates and bytes sent, by stage; what was measured.

    Args:
        files: the engine's C files, whose tables are measured.
        stages: names of the network's stages.
    """
    flash, arena = _flash(form, files), _defined(files, "ARENA_BYTES")
    counted: Counter[int] = Counter()
    for step in form.steps:
        counted[step.stage] += macs(step)
    shape, bits = form.shapes[SENT], form.codes[SENT].bits
    exits = {head.stage: f"exit {number}" for number, head in enumerate(form.heads, 1)}
    rows = [
        f"| {stages[stage]} | {exits.get(stage, '')} | {counted[stage]:,} | {flash[stage]:,} |"
        for stage in sorted(counted)
    ]
    total = f"| all | | {sum(counted.values()):,} | {sum(flash.values()):,} |"
    sent = f"{packed_bytes(shape, bits=bits):,} bytes"
    lines = [
        f"# {form.network} {form.variant} on a device",
        "",
        "## Counted from the tables in this folder",
        "",
        "| stage | exit | multiply-accumulates | flash for tables, bytes |",
        "|---|---|---:|---:|",
        *rows,
        total,
        "",
        f"- Arena, given by the caller: {arena:,} bytes of RAM (`HYBRID_ARENA_BYTES`).",
        f"- Sent per image that stays: {sent}, {'x'.join(map(str, shape))} codes of {bits} bits.",
        "- `make test` compares every exit and the bytes sent with the test vectors.",
        "",
        "## Measured on emulated processors",
        "",
        *_measured(form, files),
        "",
    ]
    return "\n".join(lines)


def _measured(form: Form, files: Mapping[str, str]) -> list[str]:
    rows = [one for one in measured() if (one.network, one.bits) == (form.network, form.bits)]
    if not rows:
        return [_NOT_MEASURED.format(network=form.network, bits=form.bits)]
    lines = [
        *_MEASURED,
        *map(_measured_row, rows),
    ]
    if {one.engine for one in rows} != {engine_of(files)}:
        lines += ["", "Measured with an earlier version of this code."]
    return lines


def _measured_row(one: Measured) -> str:
    sizes = (one.code_bytes, one.table_bytes, one.ram_bytes, one.stack_bytes)
    cells = [one.processor, *(f"{size:,}" for size in sizes), f"{one.instructions_per_mac:.2f}"]
    return f"| {' | '.join(cells)} |"


def macs(step: Conv | Head) -> int:
    """Multiply-accumulates of a step, those whose sums a pool leaves out included."""
    if isinstance(step, Head):
        return int(step.weights.size)
    positions = len(step.rows) * len(step.columns) * step.pool**2
    return int(step.weights.size) * positions


def _flash(form: Form, files: Mapping[str, str]) -> Counter[int]:
    """Bytes of the constant arrays in hybrid_net.c by stage; shared ones count to the first."""
    found: Counter[int] = Counter()
    for kind, name, length in _ARRAY.findall(files["hybrid_net.c"]):
        width = _WIDTH[re.sub(r"\D", "", kind) or "float"]
        at = _OF_STEP.match(name)
        found[form.steps[int(at[1])].stage if at else 0] += width * int(length)
    return found


def _defined(files: Mapping[str, str], name: str) -> int:
    found = re.search(rf"#define HYBRID_{name} (\d+)", files["hybrid_net.h"])
    return int(found[1]) if found else 0


def _platformio(name: str, version: str) -> str:
    values = {
        "name": f"hybrid-edge-{name}",
        "version": version,
        "description": "An edge segment with early exits in whole numbers.",
        "frameworks": "*",
        "platforms": "*",
        "headers": ["hybrid_edge.h", "hybrid_point.h"],
        "build": {
            "srcDir": ".",
            "includeDir": ".",
            "srcFilter": ["+<hybrid_*.c>"],
            "flags": ["-O2", "-ffp-contract=off"],
        },
    }
    return json.dumps(values, indent=2) + "\n"


_NOT_MEASURED = (
    "This edge was not run there: code size, stack and instructions are not known. "
    "`python -m scripts.microcontrollers {network} {bits}` in a clone of `hybrid` runs it."
)
_MEASURED = """\
Built by `arm-none-eabi-gcc -O2` and run in QEMU, which counts instructions, not cycles; every
number equals the specification. RAM is static: the arena and the engine's state.

| processor | code, bytes | tables, bytes | RAM, bytes | stack, bytes | instructions per MAC |
|---|---:|---:|---:|---:|---:|
""".splitlines()

_POINT = """\
/* The operating point of this bundle: call hybrid_point_apply after hybrid_edge_init. */
#ifndef HYBRID_POINT_H
#define HYBRID_POINT_H

#include "hybrid_edge.h"

static inline void hybrid_point_apply(hybrid_edge_t *edge)
{{
    const uint32_t thresholds[HYBRID_EXITS] = {{{numbers}}};
    for (int32_t i = 0; i < HYBRID_EXITS; i++) edge->thresholds[i] = thresholds[i];
    edge->measure = {measure};
}}

#endif
"""

_CMAKE = """\
cmake_minimum_required(VERSION 3.13)
project(hybrid_edge C)

add_library(hybrid_edge STATIC {sources})
target_include_directories(hybrid_edge PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties(hybrid_edge PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON)
target_compile_options(hybrid_edge PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O3> -ffp-contract=off)

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  enable_testing()
  add_executable(hybrid_test main.c)
  target_link_libraries(hybrid_test PRIVATE hybrid_edge)
  add_test(NAME vectors COMMAND hybrid_test)
endif()
"""

_ZEPHYR = """\
if(CONFIG_HYBRID_EDGE)
  zephyr_library_named(hybrid_edge)
  zephyr_library_sources({sources})
  zephyr_library_compile_options(-O2 -ffp-contract=off)
  zephyr_include_directories(..)
endif()
"""

_KCONFIG = """\
config HYBRID_EDGE
    bool "Early-exit edge segment: {name}"
    help
      C99 in whole numbers and single float operations, without a heap.
"""

_MODULE = """\
name: hybrid_edge
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
"""
