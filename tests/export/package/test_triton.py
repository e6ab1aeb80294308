"""The model repository for Triton: its files, read by Triton's schema, agree with the graphs beside them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
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
from gan_denoise.export.package.triton import CONFIG, describe_model, write_triton
from gan_denoise.export.runtime import FUSED, Graph

ENVIRONMENT = Path(__file__).resolve().parents[3] / ".tritonclient"
READER = Path(__file__).parent / "triton_reader.py"


def read_configs(*files: Path) -> Any:
    """The files as Triton's schema has them."""
    if not (ENVIRONMENT / "installed").exists():
        pytest.skip("tritonclient: not installed")
    done = subprocess.run([ENVIRONMENT / "bin/python", READER, *files], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def with_class_names(model: bytes, *names: str) -> bytes:
    """The same graph, whose metadata say that the last entries of z choose one of the classes."""
    proto = onnx.load_model_from_string(model)
    onnx.helper.set_model_props(proto, {"classes": str(len(names)), "class_names": ",".join(names)})
    return bytes(proto.SerializeToString())


def check_agrees(config: Any, model: Path) -> None:
    """Names, types and sides of the configuration are those of the graph, which runs the warm-up requests."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for kind, tensors in (("input", session.get_inputs()), ("output", session.get_outputs())):
        assert [entry["name"] for entry in config[kind]] == [tensor.name for tensor in tensors]
        for entry, tensor in zip(config[kind], tensors, strict=True):
            assert (entry["data_type"], tensor.type) == ("TYPE_FP32", "tensor(float)")
            batch, *sides = tensor.shape
            assert not isinstance(batch, int)  # free, as max_batch_size above 0 needs
            assert [int(dim) for dim in entry["dims"]] == [side if isinstance(side, int) else -1 for side in sides]
    for request in config["model_warmup"]:
        assert request["batch_size"] <= config["max_batch_size"]
        ((name, value),) = request["inputs"].items()
        zeros = np.zeros([request["batch_size"], *map(int, value["dims"])], np.float32)
        assert value["zero_data"] is True
        assert all(len(output) == len(zeros) for output in session.run(None, {name: zeros}))


def names(configs: Sequence[Any]) -> list[str]:
    return [config["name"] for config in configs]


def test_the_repository_of_the_shipped_models_agrees_with_their_graphs(tmp_path: Path) -> None:
    out = tmp_path / "repository"
    result = CliRunner().invoke(app, ["package", "triton", "--out", str(out), "--delay-ms", "0.5", "--json"])
    written = [Path(path) for path in json.loads(result.stdout)["written"]]
    assert sorted(path for path in out.rglob("*") if path.is_file()) == sorted(written)
    configs = read_configs(*written[::2])
    assert names(configs) == ["fused", "generator", "denoiser", "photo", "photo-grey"]
    for config in configs:
        model = out / config["name"] / "1/model.onnx"
        assert model.read_bytes() == (runtime.SHIPPED / f"{config['name']}.onnx").read_bytes()
        assert config["backend"] == "onnxruntime"
        check_agrees(config, model)
    fused, photo = configs[0], configs[3]
    assert fused["max_batch_size"] == 64
    assert fused["dynamic_batching"] == {"preferred_batch_size": [64], "max_queue_delay_microseconds": "500"}
    assert [request["batch_size"] for request in fused["model_warmup"]] == [1, 64]
    assert fused["parameters"]["classes"]["string_value"].startswith("T-shirt/top, Trouser, ")
    assert fused["parameters"]["class_of_z"]["string_value"] == "the largest of the last 10 entries of z"
    assert (photo["max_batch_size"], photo["input"][0]["dims"]) == (1, ["3", "-1", "-1"])
    assert "dynamic_batching" not in photo
    assert photo["parameters"]["height and width"]["string_value"] == "multiples of 8"


def test_a_model_of_ones_own_and_class_names_of_any_text_are_written(
    exported: Path, tmp_path: Path, identity_graph: Callable[..., bytes]
) -> None:
    written = write_triton(exported, tmp_path / "own", batch=1)
    text = 'a "b"', "c\\d\n", "été"
    file = tmp_path / "some.onnx"
    file.write_bytes(with_class_names(identity_graph(4), *text))
    written += write_triton(file, tmp_path / "classes", batch=3)
    configs = read_configs(*written[::2])
    assert names(configs) == ["fused", "generator", "denoiser", "fused"]
    for config, model in zip(configs, written[1::2], strict=True):
        check_agrees(config, model)
    assert [config["max_batch_size"] for config in configs] == [1, 1, 1, 3]
    assert "dynamic_batching" not in configs[0]
    assert "parameters" not in configs[0]
    assert configs[3]["parameters"]["classes"]["string_value"] == ", ".join(text)
    assert configs[3]["output"][0]["dims"] == ["1", "4", "4"]


def test_another_version_goes_beside_the_first_and_other_contents_are_kept(
    exported: Path, tmp_path: Path, identity_graph: Callable[..., bytes]
) -> None:
    out, file = tmp_path / "out", exported / "fused.onnx"
    write_triton(file, out)
    write_triton(file, out)  # the same once more
    write_triton(file, out, version=2)
    assert sorted(path.name for path in (out / "fused").iterdir()) == ["1", "2", CONFIG]
    config = (out / "fused" / CONFIG).read_text()
    other = tmp_path / "other.onnx"
    other.write_bytes(identity_graph(4))
    with pytest.raises(OutputError, match=r"fused/config\.pbtxt: exists"):
        write_triton(other, out, version=3)
    assert not (out / "fused/3").exists()
    assert (out / "fused" / CONFIG).read_text() == config
    write_triton(other, out, version=3, force=True)
    assert "dims: [16]" in (out / "fused" / CONFIG).read_text()


def test_what_is_no_model_is_refused(tmp_path: Path, exported: Path) -> None:
    with pytest.raises(InputError, match=r"expected a file, or a folder with fused\.onnx, generator\.onnx"):
        write_triton(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="expected a graph noisy -> denoised, got image -> features, logits"):
        write_triton(exported / "features.onnx", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file: expected a folder, got a file"):
        write_triton(exported, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_the_schema_refuses_what_it_does_not_know(tmp_path: Path, exported: Path) -> None:
    text = describe_model("fused", Graph((exported / "fused.onnx").read_bytes(), FUSED, "fused", threads=1), 64, 2)
    (tmp_path / "wrong").write_text(text.replace("max_batch_size", "largest_batch"))
    with pytest.raises(AssertionError, match="largest_batch"):
        read_configs(tmp_path / "wrong")
