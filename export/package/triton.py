"""A model repository for NVIDIA's Triton Inference Server: a folder for each graph, with its configuration.

`tritonserver --model-repository=FOLDER` serves it by Triton's ONNX Runtime backend; this module needs nothing of
Triton. The configuration is text of the protocol buffer `ModelConfig`, model_config.proto of triton-inference-server.
"""

from __future__ import annotations

import math
from pathlib import Path

from gan_denoise.errors import OutputError
from gan_denoise.export import runtime
from gan_denoise.export.model_folder import find_signatures
from gan_denoise.export.runtime import Graph
from gan_denoise.files import check_overwrite, write_atomic
from gan_denoise.options import BATCH

CONFIG, MODEL = "config.pbtxt", "model.onnx"
WARM_UP_SIDE = 256  # pixels a side of the image that warms up a graph of images of any size


def write_triton(
    path: Path | None, out: Path, batch: int = BATCH, delay_ms: float = 2, version: int = 1, force: bool = False
) -> list[Path]:
    """Write `out`/NAME/config.pbtxt and `out`/NAME/`version`/model.onnx for each graph; return their paths.

    `path` is a folder with graphs or the file of one, None for all that are shipped; a graph has the name that `serve`
    gives it. Triton joins the rows of callers that wait up to `delay_ms` into runs of up to `batch` rows. Another
    version goes beside those that `out` holds, whose configuration must be the same. Raises InputError for other
    graphs, OutputError when a file exists with other contents and `force` is not set.
    """
    contents: dict[Path, bytes] = {}
    for signature in find_signatures(path):
        model = runtime.read_graph(signature, path)
        graph = Graph(model, signature, str(path or signature.file), threads=1)
        folder = out / Path(signature.file).stem
        contents[folder / CONFIG] = describe_model(folder.name, graph, batch, delay_ms).encode()
        contents[folder / str(version) / MODEL] = model
    if out.is_file():
        raise OutputError.expected(out, "a folder", "a file", "choose another --out")
    for file, content in contents.items():
        if not (file.is_file() and file.read_bytes() == content):
            check_overwrite(file, force)
    for file, content in contents.items():
        write_atomic(file, content)
    return list(contents)


def describe_model(name: str, graph: Graph, batch: int, delay_ms: float) -> str:
    """The text of config.pbtxt: tensors, batches, one run of zeros as a warm-up, and which entries choose the class."""
    most = 1 if graph.has_any_size else batch  # one large image keeps all cores busy, and takes much memory
    shape = [side or -1 for side in graph.input_shape]
    outputs = zip(graph.signature.outputs, graph.output_shapes, strict=True)
    parts = [
        f"name: {_quote(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {most}",
        _list("input", [_tensor(graph.signature.input, shape)]),
        _list("output", [_tensor(output, [side or -1 for side in sides]) for output, sides in outputs]),
        *([_batching(most, delay_ms)] if most > 1 else []),
        _list("model_warmup", [_warm_up(graph, rows) for rows in dict.fromkeys((1, most))]),
        *[
            f"parameters {{ key: {_quote(key)} value {{ string_value: {_quote(value)} }} }}"
            for key, value in _parameters(graph).items()
        ],
    ]
    return "\n".join(parts) + "\n"


def _tensor(name: str, dims: list[int]) -> str:
    return f"{{ name: {_quote(name)} data_type: TYPE_FP32 dims: {dims} }}"


def _batching(most: int, delay_ms: float) -> str:
    delay = round(1000 * delay_ms)
    return f"dynamic_batching {{ preferred_batch_size: [ {most} ] max_queue_delay_microseconds: {delay} }}"


def _warm_up(graph: Graph, rows: int) -> str:
    """A request of zeros, which Triton answers before it calls the model ready."""
    free = graph.multiple * math.ceil(WARM_UP_SIDE / graph.multiple) if graph.has_any_size else 0
    dims = [side or free for side in graph.input_shape]
    value = f"{{ data_type: TYPE_FP32 dims: {dims} zero_data: true }}"
    name = _quote(f"{rows} row{'s' * (rows > 1)}")
    return f"{{ name: {name} batch_size: {rows} inputs {{ key: {_quote(graph.signature.input)} value {value} }} }}"


def _parameters(graph: Graph) -> dict[str, str]:
    """What a caller needs to know and the tensors do not say."""
    facts = {}
    if graph.signature.input == runtime.FUSED.input and graph.classes:
        facts["classes"] = ", ".join(graph.class_names)
        facts["class_of_z"] = f"the largest of the last {graph.classes} entries of z"
    if graph.has_any_size:
        facts["height and width"] = f"multiples of {graph.multiple}"
    return facts


def _list(name: str, entries: list[str]) -> str:
    return "\n".join([f"{name} [", ",\n".join(f"  {entry}" for entry in entries), "]"])


def _quote(text: str) -> str:
    """A string of the text format; bytes that are not printable ASCII are octal numbers."""
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}" for byte in text.encode())
    return f'"{"".join(plain)}"'
