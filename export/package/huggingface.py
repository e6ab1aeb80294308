"""A folder as the Hugging Face Hub has them: a model card with YAML on top, one ONNX graph, its inputs and outputs.

`hf upload USER/NAME FOLDER` (package `huggingface-hub`) puts it there; nothing here needs that package.
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
    """Write `out`/onnx/model.onnx, `out`/config.json and `out`/README.md; returns them, the card last.

    `path` is a fused graph or a folder that holds one, None the shipped one, whose card has its figures. Other files
    in `out` stay. Raises InputError when the graph is another, OutputError when one of the files exists and `force` is
    not set.
    """
    graph = runtime.load_graph(FUSED, path)
    model = runtime.read_graph(FUSED, path)
    contents: dict[str, bytes | str] = {
        MODEL: model,
        CONFIG: json.dumps(_config(graph, model), indent=1) + "\n",
        CARD: _card(graph),
    }
    if out.is_file():
        raise OutputError(f"{out}: a file found, a folder wanted", "choose another --out")
    for name in contents:
        check_overwrite(out / name, force)
    for name, content in contents.items():
        write_atomic(out / name, content)
    return [out / name for name in contents]


def _config(graph: Graph, model: bytes) -> dict[str, Any]:
    """What a program needs to run the graph without having read it."""
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
    """The model card; each value of its YAML is written as JSON, which YAML contains."""
    figures = _figures(graph)
    head = {
        "license": "mit",
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "onnxruntime", "gan", "denoising", "fashion-mnist"],
        "datasets": [DATASET],
        **({"metrics": [*METRICS]} if figures else {}),
        **({"model-index": [_index(figures)]} if figures else {}),
    }
    yaml = [f"{key}: {json.dumps(value)}" for key, value in head.items()]
    shape = ", ".join(map(str, ("16", *graph.output_shapes[0])))
    use = USE.format(size=graph.input_shape[0], shape=f"({shape})")
    parts = ["\n".join(["---", *yaml, "---"]), "# gan-denoise", _says(graph), use, *_table(figures), _recipe(graph)]
    return "\n\n".join(parts) + "\n"


def _says(graph: Graph) -> str:
    classes = int(graph.metadata.get("classes", 0))
    names = graph.metadata.get("class_names", "").replace(",", ", ")
    chosen = f" The largest of the last {classes} entries of `z` chooses the class: {names}." if classes else ""
    return (
        "A GAN draws clothes in the manner of Fashion-MNIST, a denoiser cleans them, and both are one ONNX graph: "
        f"`z` (batch, {graph.input_shape[0]}) gives `image`, as drawn, and `denoised`.{chosen}"
    )


def _recipe(graph: Graph) -> str:
    return (
        f"Written by gan-denoise {__version__}, MIT licence; Fashion-MNIST is by Zalando SE, MIT licence. SHA-256 of "
        f"the graph: `{graph.sha256}`. What it was trained from stands in its metadata and in `{CONFIG}`."
    )


def _figures(graph: Graph) -> list[dict[str, Any]]:
    """The rows of the shipped `eval generation`, if they were measured on this graph."""
    kept = json.loads((runtime.SHIPPED / "results.json").read_text())["generation"]
    rows: list[dict[str, Any]] = kept["rows"] if kept["model_sha256"] == graph.sha256 else []
    return [row for row in rows if row["set"] in ("raw", "denoised")]


def _index(figures: list[dict[str, Any]]) -> dict[str, Any]:
    metrics = [
        {"type": key, "name": f"{name}, {row['set']}", "value": round(row[key], 6)}
        for row in figures
        for key, name in METRICS.items()
    ]
    dataset = {"name": "Fashion-MNIST", "type": DATASET, "split": "test"}
    return {"name": "gan-denoise", "results": [{"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}]}


def _table(figures: list[dict[str, Any]]) -> list[str]:
    if not figures:
        return []
    lines = [f"| images | {' | '.join(METRICS.values())} |", f"| --- |{' --- |' * len(METRICS)}"]
    lines += [f"| {row['set']} | {' | '.join(f'{row[key]:.5f}' for key in METRICS)} |" for row in figures]
    note = (
        f"{figures[0]['n']:,} images of seed 0 against the 10,000 test images. FFD-1 is a Fréchet distance on the "
        "features of a Fashion-MNIST classifier; it is no FID and compares only with itself."
    )
    return ["\n".join(lines), note]
