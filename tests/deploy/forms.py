"""Random small deployment forms, and images for them."""

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hybrid.deploy.form import PIXELS, SENT, Codes, Conv, Form, Head, Output, weight_rule

__all__ = ["extreme", "forms", "one_form", "pixels"]


@st.composite
def forms(draw: st.DrawFn, *, bits: int | None = None) -> Form:
    """A stem, two or three k-bit convolutions, a shortcut of many bits, an exit."""
    bits = bits or draw(st.integers(1, 8))
    maker = _Maker(draw, bits)
    side, channels = draw(st.integers(5, 11)), draw(st.sampled_from([1, 3]))
    maker.shapes[PIXELS] = (channels, side, draw(st.integers(5, 11)))
    width = draw(st.integers(1, 37))
    maker.conv(PIXELS, width, weight_bits=16, kernel=draw(st.sampled_from([2, 3])), border=True,
               outputs={"a": None, "a.codes": maker.narrow(width)})  # fmt: skip
    maker.conv("a.codes", width, weight_bits=bits, kernel=3, padding=1, plus="a",
               outputs={"b.wide": Codes(low=-2**20, high=2**20, scale=999.0),
                        "b.codes": maker.narrow(width)})  # fmt: skip
    out, stride = draw(st.integers(1, 20)), draw(st.sampled_from([1, 2]))
    maker.conv("b.wide", out, weight_bits=20, kernel=1, stride=stride, outputs={"by": None})
    maker.conv("b.codes", out, weight_bits=bits, kernel=3, padding=1, stride=stride, plus="by",
               outputs={"c.exit": Codes(low=-2**14, high=2**14, scale=37.0),
                        "c.codes": maker.narrow(out)})  # fmt: skip
    maker.head("c.exit")
    _, height, wide = maker.shapes["c.codes"]
    pool = draw(st.integers(1, min(2, height, wide)))
    sent = Codes(low=0, high=2 ** max(2, bits) - 1, scale=3.0)
    maker.conv("c.codes", draw(st.integers(1, 9)), weight_bits=bits, kernel=3, padding=1,
               pool=pool, outputs={SENT: sent})  # fmt: skip
    return Form(
        network="random", variant=f"hybrid-{bits}bit", source_sha256="", bits=bits,
        classes=maker.classes, steps=tuple(maker.steps), shapes=maker.shapes, step=0.5,
        temperatures=(1.5, 1.0),
    )  # fmt: skip


def one_form(bits: int) -> Form:
    """The same form of a bit width at every call."""
    found: list[Form] = []

    @settings(max_examples=1, derandomize=True, database=None, phases=[Phase.generate])
    @given(forms(bits=bits))
    def draw(form: Form) -> None:
        found.append(form)

    draw()
    return found[0]


def extreme(bits: int, *, channels: int) -> Form:
    """Convolutions whose codes and weights are all as large as they can be."""
    largest = 2**bits - 1
    codes = Codes(low=0, high=largest, scale=1.0)
    if bits == 1:
        codes = Codes(low=-1, high=1, thresholds=np.zeros(channels, np.float32))
    spread, lowest = weight_rule(bits)
    shared = [(PIXELS, "a", 1, 0), ("a", "b", channels, 0), ("b", SENT, channels, largest)]
    sent = Codes(low=0, high=255, scale=2.0**-16)
    convolutions = [
        Conv(
            name=out, stage=0, source=source,
            weights=np.full((channels, inputs, 3, 3), last * spread + lowest, np.int32),
            bits=16 if source == PIXELS else bits, stride=1, padding=1,
            fill=np.full(inputs, 1 if bits == 1 and source != PIXELS else 0, np.int32), pool=1,
            multiply=np.full(channels, -1.0 if last == 0 else 1.0, np.float32),
            add=np.zeros((channels, 1, 1), np.float32),
            rows=np.zeros(6, np.uint8), columns=np.zeros(6, np.uint8), plus="", relu=bits > 1,
            prelu=np.zeros((0, 0), np.float32),
            outputs=(Output(register=out, codes=sent if out == SENT else codes),),
        )
        for source, out, inputs, last in shared
    ]  # fmt: skip
    return Form(
        network="extreme", variant=f"hybrid-{bits}bit", source_sha256="", bits=bits, classes=2,
        steps=tuple(convolutions), temperatures=(1.0,), step=1.0,
        shapes={PIXELS: (1, 6, 6)} | {out: (channels, 6, 6) for _, out, _, _ in shared},
    )  # fmt: skip


def pixels(form: Form, images: int, seed: int = 0) -> np.ndarray:
    """Random images of a form's shape."""
    channels, height, width = form.shapes[PIXELS]
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (images, height, width, channels), dtype=np.uint8)


class _Maker:
    def __init__(self, draw: st.DrawFn, bits: int) -> None:
        self.draw, self.bits = draw, bits
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.classes = draw(st.integers(1, 12))
        self.steps: list[Conv | Head] = []
        self.shapes: dict[str, tuple[int, int, int]] = {}
        self.codes = {PIXELS: Codes(low=0, high=255)}

    def narrow(self, channels: int) -> Codes:
        if self.bits == 1:
            return Codes(low=-1, high=1, thresholds=self.floats(channels))
        return Codes(low=0, high=2**self.bits - 1, scale=float(np.float32(2**self.bits / 3)))

    def floats(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def conv(
        self,
        source: str,
        out: int,
        *,
        weight_bits: int,
        kernel: int,
        outputs: dict[str, Codes | None],
        stride: int = 1,
        padding: int = 0,
        pool: int = 1,
        plus: str = "",
        border: bool = False,
    ) -> None:
        inputs, high, wide = self.shapes[source]
        shape = (out, inputs, kernel, kernel)
        if weight_bits <= 8:
            spread, lowest = weight_rule(weight_bits)
            weights = self.rng.integers(0, 2**weight_bits, shape) * spread + lowest
        else:
            weights = self.rng.integers(
                -(2 ** (weight_bits - 1)) + 1, 2 ** (weight_bits - 1), shape
            )
        high, wide = (((s + 2 * padding - kernel) // stride + 1) // pool for s in (high, wide))
        fill = np.zeros(inputs, np.int32)
        if self.codes[source].thresholds.size:
            fill = (2 * self.rng.integers(0, 2, inputs) - 1).astype(np.int32)
        kinds = 3 if border else 1
        size = inputs * kernel**2 * 2.0 ** (weight_bits - 1) * self.codes[source].largest
        self.steps.append(
            Conv(
                name=f"conv{len(self.steps)}", stage=0, source=source,
                weights=weights.astype(np.int32), bits=weight_bits, stride=stride,
                padding=padding, fill=fill, pool=pool,
                multiply=(self.floats(out) * 8 / np.sqrt(inputs) / size ).astype(np.float32),
                add=self.floats(out, kinds, kinds),
                rows=self.rng.integers(0, kinds, high).astype(np.uint8),
                columns=self.rng.integers(0, kinds, wide).astype(np.uint8),
                plus=plus, relu=self.bits > 1,
                prelu=self.floats(3, out) if self.bits == 1 else np.zeros((0, 0), np.float32),
                outputs=tuple(Output(register=n, codes=c) for n, c in outputs.items()),
            )
        )  # fmt: skip
        self.shapes |= dict.fromkeys(outputs, (out, high, wide))
        self.codes |= {name: codes for name, codes in outputs.items() if codes}

    def head(self, source: str) -> None:
        channels, high, wide = self.shapes[source]
        pool = self.draw(st.integers(1, min(3, high, wide)))
        inputs = channels * (high // pool) * (wide // pool)
        self.steps.append(
            Head(
                name="exit",
                stage=0,
                source=source,
                pool=pool,
                weights=self.rng.integers(-32767, 32768, (self.classes, inputs)).astype(np.int32),
                bias=self.rng.integers(-(2**30), 2**30, self.classes),
                scale=1e-9,
            )
        )
