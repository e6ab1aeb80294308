"""The shipped graph quantized: what is rounded, what is not, how near the images are, and a gate that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import GateError, InputError, OutputError
from gan_denoise.eval.bench.tables import bench_report
from gan_denoise.eval.bench.timing import run_bench
from gan_denoise.export import latents, runtime
from gan_denoise.export.package.quantize import FLOAT16, INT8, quantize

SHIPPED = runtime.SHIPPED / "fused.onnx"


@pytest.fixture(scope="module")
def int8() -> tuple[bytes, float]:
    return quantize(None, INT8, threads=2)


def graph_of(content: bytes) -> runtime.Graph:
    return runtime.Graph(content, runtime.FUSED, "made", threads=2)


def weights_of(content: bytes) -> dict[str, onnx.TensorProto]:
    return {weight.name: weight for weight in onnx.load_model_from_string(content).graph.initializer}


def test_float16_rounds_each_weight_to_a_half_and_computes_as_before() -> None:
    content, agreement = quantize(None, FLOAT16)
    assert len(content) < 0.52 * SHIPPED.stat().st_size
    assert 60 <= agreement < 100  # rounded, and near
    original, quantized = weights_of(SHIPPED.read_bytes()), weights_of(content)
    for name, weight in original.items():
        if np.prod(weight.dims) >= 64 and weight.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(quantized[f"{name}/half"])
            np.testing.assert_array_equal(half, numpy_helper.to_array(weight).astype(np.float16))
        else:
            assert quantized[name] == weight
    z = latents.latents(3, 0, 5)
    for images, reference in zip(graph_of(content)(z), runtime.load_graph(runtime.FUSED)(z), strict=True):
        assert images.dtype == np.float32
        np.testing.assert_allclose(images, reference, rtol=0, atol=5e-3)


def test_int8_takes_the_denoisers_inner_convolutions_and_nothing_else(int8: tuple[bytes, float]) -> None:
    content, agreement = int8
    nodes = {node.name: node for node in onnx.load_model_from_string(content).graph.node}
    makers = {output: node.op_type for node in nodes.values() for output in node.output}
    convolutions = [node.name for node in onnx.load(SHIPPED).graph.node if node.op_type == "Conv"]
    integers = [name for name in convolutions if makers.get(nodes[name].input[1]) == "DequantizeLinear"]
    assert integers == [name for name in convolutions if name.startswith("denoiser/")][1:-1]
    originals, weights = {node.name: node for node in onnx.load(SHIPPED).graph.node}, weights_of(SHIPPED.read_bytes())
    size = 4 * sum(np.prod(weights[originals[name].input[1]].dims) for name in integers)  # bytes, a quarter in int8
    assert 0.7 * size < SHIPPED.stat().st_size - len(content) < 0.75 * size
    z = latents.latents(3, 0, 9)
    (image, denoised), (raw, reference) = graph_of(content)(z), runtime.load_graph(runtime.FUSED)(z)
    np.testing.assert_allclose(image, raw, rtol=0, atol=1e-6)
    assert 45 <= agreement < 60
    assert -10 * np.log10(np.mean((denoised - reference) ** 2)) > 45


def test_int8_weights_fit_processors_that_add_in_16_bits(int8: tuple[bytes, float]) -> None:
    weights = [numpy_helper.to_array(w) for w in weights_of(int8[0]).values() if w.data_type == TensorProto.INT8]
    large = [weight for weight in weights if weight.ndim == 4]
    assert large
    assert max(int(np.abs(weight).max()) for weight in large) == 64


def test_the_same_graph_gives_the_same_file(int8: tuple[bytes, float]) -> None:
    assert quantize(None, INT8, threads=2) == int8


def test_the_file_says_what_it_is_and_where_it_came_from(int8: tuple[bytes, float]) -> None:
    assert graph_of(int8[0]).metadata == runtime.load_graph(runtime.FUSED).metadata | {"precision": "int8"}


def test_weights_too_large_for_float16_fail_the_gate(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported / "fused.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = numpy_helper.to_array(largest).copy()
    values.flat[0] = 1e6  # too large for float16
    largest.CopyFrom(numpy_helper.from_array(values, largest.name))
    onnx.save(model, tmp_path / "fused.onnx")
    with pytest.raises(GateError, match=r"quantize: expected a PSNR of 60 dB or more to float32, got \S+ dB"):
        quantize(tmp_path, FLOAT16)


def test_int8_refuses_a_denoiser_without_inner_convolutions(exported: Path) -> None:
    with pytest.raises(InputError, match="quantize int8: expected a denoiser of 3 or more convolutions") as caught:
        quantize(exported, INT8)
    assert caught.value.hint == "gan-denoise quantize float16 takes it"


def test_only_images_in_float32_are_taken(
    tmp_path: Path, int8: tuple[bytes, float], identity_graph: Callable[..., bytes]
) -> None:
    (tmp_path / "fused.onnx").write_bytes(int8[0])
    for precision in (FLOAT16, INT8):
        with pytest.raises(InputError, match="quantize: expected a graph in float32, got one in int8"):
            quantize(tmp_path, precision)
    (tmp_path / "fused.onnx").write_bytes(identity_graph(8, flat=True))
    with pytest.raises(InputError, match=r"image: expected channels, height and width, got \[64\]"):
        quantize(tmp_path, FLOAT16)
    (tmp_path / "fused.onnx").write_bytes(identity_graph(8, opset=12))
    with pytest.raises(InputError, match="quantize int8: expected a graph of opset 13 or later, got 12"):
        quantize(tmp_path, INT8)


def test_a_backend_that_rounds_integers_otherwise_is_not_compared_with_int8(
    tmp_path: Path, int8: tuple[bytes, float]
) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "fused.onnx").write_bytes(int8[0])
    report = bench_report(tmp_path / "fused.onnx", 1, threads=2, third_party=["openvino"], pause_s=0)
    assert {row["name"] for row in report.rows} == {"fused", "one plain session"}
    assert report.settings["precision"] == "int8"
    assert report.skipped["OpenVINO, latency"] == "rounds integers differently"


def test_the_command_writes_one_file_that_generate_and_bench_take(tmp_path: Path, exported: Path) -> None:
    out = tmp_path / "half.onnx"
    arguments = ["quantize", "float16", str(exported), "--out", str(out)]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.stdout.startswith(f"{out}  {out.stat().st_size:,} bytes, PSNR ")
    assert f"next: gan-denoise bench --model {exported} --vs float16={out}" in result.stderr
    assert out.read_bytes() == quantize(exported, FLOAT16)[0]
    assert isinstance(CliRunner().invoke(app, arguments).exception, OutputError)
    assert CliRunner().invoke(app, ["quantize", "int4", "--out", str(tmp_path / "x.onnx")]).exit_code == 2
    assert not (tmp_path / "x.onnx").exists()
    grid = tmp_path / "grid.png"
    CliRunner().invoke(app, ["generate", "--model", str(out), "-n", "4", "--out", str(grid)], catch_exceptions=False)
    assert grid.stat().st_size > 0
    rows, _ = run_bench(exported, 100, threads=1, repeats=2, batches=(3,), models={"half": out})
    assert [row["name"] for row in rows] == ["fused", "one plain session", "two graphs", "half"]
    assert all(row["images_per_s"] > 0 and row["relative_time"] > 0 for row in rows)
