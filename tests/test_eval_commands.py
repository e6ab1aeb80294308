"""`bench` and `eval` end to end, on the graphs of a tiny trained run and the excerpt of real images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import numpy_helper
from scipy import linalg
from typer.testing import CliRunner

from gan_denoise.data import fashion_mnist, sources
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.errors import GateError, InputError, UsageError
from gan_denoise.eval import commands, generation, restoration, tuning
from gan_denoise.eval.bench import run_bench
from gan_denoise.eval.contenders import CONTENDERS, FUSED, TWO_GRAPHS, Worker
from gan_denoise.export import runtime

METHODS = {"noisy", "network", "median", "total variation", "wavelet", "non-local means"}

cli = typer.Typer()
cli.command()(commands.bench)
cli.add_typer(commands.app, name="eval")


@pytest.fixture
def shipped(exported: Path, excerpt: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny run's export in the place of the shipped one, and the excerpt in the place of the full data."""
    monkeypatch.setattr(runtime, "SHIPPED", exported)
    monkeypatch.setattr(sources, "load", lambda folder: excerpt)
    return exported


@pytest.fixture
def graphs(exported: Path) -> tuple[runtime.Graph, runtime.Graph]:
    fused = runtime.load(runtime.FUSED, exported, threads=1)
    return fused, runtime.load(runtime.FEATURES, exported, threads=1)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_json(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    assert content.keys() >= {"command", "version", "model_sha256", "machine", "rows"}
    return content


def test_denoising_gives_every_method_at_every_noise(shipped: Path) -> None:
    content = run_json("eval", "denoising", "-n", "3", "--threads", "1")
    rows = content["rows"]
    assert set(rows[0]) == {"method", "noise", "sigma", "psnr_db", "ssim", "ms_per_image", "n"}
    assert len({(row["method"], row["noise"], row["sigma"]) for row in rows}) == len(rows) == 6 * 2 * 5
    assert {row["method"] for row in rows} == METHODS
    assert {row["n"] for row in rows} == {3}
    assert all((row["ms_per_image"] is None) == (row["method"] == "noisy") for row in rows)
    assert all(row["ms_per_image"] > 0 for row in rows if row["method"] != "noisy")
    assert (content["command"], content["machine"]["threads"]) == ("eval denoising", 1)
    assert content["model_sha256"] == sha256(shipped / "denoiser.onnx")
    assert content["settings"]["images"] == "the first 3 test images"
    noisy = {(row["noise"], round(row["sigma"], 3)): row["psnr_db"] for row in rows if row["method"] == "noisy"}
    for sigma in (0.059, 0.098, 0.196, 0.3, 0.5):
        assert noisy["float", sigma] == pytest.approx(-20 * np.log10(sigma), abs=0.3)  # the noise is all the error
        assert noisy["8-bit", sigma] > noisy["float", sigma] + 0.5  # clipping takes a part of it away


def test_denoising_measures_the_network_that_was_named(shipped: Path, excerpt: Dataset) -> None:
    arguments = ["eval", "denoising", "-n", "4", "--seed", "6", "--model", str(shipped / "denoiser.onnx")]
    rows = [row for row in run_json(*arguments)["rows"] if row["method"] == "network"]
    clean = fashion_mnist.to_float(excerpt.test.images[:4])
    for row in rows:
        noisy = restoration.add_noise(clean, row["sigma"], row["noise"], seed=6)
        restored = runtime.load(runtime.DENOISER, shipped, threads=1)(noisy)[0].clip(0, 1)
        error = ((restored - clean).astype(np.float64) ** 2).mean(axis=(1, 2, 3))
        assert row["psnr_db"] == pytest.approx(float((-10 * np.log10(error)).mean()), abs=1e-3)
        assert row["ssim"] == pytest.approx(restoration.ssim(clean, restored).mean(), abs=1e-4)


@pytest.mark.parametrize("n", ["0", "-1", "10001"])
def test_denoising_takes_1_to_10000_images(n: str, shipped: Path) -> None:
    assert CliRunner().invoke(cli, ["eval", "denoising", "-n", n]).exit_code == 2


def test_generation_has_raw_denoised_and_the_floor(shipped: Path, excerpt: Dataset) -> None:
    content = run_json("eval", "generation", "-n", "66", "--threads", "1")
    rows = content["rows"]
    assert list(rows[0]) == ["set", "n", "frechet", "features", "sharpness", "contrast", "noise"]
    assert [row["set"] for row in rows] == ["raw", "denoised", "real (unseen training images)"]
    assert [row["n"] for row in rows] == [66, 66, 66]
    width = runtime.load(runtime.FEATURES, shipped).output_shapes[0][0]
    assert {row["features"] for row in rows} == {f"fashion-features-{width}@{sha256(shipped / 'features.onnx')[:8]}"}
    assert 0 < rows[2]["frechet"] < 0.5 * rows[0]["frechet"]  # real pictures are nearer to real ones
    assert content["model_sha256"] == sha256(shipped / "fused.onnx")
    assert content["settings"]["reference"] == f"{len(excerpt.test)} test images"


def test_generation_agrees_with_a_plain_computation(graphs: Any, excerpt: Dataset) -> None:
    fused, features = graphs
    rows = list(generation.evaluate_generation(fused, features, excerpt, n=90, seed=3))
    reference = features(fashion_mnist.to_float(excerpt.test.images))[0].astype(np.float64)
    for row, images in zip(rows, fused(runtime.latents(3, 0, 90)), strict=False):
        pixels = np.rint(images * 255).astype(np.float32) / np.float32(255)
        found = features(pixels)[0].astype(np.float64)
        a, b = np.cov(found, rowvar=False), np.cov(reference, rowvar=False)
        offset = ((found.mean(axis=0) - reference.mean(axis=0)) ** 2).sum()
        overlap = np.sqrt(linalg.eigvals(a @ b).real.clip(min=0)).sum()  # the trace of the root of a @ b
        wanted = offset + np.trace(a + b) - 2 * overlap
        assert row["frechet"] == pytest.approx(wanted, rel=1e-3)
        assert row["contrast"] == pytest.approx(pixels.std(axis=(1, 2, 3)).mean(), rel=1e-3)


def test_generation_depends_on_seed_and_not_on_batch(
    graphs: Any, excerpt: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = list(generation.evaluate_generation(*graphs, excerpt, n=70, seed=3))
    other = list(generation.evaluate_generation(*graphs, excerpt, n=70, seed=4))
    monkeypatch.setattr(generation, "BATCH", 7)
    again = list(generation.evaluate_generation(*graphs, excerpt, n=70, seed=3))
    for row, same, different in zip(first, again, other, strict=True):
        for name in ("frechet", "sharpness", "contrast", "noise"):
            assert same[name] == pytest.approx(row[name], rel=1e-3)
        assert (different["contrast"] == pytest.approx(row["contrast"], rel=1e-9)) is row["set"].startswith("real")


def test_real_pictures_against_themselves_are_at_distance_0(graphs: Any, excerpt: Dataset) -> None:
    pictures = generation.real_pictures("same", graphs[1], excerpt.test.images)
    assert pictures.row(pictures.moments.statistics())["frechet"] == pytest.approx(0.0, abs=1e-6)


def test_generation_wants_more_samples_than_features(graphs: Any, excerpt: Dataset) -> None:
    width = graphs[1].output_shapes[0][0]
    assert len(list(generation.evaluate_generation(*graphs, excerpt, n=width + 1))) == 3
    with pytest.raises(UsageError, match=f"-n: {width} found, {width + 1} or more wanted for {width} features"):
        list(generation.evaluate_generation(*graphs, excerpt, n=width))


def test_a_floor_of_too_few_real_images_is_not_measured(graphs: Any, excerpt: Dataset) -> None:
    train = fashion_mnist.Split(excerpt.train.images[:12], excerpt.train.labels[:12])  # 2 of 12 are unseen
    few = dataclasses.replace(excerpt, train=train)
    rows = list(generation.evaluate_generation(*graphs, few, n=70))
    assert [row["frechet"] is None for row in rows] == [False, False, True]


def test_bench_times_all_contenders_and_finds_them_equal(shipped: Path) -> None:
    content = run_json("bench", "--repeats", "2", "--threads", "1", "--model", str(shipped))
    rows = content["rows"]
    assert set(rows[0]) >= {"name", "batch", "p50_ms", "p90_ms", "p99_ms", "images_per_s", "repeats", "spread"}
    assert [(row["batch"], row["name"]) for row in rows] == [(b, name) for b in (1, 8, 64, 256) for name in CONTENDERS]
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["images_per_s"] > 0
        assert row["repeats"] == 2
    assert content["settings"]["not measured"] == {}
    assert content["model_sha256"] == sha256(shipped / "fused.onnx")


def test_bench_refuses_graphs_that_differ(exported: Path, tmp_path: Path) -> None:
    for name in ("fused.onnx", "generator.onnx", "denoiser.onnx"):
        shutil.copy(exported / name, tmp_path)
    proto = onnx.load(tmp_path / "generator.onnx")
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(largest), largest.name))
    onnx.save(proto, tmp_path / "generator.onnx")
    with pytest.raises(GateError, match=r"two graphs: .* off the fused graph"):
        run_bench(tmp_path, 100, threads=1, repeats=1, batches=(2,))


def test_bench_of_one_file_measures_that_alone(exported: Path) -> None:
    rows, skipped = run_bench(exported / "fused.onnx", 100, threads=1, repeats=1, batches=(2,))
    assert [(row["name"], row["batch"]) for row in rows] == [("fused", 2)]
    assert set(skipped) == {"two graphs", "eager PyTorch"}


def test_workers_answer_with_the_graphs_outputs(exported: Path) -> None:
    z = runtime.latents(5, 0, 3)
    wanted = runtime.load(runtime.FUSED, exported, threads=1)(z)
    with Worker(FUSED, exported, 1) as fused, Worker(TWO_GRAPHS, exported, 1) as two:
        for worker in (fused, two):
            for found, output in zip(worker.run(z), wanted, strict=True):
                np.testing.assert_allclose(found, output, rtol=0, atol=1e-5)
        times = fused.time(z, 4)
    assert len(times) == 4
    assert min(times) > 0


@pytest.mark.parametrize("arguments", [["bench"], ["eval", "denoising"], ["eval", "generation"]])
def test_two_formats_and_a_file_that_is_no_model_are_refused(arguments: list[str], shipped: Path) -> None:
    result = CliRunner().invoke(cli, [*arguments, "--json", "--markdown"])
    assert isinstance(result.exception, UsageError)
    result = CliRunner().invoke(cli, [*arguments, "--model", str(shipped / "sha256.json")])
    assert isinstance(result.exception, InputError)
    assert result.stdout == ""


def test_markdown_and_text_without_a_terminal(shipped: Path) -> None:
    markdown = CliRunner().invoke(cli, ["eval", "denoising", "-n", "1", "--markdown"], catch_exceptions=False)
    assert "| method | noise | sigma | psnr_db | ssim | ms_per_image | n |" in markdown.stdout
    text = CliRunner().invoke(cli, ["eval", "denoising", "-n", "1"], catch_exceptions=False)
    assert {line.split("│")[1].strip() for line in text.stdout.splitlines() if line.startswith("│")} >= METHODS
    assert "\x1b" not in text.stdout
    assert "\x1b" not in text.stderr


def test_tune_writes_its_file_and_keeps_one_that_exists(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, grid in tuning.GRIDS.items():
        monkeypatch.setitem(tuning.GRIDS, method, {name: values[:1] for name, values in grid.items()})
    out = tmp_path / "new folder" / "tuned.json"
    result = CliRunner().invoke(cli, ["eval", "tune", "-n", "2", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert (content["n"], content["seed"], len(content["rows"])) == (2, 1, 40)
    result = CliRunner().invoke(cli, ["eval", "tune", "-n", "1", "--out", str(out)])
    assert getattr(result.exception, "exit_code", 0) == 4
    assert json.loads(out.read_text()) == content
    assert CliRunner().invoke(cli, ["eval", "tune", "-n", "1", "--out", str(out), "--force"]).exit_code == 0
    assert json.loads(out.read_text())["n"] == 1


def test_nothing_on_the_way_imports_torch() -> None:
    modules = ("commands", "reports", "contenders", "peers", "tuning")
    imports = "".join(f"import gan_denoise.eval.{module}; " for module in modules)
    subprocess.run([sys.executable, "-c", f"{imports}import sys; assert 'torch' not in sys.modules"], check=True)
