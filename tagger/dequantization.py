"""An encoder in 8 bits as one in 32 bits: GPUs have no kernels for the former.

What :mod:`tagger.quantization` made of a transformer is undone: its weights become the numbers that
their 8 bits stand for, and what is multiplied with them is not rounded to 8 bits any more. So
vectors come a little nearer to those before quantization.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
        exact = {
            node.output[0]: self._exact(node)
            for node in self._graph.node
            if node.op_type == "DequantizeLinear"
        }
        nodes = []
        for node in self._graph.node:
            kept = self._embedding(node) if node.op_type == "QEmbedLayerNormalization" else node
            inputs = [exact.get(name, name) for name in kept.input]
            del kept.input[:]
            kept.input.extend(inputs)
            nodes.append(kept)
        del self._graph.node[:]
        self._graph.node.extend(self._needed(nodes))

    def _exact(self, node: Any) -> str:
        """Return the name of what stood there before it was rounded."""
        if node.input[0] in self._values:
            weight, scale, zero = node.input
            axes = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
            return self._weight(weight, scale, zero, *axes)
        return str(self._makers[node.input[0]].input[0])

    def _embedding(self, node: Any) -> Any:
        from onnx import helper

        inputs = list(node.input)
        ids, tables, mask = inputs[:2], inputs[2 : 2 + _TABLES], inputs[2 + _TABLES]
        scales, zeros = inputs[3 + _TABLES : 3 + 2 * _TABLES], inputs[3 + 2 * _TABLES :]
        weights = map(self._weight, tables, scales, zeros)
        outputs = list(node.output)
        made = helper.make_node("EmbedLayerNormalization", [*ids, *weights, mask], outputs)
        made.domain = node.domain
        made.attribute.extend(node.attribute)
        return made

    def _weight(self, name: str, scale: str, zero: str, axis: int = 1) -> str:
        """Add the numbers that 8 bits stand for, with one scale or one a place of an axis."""
        from onnx import numpy_helper

        exact = f"{name}.dequantized"
        if exact not in self._values:
            weight, step, middle = (self._array(each) for each in (name, scale, zero))
            if step.ndim:
                shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
                step, middle = step.reshape(shape), middle.reshape(shape)
            value = numpy_helper.from_array((weight - middle) * step, exact)
            self._graph.initializer.append(value)
            self._values[exact] = value
        return exact

    def _array(self, name: str) -> npt.NDArray[np.float32]:
        from onnx import numpy_helper

        return np.asarray(numpy_helper.to_array(self._values[name]), dtype=np.float32)

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
