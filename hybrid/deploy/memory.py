"""Where each register of a form stands in one arena. Plain numbers; needs neither numpy nor torch.

Registers whose lives overlap never share a byte, except that a convolution may write where the
register it adds stood, position by position.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid.deploy.form import PIXELS, SENT, Conv, Form, Head

__all__ = ["LANES", "Place", "Working", "plan"]

LANES = 16  # output channels of the widest vector
_ALIGNED = 64


@dataclass(frozen=True, kw_only=True)
class Place:
    """A register in the arena.

    Args:
        kind: "floats", "wide" (int32), "codes" (uint8) or "signs" (bits).
        border: pixels around codes that are stored with them.
        stored: of a pixel; values, of codes the channels rounded up to fours; of signs, bytes.
        every: only each `every`-th row and column of it are there, where no others are read.
        offset, size: in bytes.
    """

    kind: str
    border: int
    every: int
    stored: int
    offset: int
    size: int


@dataclass(kw_only=True)
class Working:
    """Bytes that the C kernels need beside the registers; each convolution and exit adds to them.

    Args:
        weight_bytes: of unpacked weights, whichever the kernel.
        sums: of a row of output, before its epilogue.
        plain, x86: of rows and weights in a kernel's own order.
        window: values under the largest kernel.
    """

    weight_bytes: int = 0
    sums: int = 0
    plain: int = 0
    x86: int = 0
    window: int = 1

    def convolution(self, conv: Conv, place: Place, wide: int) -> None:
        """A convolution that reads a register whose rows are `wide` pixels, border included."""
        channels, inputs, kernel, _ = conv.weights.shape
        window, vectors = kernel**2 * place.stored, -(-channels // LANES) * LANES
        if conv.bits > 8:
            self.x86 = max(self.x86, _aligned(8 * kernel * wide * place.stored))
            each = max(8 * inputs, 4 * place.stored)  # as double, or four digits of stored ones
            self.weight_bytes += _aligned(kernel**2 * each * vectors)
            return
        self.window = max(self.window, window)
        places = conv.pool**2 * len(conv.columns)
        self.sums = max(self.sums, _aligned(4 * places * -(-channels // 4) * 4))
        if place.kind == "signs":
            rows = conv.pool * kernel * wide * place.stored + 4  # windows are read in whole words
            self.plain, self.x86 = max(self.plain, _aligned(rows)), max(self.x86, _aligned(rows))
            self.weight_bytes += _aligned(-(-window // 4) * 4 * vectors)
        else:
            own = 2 * kernel * wide * place.stored + 2 * 4 * window  # of four channels, if packed
            self.plain = max(self.plain, _aligned(own))
            self.weight_bytes += _aligned(2 * window * vectors)

    def head(self, inputs: int) -> None:
        """An exit of so many inputs."""
        self.x86 = max(self.x86, _aligned(8 * (inputs + LANES)))


def plan(form: Form) -> tuple[dict[str, Place], int]:
    """The places of all registers, and the bytes of the arena."""
    lives = _lives(form)
    kinds = _kinds(form)
    every = _every(form, kinds)
    sizes = {name: _size(form, name, *kinds[name], every.get(name, 1)) for name in lives}
    offsets: dict[str, int] = {}
    twins = _in_place(form, lives, kinds)
    for name in sorted(lives, key=lambda one: (lives[one][0], -sizes[one])):
        if name in twins:
            offsets[name] = offsets[twins[name]]
            continue
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if _overlap(lives[name], lives[other])
        )
        place = 0
        for start, end in taken:
            if place + sizes[name] <= start:
                break
            place = max(place, end)
        offsets[name] = place
    places = {
        name: Place(
            kind=kinds[name][0],
            border=kinds[name][1],
            every=every.get(name, 1),
            stored=_stored(form, name, kinds[name][0]),
            offset=offsets[name],
            size=sizes[name],
        )
        for name in lives
    }
    return places, max(one.offset + one.size for one in places.values())


def _lives(form: Form) -> dict[str, tuple[int, int]]:
    """First and last step of every register; the codes that are sent live to the end."""
    born, last = {PIXELS: -1}, {PIXELS: -1, SENT: len(form.steps)}
    for number, step in enumerate(form.steps):
        last[step.source] = number
        if isinstance(step, Conv):
            if step.plus:
                last[step.plus] = number
            born |= {one.register: number for one in step.outputs}
    return {name: (number, max(number, last.get(name, number))) for name, number in born.items()}


def _kinds(form: Form) -> dict[str, tuple[str, int]]:
    """How each register is stored, and its border."""
    kinds = {SENT: ("codes", 0)}
    codes = form.codes
    for step in form.steps:
        if isinstance(step, Head) or (step.source != PIXELS and step.bits > 8):
            kinds[step.source] = ("wide", 0)
        else:
            signs = codes[step.source].thresholds.size > 0
            kinds[step.source] = ("signs" if signs else "codes", step.padding)
    for conv in form.convolutions:
        for one in conv.outputs:
            kinds.setdefault(one.register, ("floats" if one.codes is None else "codes", 0))
    return kinds


def _every(form: Form, kinds: Mapping[str, tuple[str, int]]) -> dict[str, int]:
    """The stride of 1x1 shortcuts, by the register they read."""
    return {
        conv.source: conv.stride
        for conv in form.convolutions
        if kinds[conv.source][0] == "wide" and conv.weights.shape[-1] == 1 and not conv.padding
    }


def _stored(form: Form, name: str, kind: str) -> int:
    channels = form.shapes[name][0]
    if kind == "signs":
        return -(-channels // 8)
    return -(-channels // 4) * 4 if kind == "codes" else channels


def _size(form: Form, name: str, kind: str, border: int, every: int) -> int:
    height, width = (-(-side // every) for side in form.shapes[name][1:])
    each = 1 if kind in {"codes", "signs"} else 4
    values = (height + 2 * border) * (width + 2 * border) * _stored(form, name, kind)
    return _aligned(values * each)


def _in_place(
    form: Form, lives: Mapping[str, tuple[int, int]], kinds: Mapping[str, tuple[str, int]]
) -> dict[str, str]:
    """Registers that are written where the register that is added stood."""
    twins = {}
    for number, conv in enumerate(form.steps):
        if not isinstance(conv, Conv) or not conv.plus or lives[conv.plus][1] != number:
            continue
        fitting = [o.register for o in conv.outputs if kinds[o.register][0] in {"floats", "wide"}]
        if fitting:
            twins[fitting[0]] = conv.plus
    return twins


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
