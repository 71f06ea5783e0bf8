"""Milliseconds per image of an edge with all its exits on this processor, beside named engines.

    python -m benchmarks.device [network] [bits,bits] [rounds]

One thread, one image at a time. The form is the one that `hybrid freeze` made. For each bit width
the alternatives compute the same edge, cut and exits:

    torch_float32   the float network, eager
    ort_float32     the float network exported to ONNX, ONNX Runtime
    ort_int8        the same, statically quantized, 8 bits, per channel (QDQ)
    openvino_int8   that graph in OpenVINO, if it is installed (pip install openvino)
    plain …         our C, each kernel that this processor has; plain is C99 without intrinsics

Every round asks each engine ten times in turn, so that other load on the machine affects all. The
row has the median of the rounds' fastest times, and how often the kernel fits into each
alternative's time. Beside other bit widths, the fastest kernel on the 4-bit edge runs too.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.rows import format_row, machine
from hybrid import zoo
from hybrid.deploy.files import load_form
from hybrid.deploy.form import PIXELS, Form
from hybrid.deploy.library import Library
from hybrid.models import Network, build
from hybrid.quant.levels import FULL_PRECISION

ASKED = 10  # times in a row


def main(network: str = "cifar10-resnet32", bits: str = "4,2,1", rounds: str = "30") -> None:
    """Print one row for each bit width."""
    torch.set_num_threads(1)
    for width in map(int, bits.split(",")):
        form = shipped_form(network, width)
        four = None if width == 4 else shipped_form(network, 4)
        trained = zoo.load_variant(network, zoo.variant(network, width))
        with tempfile.TemporaryDirectory() as folder:
            asked = engines(form, trained, Path(folder))
            if four is not None:
                asked = {"four_bit": one_image(Library(four), random_image(four))} | asked
            times = fastest_ms(asked, rounds=int(rounds))
        print(format_row(row(network, form, times)))


def shipped_form(network: str, bits: int) -> Form:
    """The deployment form that `hybrid freeze` has made."""
    return load_form(zoo.weights_path(network, zoo.variant_name(bits, deployed=True)))


def row(network: str, form: Form, times: dict[str, float]) -> dict[str, object]:
    """Machine, milliseconds of every engine, and the ratios of our kernels to the others."""
    others = [name for name in times if name.startswith(("torch", "ort", "openvino", "four"))]
    ours = [name for name in times if name not in others]
    made: dict[str, object] = {"benchmark": "device", **machine("torch", "onnxruntime")}
    made |= {"network": network, "bits": form.bits, "mmacs": megamacs(form)}
    made |= {f"{name}_ms": value for name, value in times.items()}
    for name in (ours[0], ours[-1]):
        made |= {f"{name}_{other}_ratio": times[other] / times[name] for other in others}
    return made


def megamacs(form: Form) -> float:
    """10^6 multiply-accumulates of all convolutions."""
    each = [c.weights.size * c.rows.size * c.columns.size * c.pool**2 for c in form.convolutions]
    return sum(each) / 1e6


def engines(form: Form, trained: Network, folder: Path) -> dict[str, Callable[[], object]]:
    """How each engine computes one image, by name; our kernels last, the fastest at the end."""
    channels, height, width = form.shapes[PIXELS]
    twin = floats_of(trained)
    given = torch.randn(64, channels, height, width)
    made: dict[str, Callable[[], object]] = {"torch_float32": eager(twin, given[:1])}
    made |= onnx_sessions(twin, given, folder)
    for name in Library(form).kernels:
        library = Library(form)
        library.use(name)
        made[name] = one_image(library, random_image(form))
    return made


def random_image(form: Form) -> NDArray[np.uint8]:
    """Pixels of a form's shape."""
    channels, height, width = form.shapes[PIXELS]
    return np.random.default_rng(0).integers(0, 256, (1, height, width, channels), dtype=np.uint8)


def one_image(library: Library, pixels: NDArray[np.uint8]) -> Callable[[], object]:
    """Our C, called from Python."""
    return lambda: library.run_packed(pixels)


class Edge(nn.Module):
    """An edge whose outputs are a plain tuple: features and the exits' logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features first."""
        edge = self.network.edge(x)
        return (edge.features, *edge.logits)


def floats_of(trained: Network) -> Edge:
    """The same edge at full precision, with random weights."""
    return Edge(build(replace(trained.spec, bits=FULL_PRECISION))).eval()


def eager(edge: Edge, image: Tensor) -> Callable[[], object]:
    """The float network, as torch computes it."""

    def run() -> object:
        with torch.inference_mode():
            return edge(image)

    return run


def onnx_sessions(edge: Edge, given: Tensor, folder: Path) -> dict[str, Callable[[], object]]:
    """ONNX Runtime on the float network and on its 8-bit form, which OpenVINO runs too."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self.left = iter(torch.split(given, 1))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self.left, None)
            return None if image is None else {"x": image.numpy()}

    path, ready, small = (folder / f"{name}.onnx" for name in ("float32", "ready", "int8"))
    with warnings.catch_warnings(action="ignore"):  # of the exporter's age
        torch.onnx.export(edge, (given[:1],), path, input_names=["x"], dynamo=False)
    quant_pre_process(path, ready, skip_symbolic_shape=True)
    quantize_static(ready, small, Images(), per_channel=True, activation_type=QuantType.QUInt8)
    image = {"x": given[:1].numpy()}
    made = {"ort_float32": session(path, image), "ort_int8": session(small, image)}
    return made | openvino(small, image)


def openvino(path: Path, image: dict[str, NDArray[np.float32]]) -> dict[str, Callable[[], object]]:
    """A graph in OpenVINO on one thread; nothing where it is not installed."""
    try:
        from openvino import Core  # not in any extra: only this row needs it
    except ModuleNotFoundError:
        return {}
    options = {"INFERENCE_NUM_THREADS": "1", "PERFORMANCE_HINT": "LATENCY"}
    request = Core().compile_model(str(path), "CPU", options).create_infer_request()
    return {"openvino_int8": lambda: request.infer(image, share_inputs=True)}


def session(path: Path, image: dict[str, NDArray[np.float32]]) -> Callable[[], object]:
    """A graph on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: opened.run(None, image)


def fastest_ms(runs: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median over rounds of the fastest of ten calls in a row, after a round not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            times[name].append(min(seconds(run) for _ in range(ASKED)))
    return {name: 1e3 * median(own[1:]) for name, own in times.items()}


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
