"""An encoder in 8 bits as one in 32 bits: GPUs have no kernels for the former.

What ``onnxruntime.quantization.quantize_dynamic`` made of a transformer is undone: its weights
become the numbers that their 8 bits stand for, and what is multiplied with them is not rounded to
8 bits any more. So vectors come a little nearer to those before quantization.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DOMAIN = "com.microsoft"
_TABLES = 5
"""Of embeddings: words, positions, segments, and scale and shift of their norm."""


def dequantized(path: Path) -> bytes:
    """Return an exported encoder in 32 bits; one that is in 32 bits comes back as it is."""
    import onnx

    model = onnx.load(str(path))
    _Graph(model.graph).dequantize()
    return bytes(model.SerializeToString())


class _Graph:
    """A graph of ONNX whose quantized operations are replaced one by one."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._values = {value.name: value for value in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}

    def dequantize(self) -> None:
        """Replace all of them."""
        replace = {
            "MatMulInteger": self._multiplication,
            "QAttention": self._attention,
            "QEmbedLayerNormalization": self._embedding,
        }
        new = {
            self._place(node): replace[node.op_type](node)
            for node in [*self._graph.node]
            if node.op_type in replace
        }
        nodes = [new.get(place, node) for place, node in enumerate(self._graph.node)]
        del self._graph.node[:]
        self._graph.node.extend(self._needed(nodes))

    def _multiplication(self, node: Any) -> Any:
        """MatMulInteger, Cast and Mul, and a Mul of the two scales, become one MatMul."""
        from onnx import helper

        (cast,) = self._readers(node.output[0])
        (product,) = self._readers(cast.output[0])
        scales = self._makers[next(name for name in product.input if name != cast.output[0])]
        scale = next(name for name in scales.input if name in self._values)
        weight = self._weight(node.input[1], scale, node.input[3])
        given = self._makers[node.input[0]].input[0]
        made = helper.make_node("MatMul", [given, weight], list(product.output))
        # The last of the replaced ones gave the result, so it is the one that goes.
        product.output[0] += ".unused"
        return made

    def _attention(self, node: Any) -> Any:
        from onnx import helper

        _, weight, bias, _, scale, mask, _, zero = node.input[:8]
        given = self._makers[node.input[0]].input[0]
        inputs = [given, self._weight(weight, scale, zero), bias, mask]
        return self._same(node, helper.make_node("Attention", inputs, list(node.output)))

    def _embedding(self, node: Any) -> Any:
        from onnx import helper

        inputs = list(node.input)
        ids, tables, mask = inputs[:2], inputs[2 : 2 + _TABLES], inputs[2 + _TABLES]
        scales, zeros = inputs[3 + _TABLES : 3 + 2 * _TABLES], inputs[3 + 2 * _TABLES :]
        weights = map(self._weight, tables, scales, zeros)
        outputs = list(node.output)
        made = helper.make_node("EmbedLayerNormalization", [*ids, *weights, mask], outputs)
        return self._same(node, made)

    def _same(self, old: Any, new: Any) -> Any:
        new.domain = _DOMAIN
        new.attribute.extend(old.attribute)
        return new

    def _weight(self, name: str, scale: str, zero: str) -> str:
        """Add the numbers that 8 bits stand for; return their name."""
        from onnx import numpy_helper

        exact = f"{name}.dequantized"
        if exact not in self._values:
            weight, step, middle = (self._array(each) for each in (name, scale, zero))
            value = numpy_helper.from_array((weight - middle) * step, exact)
            self._graph.initializer.append(value)
            self._values[exact] = value
        return exact

    def _array(self, name: str) -> npt.NDArray[np.float32]:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self._values[name]), dtype=np.float32)

    def _readers(self, name: str) -> list[Any]:
        return [node for node in self._graph.node if name in node.input]

    def _place(self, node: Any) -> int:
        """Return where the result of a quantized operation is made."""
        last = node
        if node.op_type == "MatMulInteger":
            (cast,) = self._readers(node.output[0])
            (last,) = self._readers(cast.output[0])
        return [*self._graph.node].index(last)

    def _needed(self, nodes: list[Any]) -> list[Any]:
        """Drop the nodes whose results nobody reads."""
        wanted = {value.name for value in self._graph.output}
        kept = []
        for node in reversed(nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        del self._graph.initializer[:]
        self._graph.initializer.extend(
            value for name, value in self._values.items() if name in wanted
        )
        return kept[::-1]
