"""The size of a graph: its parameters, and its multiply-adds for one sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

COUNTED_OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
UNCOUNTED_OPERATORS = (
    *("Attention", "DeformConv", "Einsum", "GRU", "LSTM", "RNN", "If", "Loop", "Scan"),
    *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
)
STANDARD_DOMAINS = ("", "ai.onnx")
FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)

Shape = Sequence[int]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class GraphSize:
    """Parameters of a graph, and multiply-adds for one sample, None where these are unknown."""

    parameters: int
    multiply_adds: int | None


def graph_size_of_file(path: Path) -> GraphSize:
    """The size of the graph in a file that onnxruntime has loaded before; see `graph_size`."""
    return graph_size(onnx.load(path))


def graph_size(model: onnx.ModelProto) -> GraphSize:
    """The size of a graph with one input, whose first axis is the batch.

    Parameters are all stored floating-point numbers: the running averages of batch norm count, a norm that was folded
    into a convolution does not. Multiply-adds are those of convolutions and matrix products without biases: a
    convolution's kernel at each output pixel, a transposed convolution's at each input pixel, padding and cropped
    pixels included. They are None when a shape is unknown or a layer is of an uncounted kind (quantized, recurrent).
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = [
        a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.HasField("t")
    ]
    parameters = sum(math.prod(t.dims) for t in [*stored.values(), *constants] if t.data_type in FLOAT_TYPES)
    return GraphSize(parameters, _multiply_adds(model))


def _multiply_adds(model: onnx.ModelProto) -> int | None:
    if any(node.domain not in STANDARD_DOMAINS or node.op_type in UNCOUNTED_OPERATORS for node in model.graph.node):
        return None
    try:
        shapes = _shapes(model)
        nodes = [node for node in model.graph.node if node.op_type in COUNTED_OPERATORS]
        return sum(
            _node_multiply_adds(node, *(shapes[name] for name in (*node.input[:2], node.output[0]))) for node in nodes
        )
    except (KeyError, onnx.shape_inference.InferenceError):
        return None


def _node_multiply_adds(node: onnx.NodeProto, left: Shape, right: Shape, out: Shape) -> int:
    if node.op_type == "Conv":  # kernel (out, in / groups, *sides)
        return math.prod(out) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":  # kernel (in, out / groups, *sides)
        return math.prod(left) * math.prod(right[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(out) * (left[0] if transposed else left[-1])


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """The shape of each tensor that is fully known, for a batch of 1."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    single.graph.ClearField("value_info")  # its shapes may contain the symbolic batch
    for output in single.graph.output:
        output.type.tensor_type.ClearField("shape")
    for entry in single.graph.input:
        entry.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes
