"""An exit's confidence as ONNX nodes, in the whole numbers of `hybrid.deploy.exits`."""

import numpy as np
from numpy.typing import NDArray

from hybrid.deploy.exits import LOG2, ONE, POWERS
from hybrid.deploy.graphs.nodes import Graph

__all__ = ["add_confidence"]


def add_confidence(graph: Graph, logits: str, classes: int, multiply: int, measure: str) -> None:
    """Append what gives `confidence`, in 2^-24, from whole logits (n, classes).

    Args:
        multiply: see `hybrid.deploy.exits.multiplier`.
    """
    _Confidence(graph, classes).add(logits, multiply, measure)


class _Confidence:
    """`hybrid.deploy.exits.confidences` in nodes: whole numbers of 64 bits, none negative."""

    def __init__(self, graph: Graph, classes: int) -> None:
        self.graph, self.classes = graph, classes

    def add(self, logits: str, multiply: int, measure: str) -> None:
        """Append what gives `confidence` from logits (n, classes)."""
        weights, exponents = self._weights(logits, multiply)
        total = self._reduced("ReduceSum", weights)
        if measure == "entropy":
            self._entropy(weights, exponents, total)
            return
        lead = self._reduced("ReduceMax", weights)
        if measure == "margin" and self.classes > 1:
            lead = self._margin(weights)
        self._op("Div", self._op("Mul", lead, ONE), total, name="confidence")

    def _weights(self, logits: str, multiply: int) -> tuple[str, str]:
        most = self.graph.add("ReduceMax", logits, self.graph.ints(1), keepdims=1)
        below = self._op("Min", self._op("Sub", most, logits), (31 << 48) // multiply)
        exponents = self._right(self._op("Mul", below, multiply), 32)
        part = self._op("Mod", self._right(exponents, 10), 64)
        rest = self._op("Mod", exponents, 1024)
        here, after = (self._looked_up(POWERS, one) for one in (part, self._op("Add", part, 1)))
        fall = self._right(self._op("Mul", self._op("Sub", here, after), rest), 10)
        weights = self._shifted(self._op("Sub", here, fall), self._right(exponents, 16))
        return weights, exponents

    def _margin(self, weights: str) -> str:
        """The largest less the second largest."""
        first = self._reduced("ReduceMax", weights, keepdims=1)
        place = self.graph.add("ArgMax", weights, axis=1, keepdims=1)
        others = self.graph.add(
            "ScatterElements", weights, place, self._op("Sub", first, first), axis=1
        )
        return self._op(
            "Sub", self._reduced("ReduceMax", weights), self._reduced("ReduceMax", others)
        )

    def _entropy(self, weights: str, exponents: str, total: str) -> None:
        if self.classes == 1:
            self._op("Add", self._op("Sub", total, total), ONE, name="confidence")
            return
        mean = self._op(
            "Div", self._reduced("ReduceSum", self._op("Mul", weights, exponents)), total
        )
        bits = self._op("Add", self._log2(total), mean)
        per_bit = round(2**24 / np.log2(self.classes))
        missing = self._right(self._op("Mul", bits, per_bit), 16)
        self._op("Sub", ONE, self._op("Min", missing, ONE), name="confidence")

    def _log2(self, total: str) -> str:
        """log2(total / 2^24) in 2^-16."""
        steps = range(1, (self.classes - 1).bit_length() + 1)
        reached = [
            self.graph.cast(self._op("GreaterOrEqual", total, ONE << step), np.int64)
            for step in steps
        ]
        whole = reached[0]
        for one in reached[1:]:
            whole = self._op("Add", whole, one)
        rest = self._op("Sub", self._shifted(total, whole), ONE)
        part, within = self._right(rest, 18), self._op("Mod", rest, 2**18)
        here, after = (self._looked_up(LOG2, one) for one in (part, self._op("Add", part, 1)))
        rise = self._right(self._op("Mul", self._op("Sub", after, here), within), 18)
        return self._op("Add", self._op("Add", here, rise), self._op("Mul", whole, 2**16))

    def _op(self, operator: str, a: str | int, b: str | int, *, name: str = "") -> str:
        ready = [
            one if isinstance(one, str) else self.graph.constant(one, np.int64) for one in (a, b)
        ]
        return self.graph.add(operator, *ready, name=name)

    def _right(self, x: str, places: int) -> str:
        return self._op("Div", x, 1 << places)

    def _shifted(self, x: str, places: str) -> str:
        x, places = self.graph.cast(x, np.uint64), self.graph.cast(places, np.uint64)
        return self.graph.cast(self.graph.add("BitShift", x, places, direction="RIGHT"), np.int64)

    def _looked_up(self, table: NDArray[np.int64], places: str) -> str:
        return self.graph.add("Gather", self.graph.constant(table, np.int64), places)

    def _reduced(self, operator: str, x: str, *, keepdims: int = 0) -> str:
        return self.graph.add(operator, x, self.graph.ints(1), keepdims=keepdims)
