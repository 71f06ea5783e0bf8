"""The cloud segment as a model repository that Triton's and KServe's servers take. Bytes out."""

__all__ = ["model_name", "repository"]

_SHORT = 12  # hexadecimal digits of the weights' hash that tell versions apart
_CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: 64
input [ {{ name: "packed" data_type: TYPE_UINT8 dims: [ {packed_bytes} ] }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ {classes} ] }} ]
dynamic_batching {{ max_queue_delay_microseconds: 1000 }}
"""


def model_name(network: str, bits: int, sha256: str) -> str:
    """The name that a server knows a cloud by. Triton's versions are numbers, so it has the hash.

    >>> model_name("digits-vgg", 4, "0123456789abcdef")
    'digits-vgg-4bit-0123456789ab'
    """
    return f"{network}-{bits}bit-{sha256[:_SHORT]}"


def repository(name: str, graph: bytes, *, packed_bytes: int, classes: int) -> dict[str, bytes]:
    """The files of a model repository with one model, by path."""
    config = _CONFIG.format(name=name, packed_bytes=packed_bytes, classes=classes)
    return {f"{name}/config.pbtxt": config.encode(), f"{name}/1/model.onnx": graph}
