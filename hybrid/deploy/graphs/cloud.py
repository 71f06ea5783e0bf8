"""The cloud segment as an ONNX graph: packed bytes in, logits out. Knows the blocks of the models.

Any server that takes ONNX can run it: the bytes of the wire are unpacked by the graph itself.
The cloud computes in float32 and in its runtime's order, so its logits agree to rounding only.
"""

import numpy as np
from torch import Tensor, nn

from hybrid.deploy.graphs.nodes import Graph
from hybrid.errors import FormError
from hybrid.models import Network
from hybrid.models.blocks import Classifier, ConvGroup, ResidualBlock, WideConv
from hybrid.quant.layers import ActivationQuantizer, QuantConv2d
from hybrid.quant.levels import FULL_PRECISION
from hybrid.quant.packing import packed_bytes

__all__ = ["cloud_graph"]


def cloud_graph(network: Network, *, title: str) -> bytes:
    """The ONNX file of a network's cloud segment: `packed` (n, bytes) to `logits` (n, classes).

    Raises:
        FormError: a block without a graph.
    """
    graph, bits, shape = Graph(), network.uplink.bits, network.feature_shape
    codes = graph.unpacked("packed", bits=bits, shape=shape)
    x = graph.add("Mul", codes, _constant(graph, network.uplink.step))
    for stage in network.stages[network.cut + 1 :]:
        x = _stage(graph, x, stage)
    _classifier(graph, x, network.classifier)
    return graph.model(
        title,
        inputs=[("packed", np.uint8, (packed_bytes(shape, bits=bits),))],
        outputs=[("logits", np.float32, (network.spec.classes,))],
        about={},
    )


def _stage(graph: Graph, x: str, stage: nn.Module) -> str:
    if isinstance(stage, ResidualBlock):
        return _residual(graph, x, stage)
    if isinstance(stage, ConvGroup):
        x = _activated(graph, _normed(graph, _conv(graph, x, stage.conv1), stage.norm1), stage.act1)
        x = _pooled(graph, _conv(graph, x, stage.conv2))
        return _activated(graph, _normed(graph, x, stage.norm2), stage.act2)
    if isinstance(stage, WideConv):
        inner = _conv(graph, x, stage.conv)
        inner = _normed(graph, _pooled(graph, inner) if stage.pools else inner, stage.norm)
        return _activated(graph, graph.add("Add", inner, x) if stage.adds else inner, stage.act)
    raise _without_graph(stage)


def _residual(graph: Graph, x: str, stage: ResidualBlock) -> str:
    shortcut = x
    if isinstance(stage.shortcut, nn.Sequential):
        shortcut = _normed(graph, _conv(graph, x, stage.shortcut[0]), stage.shortcut[1])
    inner = _activated(graph, _normed(graph, _conv(graph, x, stage.conv1), stage.norm1), stage.act1)
    outer = _normed(graph, _conv(graph, inner, stage.conv2), stage.norm2)
    return _activated(graph, graph.add("Add", outer, shortcut), stage.act2)


def _conv(graph: Graph, x: str, conv: nn.Module) -> str:
    assert isinstance(conv, QuantConv2d)
    if conv.weight_bits == 1 or conv.groups != 1 or conv.bias is not None:
        raise _without_graph(conv)
    return graph.add(
        "Conv",
        _quantized(graph, x, conv.activation),
        _constant(graph, conv.quantized_weight()),
        kernel_shape=list(conv.kernel_size),
        pads=[*conv.border, *conv.border],
        strides=list(conv.stride),
    )


def _quantized(graph: Graph, x: str, activation: ActivationQuantizer) -> str:
    """As `hybrid.quant.quantizers.quantize`."""
    if activation.bits == FULL_PRECISION:
        return x
    step, levels = _constant(graph, activation.step), activation.levels
    low, high = (graph.constant(one, np.float32) for one in (levels.low, levels.high))
    codes = graph.add("Clip", graph.add("Round", graph.add("Div", x, step)), low, high)
    return graph.add("Mul", codes, step)


def _normed(graph: Graph, x: str, norm: nn.Module) -> str:
    assert isinstance(norm, nn.BatchNorm2d)
    values = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    constants = [_constant(graph, one) for one in values if one is not None]
    return graph.add("BatchNormalization", x, *constants, epsilon=norm.eps)


def _activated(graph: Graph, x: str, act: nn.Module) -> str:
    if not isinstance(act, nn.ReLU):
        raise _without_graph(act)
    return graph.add("Relu", x)


def _pooled(graph: Graph, x: str) -> str:
    return graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


def _classifier(graph: Graph, x: str, classifier: nn.Module) -> None:
    if not isinstance(classifier, Classifier):
        raise _without_graph(classifier)
    largest = classifier.pooling == "max"
    pooled = graph.add("GlobalMaxPool" if largest else "GlobalAveragePool", x)
    rows = graph.add("Flatten", pooled, axis=1)
    weight, bias = classifier.linear.weight, classifier.linear.bias
    graph.add(
        "Gemm", rows, _constant(graph, weight), _constant(graph, bias), transB=1, name="logits"
    )


def _constant(graph: Graph, tensor: Tensor) -> str:
    return graph.constant(tensor.detach().cpu().numpy(), np.float32)


def _without_graph(module: nn.Module) -> FormError:
    return FormError(f"{type(module).__name__} in the cloud segment has no ONNX graph here yet.")
