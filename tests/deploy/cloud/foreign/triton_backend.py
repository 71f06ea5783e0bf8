"""ONNX Runtime as a Python-based backend of Triton, whose wheel has no other.

Triton takes this file as `backends/onnxruntime/model.py`, so a repository is read as it is.
"""

import json
import sys
from pathlib import Path
from typing import Any

for place in json.loads((Path(__file__).parent / "paths.json").read_text()):
    sys.path.insert(0, place)

import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402


class TritonPythonModel:
    """Triton's name for a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the graph of the model's version."""
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        (given,), (wanted,) = request.inputs(), self._session.get_outputs()
        (found,) = self._session.run([wanted.name], {given.name(): given.as_numpy()})
        return triton.InferenceResponse([triton.Tensor(wanted.name, found)])
