"""KServe's Python server with all models of a repository: `python kserve_server.py FOLDER PORT`.

Runs in an environment that has kserve and onnxruntime.
"""

import sys
from pathlib import Path
from typing import Any

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelRepository, ModelServer


class Graph(Model):
    """A graph of a repository, asked with the tensors that came."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload: Any, *_: Any, **__: Any) -> InferResponse:
        (given,), (wanted,) = payload.inputs, self._session.get_outputs()
        (found,) = self._session.run([wanted.name], {given.name: given.as_numpy()})
        output = InferOutput(name=wanted.name, shape=list(found.shape), datatype="FP32")
        output.set_data_from_numpy(found, binary_data=True)
        return InferResponse(
            payload.id, self.name, [output], requested_outputs=payload.request_outputs
        )


class Repository(ModelRepository):
    """The folders of a repository, each with a version 1."""

    def load_model(self, name: str) -> bool:
        self.update(Graph(name, str(Path(self.models_dir) / name / "1" / "model.onnx")))
        return True


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    models = Repository(folder)
    models.load_models()
    ModelServer(http_port=int(port), registered_models=models, enable_grpc=False).start(
        list(models.get_models().values())
    )
