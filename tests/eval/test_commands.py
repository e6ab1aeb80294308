"""`bench` and `eval` end to end, on the graphs of a tiny trained run and the excerpt of real images."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import typer
from onnx import numpy_helper
from typer.testing import CliRunner

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float, to_uint8
from gan_denoise.errors import GateError, InputError, UsageError
from gan_denoise.eval import commands, noise
from gan_denoise.eval.bench import tables
from gan_denoise.eval.bench.timing import run_bench
from gan_denoise.eval.bench.worker import Worker
from gan_denoise.eval.denoising import methods as methods_module
from gan_denoise.eval.denoising import tables as denoising_tables
from gan_denoise.eval.denoising import tuning
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.methods import CLASSICAL, classical, not_installed
from gan_denoise.eval.generation import evaluate, reference
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.eval.labels import EAGER, FUSED, LATENCY, OWN_PRECISION, PLAIN, SUPPORT_VECTORS, THROUGHPUT, TWO_GRAPHS
from gan_denoise.eval.metrics import ffd, nearest_neighbours, psnr_ssim
from gan_denoise.export import graph_size, latents, runtime
from gan_denoise.machine import computes_bfloat16

pytestmark = pytest.mark.usefixtures("fast_regression")
METHODS = {"noisy", "network", *CLASSICAL}

cli = typer.Typer()
cli.command()(commands.bench)
cli.add_typer(commands.app, name="eval")


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing else runs, whatever the tests run on."""
    monkeypatch.setattr(tables, "busy_cores", lambda: 0.0)


@pytest.fixture
def shipped(exported: Path, excerpt: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny run's export with the real feature network as the shipped graphs, and the excerpt as the data."""
    folder = tmp_path / "shipped"
    shutil.copytree(exported, folder)
    shutil.copy(runtime.SHIPPED / "features.onnx", folder)
    hashes = {**json.loads((exported / "sha256.json").read_text()), "features.onnx": ffd.load_pinned_metric().sha256}
    (folder / "sha256.json").write_text(json.dumps(hashes))
    monkeypatch.setattr(runtime, "SHIPPED", folder)
    monkeypatch.setattr(sources, "load_fashion_mnist", lambda data: excerpt)
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_json(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    assert content.keys() >= {
        "schema",
        "command",
        "version",
        "model_sha256",
        "machine",
        "settings",
        "notes",
        "skipped",
        "rows",
    }
    return content


def test_denoising_gives_every_method_at_every_noise(shipped: Path) -> None:
    content = run_json("eval", "denoising", "-n", "3", "--threads", "1")
    rows = content["rows"]
    quality = {"method", "noise", "sigma", "psnr_db", "psnr_se", "ssim"}
    assert set(rows[0]) == quality | {"ms_per_image", "parameters", "multiply_adds", "n"}
    assert len({(row["method"], row["noise"], row["sigma"]) for row in rows}) == len(rows) == 9 * 2 * 6
    assert {row["method"] for row in rows} == METHODS
    assert {row["n"] for row in rows} == {3}
    for row in rows:
        ran = row["method"] == "network" or (row["method"] != "noisy" and row["sigma"] > 0)
        assert (row["ms_per_image"] or 0) > 0 if ran else row["ms_per_image"] is None
        if row["method"] != "network":
            assert (row["parameters"], row["multiply_adds"]) == (None, None)
            assert (row["psnr_db"] == PSNR_CAP_DB) == (row["sigma"] == 0)
        if row["method"] in CLASSICAL and row["sigma"] > 0.1:
            assert row["psnr_db"] > noisy_psnr(rows, row) + 1
    assert content["skipped"] == {}
    assert (content["command"], content["machine"]["threads"]) == ("eval denoising", 1)
    assert content["model_sha256"] == sha256(shipped / "denoiser.onnx")
    assert content["settings"]["images"] == "the first 3 test images"
    noisy = {(row["noise"], round(row["sigma"], 3)): row["psnr_db"] for row in rows if row["method"] == "noisy"}
    for sigma in (0.059, 0.098, 0.196, 0.3, 0.5):
        assert noisy["float", sigma] == pytest.approx(-20 * np.log10(sigma), abs=0.3)  # the noise is all the error
        assert noisy["8-bit", sigma] > noisy["float", sigma] + 0.5  # clipping takes a part of it away


def noisy_psnr(rows: list[dict[str, Any]], row: dict[str, Any]) -> float:
    same = [r for r in rows if r["method"] == "noisy" and (r["noise"], r["sigma"]) == (row["noise"], row["sigma"])]
    return float(same[0]["psnr_db"])


@pytest.fixture
def networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denoising_tables, "classical", lambda tuned, training: {})


def test_networks_stand_side_by_side_and_on_all_images(shipped: Path, networks_only: None) -> None:
    other = Path(runtime.__file__).parent / "shipped"
    arguments = ["-n", "4", "--model", str(shipped), "--name", "mine", "--versus", f"theirs={other}", "--all"]
    content = run_json("eval", "denoising", *arguments, "--threads", "2")
    rows = content["rows"]
    assert [row["n"] for row in rows] == [4] * 36 + [100] * 36
    assert {row["method"] for row in rows[36:]} == {"noisy", "mine", "theirs"}
    for name, folder in (("mine", shipped), ("theirs", other)):
        size = graph_size.graph_size_of_file(folder / "denoiser.onnx")
        actual = {(row["parameters"], row["multiply_adds"]) for row in rows if row["method"] == name}
        assert actual == {(size.parameters, size.multiply_adds)}
        assert content["settings"]["networks"][name] == sha256(folder / "denoiser.onnx")[:12]
    trained = [row["psnr_db"] for row in rows if row["method"] == "theirs" and row["sigma"] > 0.2]
    assert min(trained) > max(row["psnr_db"] for row in rows if row["method"] == "noisy" and row["sigma"] > 0.2)
    assert content["model_sha256"] == sha256(shipped / "denoiser.onnx")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--versus", "denoiser.onnx"],
        ["--versus", "=denoiser.onnx"],
        ["--versus", "a="],
        ["--versus", "median=denoiser.onnx"],
        ["--versus", "network=denoiser.onnx"],
        ["--versus", "a=b", "--versus", "a=c"],
        ["--name", "noisy"],
        ["--name", ""],
    ],
)
def test_a_name_that_is_none_or_taken_is_refused(arguments: list[str], shipped: Path) -> None:
    result = CliRunner().invoke(cli, ["eval", "denoising", *arguments])
    assert isinstance(result.exception, UsageError)
    assert ": expected " in result.exception.message


def test_what_is_not_installed_is_left_out_and_named(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods_module, "find_spec", lambda module: None)
    missing = not_installed()
    assert missing.keys() == {"BM3D", SUPPORT_VECTORS}
    assert missing["BM3D"] == 'bm3d: not installed, pip install "gan-denoise[compare]"'
    assert classical({}, np.zeros((0, 1, 28, 28), np.float32)).keys() == set(CLASSICAL) - missing.keys()
    monkeypatch.setattr(denoising_tables, "evaluate_denoising", lambda methods, clean, *a, **k: [])
    result = CliRunner().invoke(cli, ["eval", "denoising", "-n", "1", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["skipped"] == missing
    assert "BM3D: not measured (bm3d: not installed" in result.stderr
    result = CliRunner().invoke(cli, ["eval", "tune", "--out", "never.json"])
    assert isinstance(result.exception, InputError)
    assert "bm3d: not installed" in result.exception.message


def test_denoising_measures_the_network_that_was_named(shipped: Path, excerpt: Dataset, networks_only: None) -> None:
    arguments = ["eval", "denoising", "-n", "4", "--seed", "6", "--model", str(shipped / "denoiser.onnx")]
    rows = [row for row in run_json(*arguments)["rows"] if row["method"] == "network"]
    clean = to_float(excerpt.test.images[:4])
    for row in rows:
        noisy = noise.add_noise(clean, row["sigma"], row["noise"], seed=6)
        restored = runtime.load_graph(runtime.DENOISER, shipped, threads=1)(noisy)[0].clip(0, 1)
        error = ((restored - clean).astype(np.float64) ** 2).mean(axis=(1, 2, 3))
        assert row["psnr_db"] == pytest.approx(float((-10 * np.log10(error)).mean()), abs=1e-3)
        assert row["ssim"] == pytest.approx(psnr_ssim.ssim(clean, restored).mean(), abs=1e-4)


@pytest.mark.parametrize("n", ["0", "-1", "10001"])
def test_denoising_takes_1_to_10000_images(n: str, shipped: Path) -> None:
    assert CliRunner().invoke(cli, ["eval", "denoising", "-n", n]).exit_code == 2


def test_generation_measures_the_model_that_was_named(shipped: Path, excerpt: Dataset) -> None:
    arguments = ["-n", "100", "--seed", "2", "--threads", "1", "--model", str(shipped / "fused.onnx")]
    content = run_json("eval", "generation", *arguments)
    real = reference.measure_real(excerpt, load_extractor("ffd-1", 1), 100)
    expected = evaluate.evaluate_generation(runtime.load_graph(runtime.FUSED, shipped, threads=1), real, 100, seed=2)
    for row, plain in zip(content["rows"], expected, strict=True):
        assert row == {key: pytest.approx(value) for key, value in plain.items()}
    assert content["model_sha256"] == sha256(shipped / "fused.onnx")
    assert content["settings"]["reference"] == f"{len(excerpt.test)} test images"
    assert content["settings"]["features"] == f"fashion-features-96@{ffd.load_pinned_metric().sha256[:8]}"


def test_classes_and_copies_measure_the_same_images(shipped: Path, excerpt: Dataset) -> None:
    rows = run_json("eval", "classes", "-n", "100", "--threads", "1")["rows"]
    assert len(rows) == 3 * 10
    assert {row["recall"] is None or 0 <= row["recall"] <= 1 for row in rows} == {True}
    content = run_json("eval", "copies", "-n", "30", "--threads", "1")
    assert [(row["set"], row["n"]) for row in content["rows"]] == [("raw", 30), ("denoised", 30), ("test images", 30)]
    raw = to_uint8(runtime.load_graph(runtime.FUSED, shipped, threads=1)(latents.latents(0, 0, 30))[0])
    expected = np.median(nearest_neighbours.find_nearest(raw, excerpt.train.images)[0])
    assert content["rows"][0]["median_distance"] == pytest.approx(expected, rel=1e-3)
    assert content["model_sha256"] == sha256(shipped / "fused.onnx")


def test_controls_need_enough_held_out_images(shipped: Path, excerpt: Dataset) -> None:
    result = CliRunner().invoke(cli, ["eval", "controls", "-n", "100", "--threads", "1", "--model", str(shipped)])
    assert isinstance(result.exception, InputError)
    assert "features: expected at least 97 samples of width 96, got 33 samples" in result.exception.message


@pytest.mark.parametrize("command", ["generation", "classes", "controls"])
def test_96_images_are_too_few_for_96_features(command: str, shipped: Path) -> None:
    result = CliRunner().invoke(cli, ["eval", command, "-n", "96"])
    assert (result.exit_code, result.stdout) == (2, "")


def test_bench_times_all_backends_and_finds_them_equal(shipped: Path) -> None:
    options = ("--vs", "openvino,torch", "--repeats", "2", "--threads", "1", "--pause", "0")
    content = run_json("bench", *options, "--model", str(shipped))
    rows = content["rows"]
    assert set(rows[0]) >= {"name", "batch", "p50_ms", "p90_ms", "p99_ms", "images_per_s", "repeats", "spread"}
    own = [] if computes_bfloat16() is False else [OWN_PRECISION]
    names = (FUSED, PLAIN, TWO_GRAPHS, LATENCY, THROUGHPUT, *own, EAGER)
    assert [(row["batch"], row["name"]) for row in rows] == [(b, name) for b in (1, 8, 64, 256) for name in names]
    for row in rows:
        assert row["p50_ms"] > 0
        assert row["images_per_s"] > 0
        assert row["repeats"] == 2
        assert (row["relative_time"] == 1) is (row["name"] == FUSED)
        assert row["sgemm_fraction"] > 0
        if row["name"] == FUSED:
            assert row["largest_difference"] == 0
        elif row["name"] == OWN_PRECISION:
            assert 1e-4 < row["largest_difference"] < 0.1  # bfloat16; the other rows have less than 1e-4
        else:
            assert 0 <= row["largest_difference"] < 1e-4
    assert list(content["skipped"]) == ([] if own else [OWN_PRECISION])
    assert (content["settings"]["provider"], content["machine"]["provider"]) == ("cpu", "cpu")
    assert content["model_sha256"] == sha256(shipped / "fused.onnx")
    assert content["machine"]["versions"]["openvino"]


def test_bench_refuses_unknown_backends(shipped: Path) -> None:
    result = CliRunner().invoke(cli, ["bench", "--vs", "torch,tensorrt"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "--vs: expected torch, compile, openvino or NAME=FILE|FOLDER, got tensorrt"


def test_bench_times_another_model_of_the_same_latents(
    exported: Path, tmp_path: Path, identity_graph: Callable[..., bytes]
) -> None:
    model = ("--model", str(exported), "--vs", f"other={exported}")
    content = run_json("bench", "--repeats", "1", "--threads", "1", "--pause", "0", *model)
    assert [row["name"] for row in content["rows"][:4]] == ["fused", "one plain session", "two graphs", "other"]
    assert list(content["settings"]["models"]) == ["other"]
    assert content["settings"]["models"]["other"].endswith(sha256(exported / "fused.onnx")[:12])
    (tmp_path / "fused.onnx").write_bytes(identity_graph(8))
    result = CliRunner().invoke(cli, ["bench", "--vs", f"other={tmp_path}"])
    assert isinstance(result.exception, InputError)
    assert result.exception.message == "other: expected z of 100, got 64"
    result = CliRunner().invoke(cli, ["bench", "--profile", "--vs", "torch"])
    assert isinstance(result.exception, UsageError)


def test_the_profile_has_every_node_once_a_batch(shipped: Path) -> None:
    content = run_json("bench", "--profile", "--repeats", "2", "--threads", "1", "--model", str(shipped))
    for batch in (1, 8, 64, 256):
        rows = [row for row in content["rows"] if row["batch"] == batch]
        assert {"Conv", "ConvTranspose", "Gemm"} & {row["operator"] for row in rows}
        assert sum(row["fraction"] for row in rows) == pytest.approx(1)
    assert content["settings"]["repeats"] == 2


def test_bench_refuses_graphs_that_differ(exported: Path, tmp_path: Path) -> None:
    for name in ("fused.onnx", "generator.onnx", "denoiser.onnx"):
        shutil.copy(exported / name, tmp_path)
    proto = onnx.load(tmp_path / "generator.onnx")
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(largest), largest.name))
    onnx.save(proto, tmp_path / "generator.onnx")
    with pytest.raises(GateError, match=r"two graphs: expected outputs within 0\.0001 of the fused graph's at batch 2"):
        run_bench(tmp_path, 100, threads=1, repeats=1, batches=(2,), pause_s=0, warm_up=0)


def test_bench_of_one_file_measures_that_alone(exported: Path) -> None:
    rows, skipped = run_bench(exported / "fused.onnx", 100, threads=1, repeats=1, batches=(2,), pause_s=0, warm_up=0)
    assert [(row["name"], row["batch"]) for row in rows] == [("fused", 2), ("one plain session", 2)]
    assert set(skipped) == {"two graphs"}


def test_workers_answer_with_the_graphs_outputs(exported: Path) -> None:
    z = latents.latents(5, 0, 3)
    expected = runtime.load_graph(runtime.FUSED, exported, threads=1)(z)
    with Worker(FUSED, exported, 1) as fused, Worker(TWO_GRAPHS, exported, 1) as two:
        for worker in (fused, two):
            for actual, output in zip(worker.run(z), expected, strict=True):
                np.testing.assert_allclose(actual, output, rtol=0, atol=1e-5)
        times = fused.time(z, 4)
    assert len(times) == 4
    assert min(times) > 0


@pytest.mark.parametrize(
    "arguments", [["bench"], *(["eval", name] for name in ("denoising", "generation", "classes", "copies"))]
)
def test_two_formats_and_a_file_that_is_no_model_are_refused(arguments: list[str], shipped: Path) -> None:
    result = CliRunner().invoke(cli, [*arguments, "--json", "--format", "markdown"])
    assert isinstance(result.exception, UsageError)
    result = CliRunner().invoke(cli, [*arguments, "--model", str(shipped / "sha256.json")])
    assert isinstance(result.exception, InputError)
    assert result.stdout == ""


def test_markdown_and_text_without_a_terminal(shipped: Path, networks_only: None) -> None:
    markdown = CliRunner().invoke(cli, ["eval", "denoising", "-n", "1", "--format", "markdown"], catch_exceptions=False)
    heads = "| n | noise | method | 0 | 15/255 | 25/255 | 50/255 | 0.3 | 0.5 | ms/image | parameters | multiply-adds |"
    assert heads in markdown.stdout
    assert "| 1 | float | noisy | 100.00 1.000 | " in markdown.stdout
    assert sum(line.startswith("| 1 | ") for line in markdown.stdout.splitlines()) == 4
    csv = CliRunner().invoke(
        cli, ["eval", "denoising", "-n", "1", "--format", "csv", "--quiet"], catch_exceptions=False
    )
    assert csv.stdout.startswith("method,noise,sigma,psnr_db,psnr_se,ssim,")
    assert len(csv.stdout.splitlines()) == 1 + 2 * 2 * 6
    text = CliRunner().invoke(cli, ["eval", "denoising", "-n", "1"], catch_exceptions=False)
    cells = [line.split("│")[3].strip() for line in text.stdout.splitlines() if line.startswith("│")]
    assert cells == ["noisy", "network"] * 2
    assert "for non-commercial use only" in text.stdout
    assert "\x1b" not in text.stdout
    assert "\x1b" not in text.stderr


def test_the_next_command_accepts_the_model_that_was_measured(shipped: Path, networks_only: None) -> None:
    def hints(*arguments: str) -> list[str]:
        result = CliRunner().invoke(cli, [*arguments, "--threads", "1"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return [line for line in result.stderr.splitlines() if line.startswith("next: ")]

    fused, denoiser = str(shipped / "fused.onnx"), str(shipped / "denoiser.onnx")
    denoising, copies = ("eval", "denoising", "-n", "1", "--model"), ("eval", "copies", "-n", "2", "--model")
    assert hints(*denoising, str(shipped)) == [f"next: gan-denoise eval generation --model {shipped}"]
    assert hints(*denoising, denoiser) == []  # one file, which generates nothing
    assert hints(*copies, str(shipped)) == [f"next: gan-denoise eval controls --model {shipped}"]
    assert hints(*copies, fused) == [f"next: gan-denoise eval generation --model {fused}"]  # controls need a denoiser


def test_tune_writes_its_file_and_keeps_one_that_exists(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, grid in tuning.GRIDS.items():
        monkeypatch.setitem(tuning.GRIDS, method, {name: values[:1] for name, values in grid.items()})
    out = tmp_path / "new folder" / "tuned.json"
    result = CliRunner().invoke(cli, ["eval", "tune", "-n", "2", "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content = json.loads(out.read_text())
    assert (content["n"], content["seed"], len(content["rows"])) == (2, 1, 60)
    result = CliRunner().invoke(cli, ["eval", "tune", "-n", "1", "--out", str(out)])
    assert getattr(result.exception, "exit_code", 0) == 4
    assert json.loads(out.read_text()) == content
    assert CliRunner().invoke(cli, ["eval", "tune", "-n", "1", "--out", str(out), "--force"]).exit_code == 0
    assert json.loads(out.read_text())["n"] == 1


def test_nothing_on_the_way_imports_torch_or_an_extra() -> None:
    folder = Path(commands.__file__).parent
    modules = [path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.py")]
    imports = "".join(f"import gan_denoise.eval.{'.'.join(module)}; " for module in modules)
    code = f"{imports}import sys; print({{'torch', 'sklearn', 'bm3d', 'bm4d'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
