"""Model files from strangers: what onnxruntime may see is decided before it sees it."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, shape_inference

from gan_denoise.errors import InputError

MAX_BYTES = 512 * 1024 * 1024
MAX_NODES = 10_000
MAX_VALUES = 2**22  # numbers in a tensor, for one sample
MAX_TOUCHED = 2**26  # numbers that all nodes read and write, for one sample; the shipped model's are 2**21
MAX_PRODUCTS = 2**34  # multiply-adds for one sample, under a second of two cores; the shipped model's are 2**27
HINT = "gan-denoise export RUN --out DIR makes a model"

# What our exports use, and plain layers of others' networks. None takes its output's shape from values that a graph
# computes, runs a graph inside it or reads a file; shape inference then bounds them all.
OPERATORS = frozenset(
    """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace
    DequantizeLinear Div Elu Erf Exp Flatten Gelu Gemm GlobalAveragePool Greater GreaterOrEqual GroupNormalization
    HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max
    MaxPool Mean Min Mish Mul Neg Not PRelu Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu
    Reshape Round Selu Sigmoid Sign Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Transpose
    Unsqueeze Where
    """.split()  # noqa: SIM905
)


def load_untrusted_model(file: Path) -> bytes:
    """The bytes of a model file from anywhere, once it is plain ONNX whose tensors keep within bounds.

    Raises InputError when it is a link or no plain file, too large, no ONNX, keeps weights elsewhere, or holds local
    functions, graphs inside graphs, operators outside OPERATORS, tensors of more than MAX_VALUES a sample or more work
    than MAX_TOUCHED and MAX_PRODUCTS.
    """
    content = _read(file)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise InputError(f"{file}: {len(content)} bytes that are no ONNX found, an ONNX model wanted", HINT) from error
    for reason in _objections(model):
        raise InputError(f"{file}: {reason} wanted", HINT)
    return content


def _read(file: Path) -> bytes:
    """The whole file, opened once and without following a link, so that what was looked at is what is read."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if file.is_symlink():
            raise InputError(f"{file}: a link found, a plain file wanted", f"give {os.path.realpath(file)}") from error
        raise InputError(f"{file}: {error.strerror or error} found, an ONNX model wanted", HINT) from error
    with open(handle, "rb") as opened:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise InputError(f"{file}: no plain file found, an ONNX model wanted", HINT)
        if state.st_size > MAX_BYTES:
            raise InputError(f"{file}: {state.st_size} bytes found, at most {MAX_BYTES} wanted", HINT)
        return opened.read(MAX_BYTES)


def _objections(model: ModelProto) -> Iterator[str]:
    """What is wrong and what is wanted instead; the shapes come last, since inferring them needs the rest in order."""
    graph = model.graph
    if model.functions:
        yield f"local functions found ({model.functions[0].name}), none"
    if graph.sparse_initializer or model.training_info:
        yield "sparse weights or training graphs found, none"
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in graph.node}
    if foreign := domains - {"", "ai.onnx"}:
        yield f"operators of {sorted(foreign)[0]} found, those of ONNX itself"
    if len(graph.node) > MAX_NODES:
        yield f"{len(graph.node)} nodes found, at most {MAX_NODES}"
    for node in graph.node:
        yield from _of_node(node)
    for tensor in graph.initializer:
        yield from _of_tensor(tensor)
    yield from _of_shapes(model)


def _of_node(node: NodeProto) -> Iterator[str]:
    if node.op_type not in OPERATORS:
        yield f"operator {node.op_type} found, one of {', '.join(sorted(OPERATORS))}"
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) or attribute.HasField("g"):
            yield f"a graph inside {node.op_type} found, none"
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            yield from _of_tensor(tensor)


def _of_tensor(tensor: TensorProto) -> Iterator[str]:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        yield f"weights outside the file found ({tensor.name}), weights inside"
    if not all(0 <= side <= MAX_BYTES for side in tensor.dims) or math.prod(tensor.dims) > tensor.ByteSize():
        yield f"{tensor.name} of {list(tensor.dims)} in {tensor.ByteSize()} bytes found, as many as its shape says"


def _of_shapes(model: ModelProto) -> Iterator[str]:
    """Infer each tensor's shape for one sample; one that stays unknown may be of any size."""
    single = ModelProto()
    single.CopyFrom(model)
    del single.graph.value_info[:]  # the stranger's word
    for value in single.graph.input:
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in single.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = shape_inference.infer_shapes(single, check_type=True, strict_mode=True, data_prop=True).graph
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        yield f"shapes that do not fit found ({str(error).splitlines()[0][:160]}), a graph that can run"
        return
    shapes = {value.name: _shape(value) for value in (*inferred.input, *inferred.value_info, *inferred.output)}
    for name in (name for node in model.graph.node for name in node.output if name):
        if (shape := shapes.get(name)) is None:
            yield f"{name} of a size that only running tells found, a free batch and fixed sizes"
        elif math.prod(shape) > MAX_VALUES:
            yield f"{name} of {math.prod(shape)} numbers for one sample found, at most {MAX_VALUES}"
    known = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    yield from _of_work(model, known | {name: shape for name, shape in shapes.items() if shape is not None})


def _shape(value: onnx.ValueInfoProto) -> list[int] | None:
    """The sides of a tensor, None where one is free or its shape is not said."""
    kind = value.type.tensor_type
    sides = [dim.dim_value for dim in kind.shape.dim]  # 0 where one is free
    return sides if kind.HasField("shape") and all(side > 0 for side in sides) else None


def _of_work(model: ModelProto, shapes: Mapping[str, Sequence[int]]) -> Iterator[str]:
    nodes = model.graph.node
    touched = sum(math.prod(shapes.get(name, ())) for node in nodes for name in (*node.input, *node.output))
    if touched > MAX_TOUCHED:
        yield f"{touched} numbers to read and write for one sample found, at most {MAX_TOUCHED}"
    products = sum(_products(node, shapes) for node in nodes)
    if products > MAX_PRODUCTS:
        yield f"{products} multiply-adds for one sample found, at most {MAX_PRODUCTS}"


def _products(node: NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    """An upper bound of a node's multiply-adds, or of the numbers under a pool's windows."""
    read, written = (math.prod(shapes.get(names[0], ())) for names in (node.input or [""], node.output))
    if node.op_type in ("Conv", "ConvTranspose"):  # kernel (out, in, *sides), (in, out, *sides)
        return (written if node.op_type == "Conv" else read) * math.prod(shapes.get(node.input[1], ())[1:])
    if node.op_type in ("Gemm", "MatMul"):
        return written * max(shapes.get(node.input[0], (1,)))
    windows = (attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape")
    return written * math.prod(next(windows, ()))
