"""The graphs of a bundle in ONNX Runtime. Needs neither torch nor the form that they are of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hybrid.deploy.form import PIXELS

__all__ = ["PACKED", "CloudSession", "EdgeSessions", "ExitAnswers", "float_answers"]

PACKED = "packed"
_QUIET = 3  # errors only


@dataclass(frozen=True, kw_only=True, eq=False)
class ExitAnswers:
    """What an exit's graph gives for n images.

    | field       | shape        |                              |
    |-------------|--------------|------------------------------|
    | logits      | (n, classes) | int64                        |
    | classes     | (n,)         | int64                        |
    | confidences | (n,)         | int64, in units of 2^-24     |
    """

    logits: NDArray[np.int64]
    classes: NDArray[np.int64]
    confidences: NDArray[np.int64]


class EdgeSessions:
    """The edge's graphs, one session each.

    Args:
        graphs: their files, in order.
        optimized: False to run the graphs as they are written.
    """

    def __init__(self, graphs: Sequence[bytes], *, optimized: bool = True) -> None:
        self._sessions = [_session(graph, optimized=optimized) for graph in graphs]

    def run(self, pixels: NDArray[np.uint8]) -> tuple[tuple[ExitAnswers, ...], NDArray[np.uint8]]:
        """Every exit's answers, and the bytes for the cloud (n, bytes); no image leaves.

        Args:
            pixels: (n, height, width, channels).
        """
        registers: dict[str, Any] = {PIXELS: pixels}
        answers = []
        for session in self._sessions:
            given = {one.name: registers[one.name] for one in session.get_inputs()}
            names = [one.name for one in session.get_outputs()]
            registers |= zip(names, session.run(names, given), strict=True)
            if "logits" in names:
                answers.append(
                    ExitAnswers(
                        logits=registers["logits"],
                        classes=registers["class"],
                        confidences=registers["confidence"],
                    )
                )
        return tuple(answers), registers[PACKED]


class CloudSession:
    """The cloud's graph."""

    def __init__(self, graph: bytes) -> None:
        self._session = _session(graph, optimized=True)

    def run(self, packed: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Bytes (n, bytes) to logits (n, classes)."""
        (logits,) = self._session.run(["logits"], {PACKED: packed})
        found: NDArray[np.float32] = logits
        return found


def float_answers(
    graphs: Sequence[bytes], pixels: NDArray[np.uint8]
) -> tuple[list[NDArray[np.float32]], NDArray[np.uint8]]:
    """Logits of every exit and the bytes for the cloud, of a model without exact form."""
    registers: dict[str, Any] = {PIXELS: pixels}
    logits = []
    for graph in graphs:
        session = _session(graph, optimized=True)
        given = {one.name: registers[one.name] for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        registers |= zip(names, session.run(names, given), strict=True)
        if "logits" in names:
            logits.append(registers["logits"])
    return logits, registers[PACKED]


def _session(graph: bytes, *, optimized: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    levels = onnxruntime.GraphOptimizationLevel
    level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
