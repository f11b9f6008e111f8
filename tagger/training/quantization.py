"""Quantize an encoder in ONNX: weights are rounded to 7 bits and activations to 8 bits.

The file is a quarter as large, and the encoder is faster. Weights have one scale per column.
Activations have one scale for all texts, found from examples (Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018), so the vector
of a text does not depend on the other texts of its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tagger._util.arrays import Floats

Tokens = Sequence[Sequence[int]]
"""The token ids of each of some texts."""

_MIGRATION = 0.75
"""How much of the differences between the dimensions of activations moves to the weights: alpha in
equation 4 of Xiao et al. (2023)."""
_LEAST = 1e-5
_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def quantize(path: Path, examples: Tokens) -> Path:
    """Write a quantized graph; activations are clipped to the range seen in the examples."""
    import onnx
    from onnx import TensorProto
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    # Signed weights are faster. CPUs without VNNI add two products in 16 bits, which overflow with
    # weights of 8 bits but not with those of 7.
    feeds = _inputs(examples)
    weights = {"weight_type": QuantType.QInt8, "reduce_range": True}
    embedded, target = path.with_name("embedded.onnx"), path.with_name("quantized.onnx")
    quantize_dynamic(
        path,
        embedded,
        op_types_to_quantize=["EmbedLayerNormalization"],
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
        **weights,
    )
    model = onnx.load(str(embedded))
    products = [node.name for node in _products_with_weights(model)]
    onnx.save(model, str(embedded))
    quantize_static(
        embedded,
        target,
        SimpleNamespace(get_next=partial(next, feeds, None)),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["MatMul"],
        nodes_to_quantize=products,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        extra_options={
            "OpTypesToExcludeOutputQuantization": ["MatMul"],
            "DefaultTensorType": TensorProto.FLOAT,
        },
        **weights,
    )
    model = onnx.load(str(target))
    # Only matrix products use rounded activations; all other operations use the exact ones.
    before = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type in _ROUNDING}
    for node in model.graph.node:
        if node.op_type not in ("MatMul", *_ROUNDING):
            exact = [before.get(before.get(name, ""), name) for name in node.input]
            del node.input[:]
            node.input.extend(exact)
    onnx.save(model, str(target))
    return target


def smooth(path: Path, examples: Tokens) -> Path:
    """Write an equal graph whose activations are easier to round.

    In some encoders a few dimensions are a hundred times as large as the others, which are then
    all rounded to nothing. Each dimension is divided by a number before a product, and its weights
    are multiplied by it (Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training
    Quantization for Large Language Models", 2023).
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    products: dict[str, list[Any]] = {}
    for node in _products_with_weights(model):
        products.setdefault(node.input[0], []).append(node)
    stored = {value.name: value for value in graph.initializer}
    weights = {name: numpy_helper.to_array(value) for name, value in stored.items()}
    for name, largest in _largest_activations(model, [*products], examples).items():
        nodes = products[name]
        largest_weight = np.max([abs(weights[n.input[1]]).max(axis=1) for n in nodes], axis=0)
        scales = np.maximum(largest, _LEAST) ** _MIGRATION
        scales /= np.maximum(largest_weight, _LEAST) ** (1 - _MIGRATION)
        divided, factors = f"{name}_smooth", f"{name}_factors"
        graph.initializer.append(numpy_helper.from_array((1 / scales).astype("f4"), factors))
        first = min(list(graph.node).index(node) for node in nodes)
        graph.node.insert(first, helper.make_node("Mul", [name, factors], [divided], divided))
        for node in nodes:
            scaled = (weights[node.input[1]] * scales[:, None]).astype("f4")
            stored[node.input[1]].CopyFrom(numpy_helper.from_array(scaled, node.input[1]))
            node.input[0] = divided
    target = path.with_name("smooth.onnx")
    onnx.save(model, str(target))
    return target


def _largest_activations(model: Any, names: list[str], examples: Tokens) -> dict[str, Floats]:
    """Return the largest absolute value of each dimension of some activations, by their name."""
    import onnxruntime
    from onnx import ModelProto, TensorProto, helper

    probe = ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    largest: dict[str, Floats] = {}
    for inputs in _inputs(examples):
        for name, values in zip(names, session.run(names, inputs), strict=True):
            found = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0).astype(np.float64)
            largest[name] = np.maximum(largest.get(name, found), found)
    return largest


def _inputs(examples: Tokens) -> Iterator[dict[str, Any]]:
    return ({"input_ids": np.array([tokens], dtype=np.int64)} for tokens in examples)


def _products_with_weights(model: Any) -> list[Any]:
    """Return the nodes of the matrix products with weights.

    Also declares the types of those inputs that ONNX does not infer.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    weights = {value.name for value in graph.initializer}
    known = {value.name for value in (*graph.value_info, *graph.input)}
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    for name in sorted({node.input[0] for node in products} - known):
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return products
