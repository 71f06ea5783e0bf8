"""ONNX graphs, node by node: constants, packing and unpacking of k bits. Knows no network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hybrid.quant.packing import packed_bytes

__all__ = ["OPSET", "Graph", "Port"]

OPSET = 18  # the first with BitwiseAnd
_IR = 8  # the file format of that time, so that older runtimes read it too
_BATCH = "n"

Port = tuple[str, type[np.generic], tuple[int, ...]]  # name, kind of number, shape of one sample


class Graph:
    """Nodes and constants under construction; equal calls give equal bytes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[bytes, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append a node with one output, and name that."""
        made = name or f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [made], **attributes))
        return made

    def constant(self, values: Any, kind: type[np.generic]) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(values, dtype=kind)
        key = str((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array, name)
        return self._constants[key].name

    def ints(self, *values: int) -> str:
        """Whole numbers as sizes, axes and the like take them."""
        return self.constant(np.array(values), np.int64)

    def cast(self, x: str, kind: type[np.generic], *, name: str = "") -> str:
        """Numbers as another kind."""
        return self.add("Cast", x, name=name, to=_type(kind))

    def weights(self, whole: NDArray[Any], kind: type[np.generic]) -> str:
        """Whole numbers stored as narrow as they fit, and read as `kind`."""
        narrow = np.min_scalar_type(min(int(whole.min(initial=0)), -1 - int(whole.max(initial=0))))
        return self.cast(self.constant(whole, narrow.type), kind)

    def unpacked(self, packed: str, *, bits: int, shape: tuple[int, ...]) -> str:
        """Bytes (n, bytes) to codes (n, *shape) in float32: `hybrid.quant.packing.unpack`."""
        values, stored = int(np.prod(shape)), packed_bytes(shape, bits=bits)
        flags = self._flags(packed, 8)  # (n, bytes, 8)
        flags = self.add("Reshape", flags, self.ints(0, 8 * stored))
        flags = self.add("Slice", flags, self.ints(0), self.ints(values * bits), self.ints(1))
        flags = self.add("Reshape", flags, self.ints(0, values, bits))
        codes = self.add("MatMul", self.cast(flags, np.float32), self._powers(bits))
        return self.add("Reshape", codes, self.ints(0, *shape))

    def packed(self, codes: str, *, bits: int, shape: tuple[int, ...], name: str) -> str:
        """Codes (n, *shape) in float32 to bytes (n, bytes): `hybrid.quant.packing.pack`."""
        values, stored = int(np.prod(shape)), packed_bytes(shape, bits=bits)
        flat = self.add("Reshape", self.cast(codes, np.uint8), self.ints(0, values))
        if bits == 8:
            return self.add("Identity", flat, name=name)
        flags = self.add("Reshape", self._flags(flat, bits), self.ints(0, values * bits))
        if spare := 8 * stored - values * bits:
            flags = self.add("Pad", flags, self.ints(0, 0, 0, spare))
        flags = self.add("Reshape", flags, self.ints(0, stored, 8))
        octets = self.add("MatMul", self.cast(flags, np.float32), self._powers(8))
        return self.cast(self.add("Reshape", octets, self.ints(0, stored)), np.uint8, name=name)

    def model(
        self,
        title: str,
        *,
        inputs: Sequence[Port],
        outputs: Sequence[Port],
        about: Mapping[str, str],
    ) -> bytes:
        """The file of the graph, checked."""
        made = helper.make_graph(
            self._nodes,
            title,
            [_port(one) for one in inputs],
            [_port(one) for one in outputs],
            list(self._constants.values()),
        )
        model = helper.make_model(
            made,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR,
            producer_name="hybrid",
        )
        helper.set_model_props(model, dict(about))
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString(deterministic=True)
        return data

    def _flags(self, octets: str, bits: int) -> str:
        """(n, m) to (n, m, bits): the lowest bits of each byte, lowest first."""
        apart = self.add("Unsqueeze", octets, self.ints(2))
        places = self.constant(np.arange(bits), np.uint8)
        moved = self.add("BitShift", apart, places, direction="RIGHT")
        return self.add("BitwiseAnd", moved, self.constant(1, np.uint8))

    def _powers(self, bits: int) -> str:
        return self.constant(2.0 ** np.arange(bits)[:, None], np.float32)


def _type(kind: type[np.generic]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def _port(port: Port) -> onnx.ValueInfoProto:
    name, kind, shape = port
    assert _type(kind) != TensorProto.UNDEFINED
    return helper.make_tensor_value_info(name, _type(kind), [_BATCH, *shape])
