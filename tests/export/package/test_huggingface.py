"""The folder for the Hugging Face Hub, read by YAML, JSON, onnx and onnxruntime alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import runtime
from gan_denoise.export.package import huggingface


def front_matter(card: str) -> dict[str, Any]:
    """The YAML header of a model card: one key per line and JSON after it, which is valid YAML."""
    first, head, body = card.split("---\n", 2)
    assert (first, body[:15]) == ("", "\n# gan-denoise\n")
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in head.splitlines())}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "a folder"
    arguments = ["package", "huggingface", "--out", str(out)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.stdout.splitlines() == [
        str(out / name) for name in ("onnx/model.onnx", "onnx/denoiser.onnx", "config.json", "LICENSE", "README.md")
    ]
    assert isinstance(CliRunner().invoke(app, arguments).exception, OutputError)
    return out


def test_the_graph_runs_by_what_the_config_says(shipped: Path) -> None:
    config = json.loads((shipped / "config.json").read_text())
    file = shipped / config["file"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == config["sha256"]
    assert file.stat().st_size == config["bytes"]
    session = onnxruntime.InferenceSession(str(file))
    (z,) = config["inputs"]
    for batch in (1, 5):
        samples = np.random.default_rng(0).standard_normal((batch, *z["shape"][1:]), dtype=z["dtype"])
        arrays = session.run([output["name"] for output in config["outputs"]], {z["name"]: samples})
        for output, images in zip(config["outputs"], arrays, strict=True):
            assert (list(images.shape), str(images.dtype)) == ([batch, *output["shape"][1:]], output["dtype"])
            assert output["range"][0] <= images.min() < images.max() <= output["range"][1]


def test_the_graph_names_its_batch_and_its_metadata_are_in_the_config(shipped: Path) -> None:
    model = onnx.load(shipped / "onnx/model.onnx")
    for value in (*model.graph.input, *model.graph.output):
        assert [side.dim_param for side in value.type.tensor_type.shape.dim if side.dim_param] == ["batch"]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == json.loads((shipped / "config.json").read_text())["metadata"]
    assert properties.keys() >= {"version", "config_sha256", "data_sha256", "seed", "pixel_range", "class_names"}


def test_the_card_has_the_hubs_keys_and_the_shipped_metrics(shipped: Path) -> None:
    card = (shipped / "README.md").read_text()
    head = front_matter(card)
    assert (head["license"], head["library_name"], head["datasets"]) == ("mit", "onnx", [huggingface.DATASET])
    (index,) = head["model-index"]
    (result,) = index["results"]
    assert result["task"]["type"] == head["pipeline_tag"]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    rows = json.loads((runtime.SHIPPED / "results.json").read_text())["generation"]["rows"]
    published = {row["set"]: row for row in rows}
    for name in ("raw", "denoised"):
        assert values[f"FFD-1, {name}"] == pytest.approx(published[name]["ffd_1"], abs=1e-6)
    assert f"| denoised | {published['denoised']['ffd_1']:.5f} |" in card


def test_the_code_of_the_card_runs_in_its_folder(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (shipped / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    monkeypatch.chdir(shipped)
    exec(code, names)
    assert names["denoised"].shape == (16, 1, 28, 28)


def test_another_model_gets_no_metrics_of_the_shipped_one(exported: Path, tmp_path: Path) -> None:
    huggingface.write_huggingface(exported, tmp_path / "own")
    card = (tmp_path / "own/README.md").read_text()
    assert "model-index" not in front_matter(card)
    assert "FFD-1" not in card
    assert (tmp_path / "own/onnx/model.onnx").read_bytes() == (exported / "fused.onnx").read_bytes()


def test_other_graphs_are_refused_and_existing_files_not_overwritten(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a graph z -> image, denoised, got z -> image"):
        huggingface.write_huggingface(exported / "generator.onnx", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputError, match=r"README\.md: exists"):
        huggingface.write_huggingface(exported, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    huggingface.write_huggingface(exported, tmp_path, force=True)
    assert (tmp_path / "README.md").read_text().startswith("---\n")
