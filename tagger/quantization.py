"""Round an exported encoder: weights to 7 bits, what they are multiplied with to 8.

Weights have one scale a column, and what they meet one for all texts, found from examples (Jacob
et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", 2018). As no scale hangs on the text at hand, a text has the same vector whatever is
encoded beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def quantize(path: Path, target: Path, examples: Sequence[Sequence[int]]) -> None:
    """Write the quantized form of a graph that takes ``input_ids``.

    Parameters
    ----------
    path:
        The graph in 32 bits.
    target:
        Where the other form goes.
    examples:
        Tokens of texts such as it will encode: what lies beyond their numbers is cut off.
    """
    from onnx import TensorProto
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    # Signed weights are faster. Processors without VNNI add two products up in 16 bits, which
    # weights of 8 bits overflow and those of 7 do not.
    weights = {"weight_type": QuantType.QInt8, "reduce_range": True}
    products = path.with_name("products.onnx")
    quantize_dynamic(
        path,
        products,
        op_types_to_quantize=["EmbedLayerNormalization"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
        **weights,
    )
    by_weights = _prepare(products)
    quantize_static(
        products,
        target,
        _reader(examples),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=by_weights,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        extra_options={
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            "DefaultTensorType": TensorProto.FLOAT,
        },
        **weights,
    )
    _leave_the_rest_exact(target)


def _prepare(path: Path) -> list[str]:
    """Return the names of the products with weights, and let the graph say of what they are made.

    ONNX cannot tell after operations of ONNX Runtime's own.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(path))
    weights = {value.name for value in model.graph.initializer}
    known = {value.name for value in (*model.graph.value_info, *model.graph.input)}
    products = [
        node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in weights
    ]
    for name in sorted({node.input[0] for node in products} - known):
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        model.graph.value_info.append(value)
    onnx.save(model, str(path))
    return [node.name for node in products]


def _leave_the_rest_exact(path: Path) -> None:
    """Let all but products read numbers as they were before they were rounded."""
    import onnx

    model = onnx.load(str(path))
    before = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type in _ROUNDING}
    for node in model.graph.node:
        if node.op_type not in ("MatMul", *_ROUNDING):
            exact = [before.get(before.get(name, ""), name) for name in node.input]
            del node.input[:]
            node.input.extend(exact)
    onnx.save(model, str(path))


def _reader(examples: Sequence[Sequence[int]]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(examples)

        def get_next(self) -> dict[str, Any] | None:
            tokens = next(self._left, None)
            return None if tokens is None else {"input_ids": np.array([tokens], dtype=np.int64)}

    return Reader()
