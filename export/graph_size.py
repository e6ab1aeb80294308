"""The size of a graph: the numbers that it stores, and its multiply-adds for one image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

COUNTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
UNCOUNTED = (
    *("Attention", "DeformConv", "Einsum", "GRU", "LSTM", "RNN", "If", "Loop", "Scan"),
    *("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
)
STANDARD = ("", "ai.onnx")
REAL = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)

Shape = Sequence[int]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class GraphSize:
    """The real numbers that a graph stores, and its multiply-adds for one image, None where they cannot be told."""

    parameters: int
    multiply_adds: int | None


def graph_size_of_file(path: Path) -> GraphSize:
    """What `count` says of the graph in a file that onnxruntime has taken."""
    return graph_size(onnx.load(path))


def graph_size(model: onnx.ModelProto) -> GraphSize:
    """The size of a graph whose one input has the batch as its first axis.

    Parameters are all real numbers that are stored, so batch norm's averages too, and a norm that was folded into a
    convolution not. Multiply-adds are those of convolutions and matrix products, biases left out: a convolution's
    kernel at each output pixel, a transposed one's at each input pixel, padding and what is cropped counted in.
    They are None when a shape is not known, and when a layer is of a kind that is not counted (quantised, recurrent).
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    constants = [
        a.t for node in model.graph.node if node.op_type == "Constant" for a in node.attribute if a.HasField("t")
    ]
    parameters = sum(math.prod(t.dims) for t in [*stored.values(), *constants] if t.data_type in REAL)
    return GraphSize(parameters, _multiply_adds(model))


def _multiply_adds(model: onnx.ModelProto) -> int | None:
    if any(node.domain not in STANDARD or node.op_type in UNCOUNTED for node in model.graph.node):
        return None
    try:
        shapes = _shapes(model)
        nodes = [node for node in model.graph.node if node.op_type in COUNTED]
        return sum(_of_node(node, *(shapes[name] for name in (*node.input[:2], node.output[0]))) for node in nodes)
    except (KeyError, onnx.shape_inference.InferenceError):
        return None


def _of_node(node: onnx.NodeProto, left: Shape, right: Shape, out: Shape) -> int:
    if node.op_type == "Conv":  # kernel (out, in / groups, *sides)
        return math.prod(out) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":  # kernel (in, out / groups, *sides)
        return math.prod(left) * math.prod(right[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(out) * (left[0] if transposed else left[-1])


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """The shapes of all tensors that are known whole, for a batch of 1."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    single.graph.ClearField("value_info")  # they may name the batch
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
