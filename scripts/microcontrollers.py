"""Build edges for emulated Cortex-M processors, run test vectors there, count instructions.

    python -m scripts.microcontrollers                  # the edges of docs/deploying.md
    python -m scripts.microcontrollers digits-vgg 3,5   # others
    python -m scripts.documents                         # then renews the table

Records flash, RAM and stack in bytes and instructions per multiply-accumulate, which the table and
every bundle's REPORT.md show. QEMU counts instructions, not cycles. A number that differs from the
specification is an error, and nothing is recorded. Needs gcc-arm-none-eabi,
libnewlib-arm-none-eabi and qemu-system-arm.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hybrid.deploy
from hybrid import zoo
from hybrid.deploy.bundles.measured import FILE, Measured, engine_of, measured, save
from hybrid.deploy.bundles.sources import macs
from hybrid.deploy.c_code import c_files, test_files
from hybrid.deploy.files import load_form
from hybrid.deploy.form import PIXELS, Form

__all__ = ["PROCESSORS", "TOOLS", "Ran", "measure"]

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


EDGES: Mapping[str, tuple[int, ...]] = {"digits-vgg": (1, 2, 4, 8), "cifar10-resnet32": (1, 2, 4)}


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run gave.

    Args:
        wrong: differences from the test vectors.
        code_bytes, table_bytes: of flash; the engine, and weights with all tables.
        ram_bytes: of the arena and the engine's state.
        instructions: of one image, to the last exit.
        macs: multiply-accumulates of all convolutions and heads.
    """

    wrong: int
    code_bytes: int
    table_bytes: int
    ram_bytes: int
    stack_bytes: int
    instructions: int
    macs: int


def main(network: str = "", bits: str = "") -> None:
    """Run edges, and add what they took to the recorded file."""
    edges = {network: tuple(map(int, bits.split(",")))} if network else EDGES
    place = Path(hybrid.deploy.__path__[0]) / FILE
    for name, widths in edges.items():
        for width in widths:
            form = load_form(zoo.weights_path(name, zoo.variant_name(width, deployed=True)))
            found = [_recorded(form, processor) for processor in PROCESSORS]
            others = [one for one in measured() if (one.network, one.bits) != (name, width)]
            save([*others, *found], place)


def _recorded(form: Form, processor: str) -> Measured:
    found = measure(form, processor)
    if found.wrong:
        raise SystemExit(f"{form.network} at {form.bits} bits on {processor}: wrong numbers.")
    row = Measured(
        network=form.network,
        bits=form.bits,
        processor=processor,
        code_bytes=found.code_bytes,
        table_bytes=found.table_bytes,
        ram_bytes=found.ram_bytes,
        stack_bytes=found.stack_bytes,
        instructions_per_mac=round(found.instructions / found.macs, 2),
        engine=engine_of(c_files(form)),
    )
    print(row, flush=True)
    return row


def measure(form: Form, processor: str, *, images: int = 2) -> Ran:
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
    return Ran(
        wrong=words["wrong"],
        code_bytes=sum(sizes[name].text for name in SOURCES[:-2]),
        table_bytes=sizes["hybrid_net.c"].text,
        ram_bytes=sizes["start.c"].bss,
        stack_bytes=words["stack"],
        instructions=instructions,
        macs=sum(map(macs, form.steps)),
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
