"""A folder for the Hugging Face Hub: an ONNX graph, its inputs and outputs as JSON, and a model card.

`hf upload USER/NAME FOLDER` (package `huggingface-hub`) uploads it; this module does not need that package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan_denoise import __version__
from gan_denoise.errors import OutputError
from gan_denoise.export import runtime
from gan_denoise.export.runtime import FUSED, Graph
from gan_denoise.files import check_overwrite, write_atomic
from gan_denoise.markdown import markdown_table

MODEL, CONFIG, CARD = "onnx/model.onnx", "config.json", "README.md"
METRICS = {"ffd_1": "FFD-1", "kid": "KID", "precision": "precision", "recall": "recall"}
TASK = "unconditional-image-generation"
DATASET = "zalando-datasets/fashion_mnist"

USE = """\
```python
import numpy as np, onnxruntime

session = onnxruntime.InferenceSession("onnx/model.onnx")
z = np.random.default_rng(0).standard_normal((16, {size}), dtype=np.float32)
image, denoised = session.run(["image", "denoised"], {{"z": z}})  # each {shape} in [0, 1]
```"""


def write_huggingface(path: Path | None, out: Path, force: bool = False) -> list[Path]:
    """Write `out`/onnx/model.onnx, `out`/config.json and `out`/README.md; return their paths, the card last.

    `path` is a fused graph or a folder that holds one, None the shipped one, whose card shows its metrics. Other files
    in `out` are left alone. Raises InputError for another kind of graph, OutputError when one of the files exists and
    `force` is not set.
    """
    graph = runtime.load_graph(FUSED, path)
    model = runtime.read_graph(FUSED, path)
    contents: dict[str, bytes | str] = {
        MODEL: model,
        CONFIG: json.dumps(_config(graph, model), indent=1) + "\n",
        CARD: _card(graph),
    }
    if out.is_file():
        raise OutputError.expected(out, "a folder", "a file", "choose another --out")
    for name in contents:
        check_overwrite(out / name, force)
    for name, content in contents.items():
        write_atomic(out / name, content)
    return [out / name for name in contents]


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


def _card(graph: Graph) -> str:
    """The model card. The values of its YAML header are written as JSON, a subset of YAML."""
    rows = _shipped_rows(graph)
    head = {
        "license": "mit",
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "onnxruntime", "gan", "denoising", "fashion-mnist"],
        "datasets": [DATASET],
        **({"metrics": [*METRICS], "model-index": [_model_index(rows)]} if rows else {}),
    }
    yaml = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    shape = ", ".join(map(str, ("16", *graph.output_shapes[0])))
    use = USE.format(size=graph.input_shape[0], shape=f"({shape})")
    parts = [
        "\n".join(["---", *yaml, "---"]),
        "# gan-denoise",
        _description(graph),
        use,
        *_results(rows),
        _origin(graph),
    ]
    return "\n\n".join(parts) + "\n"


def _description(graph: Graph) -> str:
    names = ", ".join(graph.class_names)
    choice = f" The largest of the last {graph.classes} entries of `z` chooses the class: {names}." if names else ""
    return (
        "A GAN that generates images of clothes like those of Fashion-MNIST, and a denoiser, in one ONNX graph: "
        f"`z` (batch, {graph.input_shape[0]}) gives `image`, the raw image, and `denoised`.{choice}"
    )


def _origin(graph: Graph) -> str:
    return (
        f"Written by gan-denoise {__version__}, MIT licence; Fashion-MNIST is by Zalando SE, MIT licence. SHA-256 of "
        f"the graph: `{graph.sha256}`. Its metadata and `{CONFIG}` name the configuration and data of its training."
    )


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
