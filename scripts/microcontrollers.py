"""Build an edge for emulated Cortex-M processors, run its test vectors there, count instructions.

    python -m scripts.microcontrollers [network] [bits,bits] [processor,processor]

Prints one line for each bit width and processor: differences from the vectors, flash, RAM and
stack in bytes, and instructions per multiply-accumulate. QEMU counts instructions, not cycles.
Needs gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid import zoo
from hybrid.deploy.c_code import c_files, test_files
from hybrid.deploy.files import load_form
from hybrid.deploy.form import PIXELS, Form

__all__ = ["PROCESSORS", "TOOLS", "Measured", "measure"]

SUPPORT = Path(__file__).parent / "mcu"
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm")
SOURCES = (
    "hybrid_edge.c",
    "hybrid_finish.c",
    "hybrid_portable.c",
    "hybrid_x86.c",
    "hybrid_net.c",
    "start.c",
)
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffp-contract=off")


@dataclass(frozen=True, kw_only=True)
class Processor:
    """What the compiler and QEMU call a processor, and the board's RAM."""

    flags: tuple[str, ...]
    board: str
    ram_start: int = 0x20000000
    ram_bytes: int = 4 << 20


PROCESSORS: Mapping[str, Processor] = {
    "cortex-m3": Processor(flags=("-mcpu=cortex-m3",), board="mps2-an385"),
    "cortex-m4f": Processor(
        flags=("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), board="mps2-an386"
    ),
    "cortex-m7": Processor(
        flags=("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"), board="mps2-an500"
    ),
    "cortex-m55": Processor(
        flags=("-mcpu=cortex-m55+nomve", "-mfloat-abi=hard", "-mfpu=auto"),
        board="mps3-an547",
        ram_start=0x01000000,
        ram_bytes=2 << 20,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run gave.

    Args:
        wrong: differences from the test vectors.
        code, constants: bytes of flash; the engine, and weights with all tables.
        ram: bytes of the arena and the engine's state.
        stack: bytes.
        instructions: of one image, to the last exit.
        macs: multiply-accumulates of all convolutions.
    """

    wrong: int
    code: int
    constants: int
    ram: int
    stack: int
    instructions: int
    macs: int


def main(network: str = "digits-vgg", bits: str = "4", processors: str = "") -> None:
    """Print the table."""
    for width in map(int, bits.split(",")):
        form = load_form(zoo.weights_path(network, zoo.variant_name(width, deployed=True)))
        for name in processors.split(",") if processors else PROCESSORS:
            found = measure(form, name)
            print(
                f"{network} {width} bit, {name}: {found.wrong} wrong, code {found.code}, "
                f"constants {found.constants}, RAM {found.ram}, stack {found.stack} bytes, "
                f"{found.instructions / found.macs:.2f} instructions per MAC"
            )


def measure(form: Form, processor: str, *, images: int = 2) -> Measured:
    """Build a form for a processor, run random images there, and compare with the specification."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        program = _built(form, PROCESSORS[processor], images, folder)
        words = dict[str, int]()
        instructions = 0
        for line in _run(PROCESSORS[processor], program).splitlines():
            name, *values = line.split()
            if name == "instructions":
                instructions += int(values[1])
            else:
                words[name] = int(values[0])
        sizes = {name: _size(folder / f"{name[:-2]}.o") for name in SOURCES}
    return Measured(
        wrong=words["wrong"],
        code=sum(sizes[name].text for name in SOURCES[:-2]),
        constants=sizes["hybrid_net.c"].text,
        ram=sizes["start.c"].bss,
        stack=words["stack"],
        instructions=instructions,
        macs=sum(
            conv.weights.size * conv.rows.size * conv.columns.size * conv.pool**2
            for conv in form.convolutions
        ),
    )


def _built(form: Form, processor: Processor, images: int, folder: Path) -> Path:
    shape = form.shapes[PIXELS]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, shape[1], shape[2], shape[0]), dtype=np.uint8)
    for name, text in (c_files(form) | test_files(form, pixels)).items():
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copy(SUPPORT / "start.c", folder)
    for name in SOURCES:
        _call(
            TOOLS[0], "-c", "-O2", "-mthumb", *processor.flags, *STRICT,
            "-o", f"{folder}/{name[:-2]}.o", f"{folder}/{name}",
        )  # fmt: skip
    program = folder / "edge.elf"
    objects = [f"{folder}/{name[:-2]}.o" for name in SOURCES]
    memory = {"RAM_START": processor.ram_start, "RAM_BYTES": processor.ram_bytes}
    _call(
        TOOLS[0], "-mthumb", *processor.flags, "-nostartfiles", "--specs=nosys.specs",
        *(f"-Wl,--defsym={name}={value}" for name, value in memory.items()),
        "-T", str(SUPPORT / "board.ld"), "-o", str(program), *objects,
    )  # fmt: skip
    return program


def _run(processor: Processor, program: Path) -> str:
    return _call(
        TOOLS[1], "-M", processor.board, "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting-config", "enable=on,target=native", "-icount", "shift=0",
        "-kernel", str(program), check=False,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    text: int
    bss: int


def _size(path: Path) -> _Sizes:
    text, _, bss = _call("arm-none-eabi-size", str(path)).splitlines()[1].split()[:3]
    return _Sizes(text=int(text), bss=int(bss))


def _call(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"{words[0]} failed: {done.stderr.strip()}")
    return done.stdout + done.stderr


if __name__ == "__main__":
    main(*sys.argv[1:])
