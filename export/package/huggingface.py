"""A folder for the Hugging Face Hub: an ONNX graph, its inputs and outputs as JSON, and a model card.

`hf upload USER/NAME FOLDER` (package `huggingface-hub`) uploads it; this module does not need that package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from gan_denoise import __version__
from gan_denoise.data.dataset_options import FASHION_MNIST
from gan_denoise.data.images import format_shape
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import runtime
from gan_denoise.export.runtime import DENOISER, FUSED, Graph
from gan_denoise.export.training_data import TITLES, TrainingData, from_metadata
from gan_denoise.files import check_overwrite, write_atomic
from gan_denoise.markdown import bullets, code, escape_markdown, markdown_table

MODEL, CONFIG, CARD, LICENSE = "onnx/model.onnx", "config.json", "README.md", "LICENSE"
DENOISER_MODEL = "onnx/denoiser.onnx"
METRICS = {"ffd_1": "FFD-1", "kid": "KID", "precision": "precision", "recall": "recall"}
TASK = "unconditional-image-generation"
DATASET = "zalando-datasets/fashion_mnist"
HUB_DATASETS = {FASHION_MNIST: DATASET, "mnist": "ylecun/mnist"}  # names on the Hub
NOT_RECORDED = "not recorded"
IR_VERSION, OPSET = 10, 20  # of our exports: onnxruntime 1.18 is the first that takes them

USE = """\
```python
import numpy as np, onnxruntime

session = onnxruntime.InferenceSession("onnx/model.onnx")
z = np.random.default_rng(0).standard_normal((16, {size}), dtype=np.float32)
image, denoised = session.run(["image", "denoised"], {{"z": z}})  # each {shape} in [0, 1]
```"""


def write_huggingface(path: Path | None, out: Path, force: bool = False) -> list[Path]:
    """Write `out`/onnx/model.onnx, `out`/config.json and `out`/README.md; return their paths, the card last.

    `path` is a fused graph or a folder that holds one, None the shipped one. The denoiser of a folder is written to
    `out`/onnx/denoiser.onnx, so that `denoise` and `demo` take `out` as well. The card says what the graph's metadata
    record. That of the shipped graph also shows its metrics and its licence, which is written to `out`/LICENSE. With
    `force`, the denoiser and licence of a model that was in `out` before are removed. Other files in `out` are left
    alone. Raises InputError for another kind of graph, OutputError when one of the files exists
    and `force` is not set.
    """
    graph = runtime.load_graph(FUSED, path)
    model = runtime.read_graph(FUSED, path)
    contents: dict[str, bytes | str] = {
        MODEL: model,
        **_denoiser(path),
        CONFIG: json.dumps(_config(graph, model), indent=1) + "\n",
        **({LICENSE: _shipped_licence()} if runtime.is_shipped(graph) else {}),
        CARD: _card(graph, onnx.load_model_from_string(model)),
    }
    if out.is_file():
        raise OutputError.expected(out, "a folder", "a file", "choose another --out")
    for name in (*contents, DENOISER_MODEL):
        check_overwrite(out / name, force)
    _remove_earlier(out, contents)
    for name, content in contents.items():
        write_atomic(out / name, content)
    return [out / name for name in contents]


def _denoiser(path: Path | None) -> dict[str, bytes]:
    """The denoiser alone, by its name in the folder; empty if `path` is a file or a folder without it."""
    try:
        if path is not None and not path.is_dir():
            return {}
        runtime.graph_file(DENOISER, path)
    except InputError:
        return {}
    return {DENOISER_MODEL: runtime.read_graph(DENOISER, path)}


def _remove_earlier(out: Path, contents: dict[str, bytes | str]) -> None:
    """Remove what an earlier model left in `out` and this one has not: it would be taken for a part of this one."""
    licence = out / LICENSE
    try:
        if DENOISER_MODEL not in contents:
            (out / DENOISER_MODEL).unlink(missing_ok=True)
        if LICENSE not in contents and licence.is_file() and licence.read_bytes() == _shipped_licence():
            licence.unlink()
    except OSError as error:
        raise OutputError(f"{error.filename}: {error.strerror}", "choose another --out") from error


def _shipped_licence() -> bytes:
    return (runtime.SHIPPED / LICENSE).read_bytes()


def _config(graph: Graph, model: bytes) -> dict[str, Any]:
    """Inputs, outputs, hash and metadata of the graph, so that a program can run it without inspecting it."""
    inputs = {graph.signature.input: graph.input_shape}
    outputs = dict(zip(graph.signature.outputs, graph.output_shapes, strict=True))
    return {
        "model_type": "gan-denoise",
        "library_version": __version__,
        "file": MODEL,
        "sha256": graph.sha256,
        "bytes": len(model),
        "inputs": [_tensor(name, shape, distribution="standard normal") for name, shape in inputs.items()],
        "outputs": [_tensor(name, shape, range=[0, 1]) for name, shape in outputs.items()],
        "metadata": dict(sorted(graph.metadata.items())),
    }


def _tensor(name: str, shape: tuple[int, ...], **more: object) -> dict[str, object]:
    return {"name": name, "dtype": "float32", "shape": ["batch", *shape], **more}


def _card(graph: Graph, model: onnx.ModelProto) -> str:
    """The model card. The values of its YAML header are written as JSON, a subset of YAML."""
    rows = _shipped_rows(graph)
    names = [data.name for data in from_metadata(graph.metadata) if data.name]
    hub_datasets = [HUB_DATASETS[name] for name in names if name in HUB_DATASETS]
    head = {
        **({"license": "mit"} if runtime.is_shipped(graph) else {}),
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "onnxruntime", "gan", "denoising", *(name for name in names if name in HUB_DATASETS)],
        **({"datasets": hub_datasets} if hub_datasets else {}),
        **({"metrics": [*METRICS], "model-index": [_model_index(rows)]} if rows else {}),
    }
    yaml = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    shape = ", ".join(map(str, ("16", *graph.output_shapes[0])))
    parts = [
        "\n".join(["---", *yaml, "---"]),
        "# gan-denoise",
        _description(graph),
        USE.format(size=graph.input_shape[0], shape=f"({shape})"),
        *_results(rows),
        "## Origin",
        bullets([f"{name}: {value}" for name, value in _origin(graph).items()]),
        "## Runtimes",
        _runtimes(model),
        "## Licence",
        _licence(graph, names),
    ]
    return "\n\n".join(parts) + "\n"


def _description(graph: Graph) -> str:
    names = ", ".join(map(escape_markdown, graph.class_names))
    choice = f" The largest of the last {graph.classes} entries of `z` chooses the class: {names}." if names else ""
    return (
        f"A GAN that generates {_format_images(graph)}, and a denoiser, in one ONNX graph: `z` (batch, "
        f"{graph.input_shape[0]}) gives `image`, the raw image, and `denoised`.{choice}"
    )


def _format_images(graph: Graph) -> str:
    channels, *sides = graph.output_shapes[0]
    colours = {1: "grey images", 3: "colour images"}.get(channels, f"images of {channels} channels")
    return f"{colours} of {format_shape(tuple(sides))} pixels"


def _origin(graph: Graph) -> dict[str, str]:
    """What the graph's metadata record of its training, in markdown."""

    def recorded(key: str) -> str:
        values = [code(value) for value in dict.fromkeys(graph.metadata.get(key, "").split(",")) if value]
        return ", ".join(values) or NOT_RECORDED

    return {
        "training data": ", ".join(map(_describe_data, from_metadata(graph.metadata))) or NOT_RECORDED,
        "classes": ", ".join(map(escape_markdown, graph.class_names)) or "none",
        "images": _format_images(graph),
        "precision": escape_markdown(graph.metadata.get("precision", "float32")),
        "configuration, SHA-256": recorded("config_sha256"),
        "seed": recorded("seed"),
        "version of gan-denoise": recorded("version"),
        "graph, SHA-256": code(graph.sha256),
    }


def _describe_data(data: TrainingData) -> str:
    name = TITLES.get(data.name or "", escape_markdown(data.name or f"name {NOT_RECORDED}"))
    return f"{name} (SHA-256 {code(data.sha256) if data.sha256 else NOT_RECORDED})"


def _runtimes(model: onnx.ModelProto) -> str:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    needs = ", which onnxruntime runs from 1.18 on" if (model.ir_version, opset) == (IR_VERSION, OPSET) else ""
    return (
        f"The file is ONNX IR {model.ir_version}, opset {opset}{needs}. On processors with bfloat16, OpenVINO computes "
        "in it unless `INFERENCE_PRECISION_HINT` is `f32`; pixels then differ by up to 0.03."
    )


def _licence(graph: Graph, names: list[str]) -> str:
    model = f"MIT, see `{LICENSE}`." if runtime.is_shipped(graph) else "The licence of this model is not recorded."
    data = " Fashion-MNIST, the training data, is by Zalando SE, MIT licence." if FASHION_MNIST in names else ""
    return model + data


def _shipped_rows(graph: Graph) -> list[dict[str, Any]]:
    """The rows `raw` and `denoised` of the shipped `eval generation` if it measured this graph, else none."""
    results = json.loads((runtime.SHIPPED / "results.json").read_text())["generation"]
    rows: list[dict[str, Any]] = results["rows"] if results["model_sha256"] == graph.sha256 else []
    return [row for row in rows if row["set"] in ("raw", "denoised")]


def _model_index(rows: list[dict[str, Any]]) -> dict[str, Any]:
    metrics = [
        {"type": key, "name": f"{name}, {row['set']}", "value": round(row[key], 6)}
        for row in rows
        for key, name in METRICS.items()
    ]
    dataset = {"name": "Fashion-MNIST", "type": DATASET, "split": "test"}
    return {"name": "gan-denoise", "results": [{"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}]}


def _results(rows: list[dict[str, Any]]) -> list[str]:
    """A table of metrics and the note below it, or nothing without rows."""
    if not rows:
        return []
    cells = [[row["set"], *(f"{row[key]:.5f}" for key in METRICS)] for row in rows]
    note = (
        f"{rows[0]['n']:,} images of seed 0, compared with the 10,000 test images. FFD-1 is a Fréchet distance of the "
        "features of a Fashion-MNIST classifier; it is not FID and compares only with other values of FFD-1."
    )
    return [markdown_table(["images", *METRICS.values()], cells), note]
