"""Check untrusted model files before onnxruntime loads them."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference

from gan_denoise.data.image_kinds import HINTS, name_kind
from gan_denoise.errors import InputError, one_line
from gan_denoise.options import TILE_SIDE

MAX_BYTES = 512 * 1024 * 1024
MAX_NODES = 10_000
MAX_VALUES = 2**22  # numbers in a tensor, for one sample
MAX_TOUCHED = 2**26  # numbers that all nodes read and write, for one sample; the shipped model has 2**21
MAX_PRODUCTS = 2**34  # multiply-adds for one sample, under a second on two cores; the shipped model has 2**27
MAX_TILE_VALUES = 2**26  # numbers in a tensor, for one such tile: 64 channels, 256 MB
MAX_TILE_TOUCHED = 2**34
MAX_SCALE = 64  # of Resize, and its inverse the smallest
MAX_TILE_PRODUCTS = 2**40  # a million multiply-adds a pixel; DnCNN in colour has 667,000
HINT = "gan-denoise export RUN --out DIR makes a model"
# Windows has only O_BINARY of these; there `_read` checks the link before it opens the file.
_FLAGS = os.O_RDONLY | sum(getattr(os, f"O_{name}", 0) for name in ("NOFOLLOW", "NONBLOCK", "CLOEXEC", "BINARY"))
Violation = tuple[str, str]  # what was expected, and what the model has

# The operators of our exports and common layers of other networks. None of them takes its output shape from computed
# values, runs a graph inside it or reads a file, so shape inference bounds the size of every tensor. Resize is held to
# constant scales.
OPERATORS = frozenset(
    """
    Abs Add AveragePool BatchNormalization Cast Clip Concat Constant Conv ConvTranspose DepthToSpace
    DequantizeLinear Div Elu Erf Exp Flatten Gelu Gemm GlobalAveragePool Greater GreaterOrEqual GroupNormalization
    HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max
    MaxPool Mean Min Mish Mul Neg Not Pad PRelu Pow QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum
    Relu Reshape Resize Round Selu Sigmoid Sign Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh
    Transpose Unsqueeze Where
    """.split()  # noqa: SIM905
)


class _Limits(NamedTuple):
    """How large a tensor and how much work may be, for one sample or tile."""

    sample: str
    values: int
    touched: int
    products: int


SAMPLE = _Limits("sample", MAX_VALUES, MAX_TOUCHED, MAX_PRODUCTS)
TILE = _Limits(f"tile of {TILE_SIDE}x{TILE_SIDE}", MAX_TILE_VALUES, MAX_TILE_TOUCHED, MAX_TILE_PRODUCTS)


def load_untrusted_model(file: Path) -> bytes:
    """Read a model file from any source; it holds plain ONNX within the limits above.

    Raises InputError when it is a link or no regular file, too large, not ONNX, has weights in other files, or holds
    local functions, nested graphs, operators outside OPERATORS, tensors of more than MAX_VALUES per sample, or more
    work per sample than MAX_TOUCHED and MAX_PRODUCTS. A graph of images with free height and width is measured at
    TILE_SIDE, against the limits of a tile.
    """
    content = _read(file)
    if not content:
        raise InputError.expected(file, "an ONNX model", "an empty file", HINT)
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        kind = name_kind(content[:1024])
        got = kind if HINTS.get(kind) else f"{len(content)} bytes of something else"
        raise InputError.expected(file, "an ONNX model", got, HINTS.get(kind) or HINT) from error
    for expected, got in _violations(model):
        raise InputError.expected(file, expected, got, HINT)
    return content


def _read(file: Path) -> bytes:
    """The whole file, opened once and without following a link, so that the checked file is the one that is read."""
    try:
        if not hasattr(os, "O_NOFOLLOW") and file.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        handle = os.open(file, _FLAGS)
    except OSError as error:
        if file.is_symlink():
            hint = f"give {os.path.realpath(file)}"
            raise InputError.expected(file, "a regular file", "a link", hint) from error
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror or error})"
        raise InputError(f"{file}: {reason}", HINT) from error
    with open(handle, "rb") as opened:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise InputError.expected(file, "a regular file", "a folder or device", HINT)
        if state.st_size > MAX_BYTES:
            raise InputError.expected(file, f"at most {MAX_BYTES} bytes", state.st_size, HINT)
        return opened.read(MAX_BYTES)


def _violations(model: ModelProto) -> Iterator[Violation]:
    """Check shapes last: inferring them is safe only when the rest is in order."""
    graph = model.graph
    if model.functions:
        yield "no local functions", model.functions[0].name
    if graph.sparse_initializer or model.training_info:
        yield "a graph for inference with dense weights", "sparse weights or training graphs"
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in graph.node}
    if foreign := domains - {"", "ai.onnx"}:
        yield "standard ONNX operators", f"operators of {sorted(foreign)[0]}"
    if len(graph.node) > MAX_NODES:
        yield f"at most {MAX_NODES} nodes", str(len(graph.node))
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        yield from _node_violations(node)
        if node.op_type == "Resize":
            yield from _scale_violations(node, weights)
    for tensor in graph.initializer:
        yield from _tensor_violations(tensor)
    yield from _shape_violations(model)


def _node_violations(node: NodeProto) -> Iterator[Violation]:
    if node.op_type not in OPERATORS:
        yield f"operators among {', '.join(sorted(OPERATORS))}", node.op_type
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) or attribute.HasField("g"):
            yield "no nested graphs", f"a graph inside {node.op_type}"
        for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
            yield from _tensor_violations(tensor)


def _scale_violations(node: NodeProto, weights: Mapping[str, TensorProto]) -> Iterator[Violation]:
    """A Resize has the inputs image, no region, and constant scales."""
    image, *others = node.input or [""]
    scales = weights.get(others[1]) if len(others) == 2 and image and not others[0] else None
    if scales is None or scales.data_type != TensorProto.FLOAT or any(_tensor_violations(scales)):
        yield "constant scales for Resize", f"{node.name or 'Resize'} of {', '.join(node.input)}"
        return
    values = numpy_helper.to_array(scales).ravel().tolist()
    if not all(1 / MAX_SCALE <= value <= MAX_SCALE for value in values):  # NaN too
        yield f"scales from 1/{MAX_SCALE} to {MAX_SCALE} for Resize", str(values)


def _tensor_violations(tensor: TensorProto) -> Iterator[Violation]:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        yield "all weights inside the file", f"weights outside the file ({tensor.name})"
    if not all(0 <= side <= MAX_BYTES for side in tensor.dims) or math.prod(tensor.dims) > tensor.ByteSize():
        yield f"{tensor.name} with as many numbers as its shape {list(tensor.dims)}", f"{tensor.ByteSize()} bytes"


def _shape_violations(model: ModelProto) -> Iterator[Violation]:
    """Infer the shape of each tensor for one sample; a tensor of unknown shape could have any size."""
    single = ModelProto()
    single.CopyFrom(model)
    del single.graph.value_info[:]  # untrusted
    limits = _fix_free_sides(single)
    for value in single.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = shape_inference.infer_shapes(single, check_type=True, strict_mode=True, data_prop=True).graph
    except (shape_inference.InferenceError, ValueError, RuntimeError) as error:
        yield "shapes that fit together", one_line(error)
        return
    shapes = {value.name: _shape(value) for value in (*inferred.input, *inferred.value_info, *inferred.output)}
    for name in (name for node in model.graph.node for name in node.output if name):
        if (shape := shapes.get(name)) is None:
            yield "a free batch and fixed sizes", f"{name} of a size that is unknown before the graph runs"
        elif math.prod(shape) > limits.values:
            yield f"at most {limits.values} numbers per {limits.sample} in {name}", str(math.prod(shape))
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    known = weights | {name: shape for name, shape in shapes.items() if shape is not None}
    yield from _work_violations(model, known, limits)


def _fix_free_sides(model: ModelProto) -> _Limits:
    """Set the batch of each input to 1, and free height and width of images to TILE_SIDE; the limits that then hold."""
    limits = SAMPLE
    for value in model.graph.input:
        sides = value.type.tensor_type.shape.dim
        if sides:
            sides[0].dim_value = 1
        if len(sides) == 4 and not any(side.HasField("dim_value") for side in sides[2:]):
            sides[2].dim_value = sides[3].dim_value = TILE_SIDE
            limits = TILE
    return limits


def _shape(value: onnx.ValueInfoProto) -> list[int] | None:
    """The sides of a tensor, None when its shape is missing or has a free side."""
    tensor_type = value.type.tensor_type
    sides = [dim.dim_value for dim in tensor_type.shape.dim]  # 0 for a free side
    return sides if tensor_type.HasField("shape") and all(side > 0 for side in sides) else None


def _work_violations(model: ModelProto, shapes: Mapping[str, Sequence[int]], limits: _Limits) -> Iterator[Violation]:
    nodes = model.graph.node
    touched = sum(math.prod(shapes.get(name, ())) for node in nodes for name in (*node.input, *node.output))
    if touched > limits.touched:
        yield f"at most {limits.touched} numbers to read and write per {limits.sample}", str(touched)
    products = sum(_products(node, shapes) for node in nodes)
    if products > limits.products:
        yield f"at most {limits.products} multiply-adds per {limits.sample}", str(products)


def _products(node: NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    """An upper bound of a node's multiply-adds; for a pool, of the numbers in its windows."""
    read, written = (math.prod(shapes.get(names[0], ())) for names in (node.input or [""], node.output))
    if node.op_type in ("Conv", "ConvTranspose"):  # kernel (out, in, *sides), (in, out, *sides)
        return (written if node.op_type == "Conv" else read) * math.prod(shapes.get(node.input[1], ())[1:])
    if node.op_type in ("Gemm", "MatMul"):
        return written * max(shapes.get(node.input[0], (1,)))
    windows = (attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape")
    return written * math.prod(next(windows, ()))
