from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from gan_denoise import machine
from gan_denoise.console import untracked
from gan_denoise.errors import GateError, InputError, OutputError, UsageError
from gan_denoise.eval.bench import backends, third_party, timing
from gan_denoise.eval.bench.backends import SIDE, load_pipeline, parse_backends, reason_to_skip
from gan_denoise.eval.bench.profile import node_rows
from gan_denoise.eval.bench.timing import compare, relative_time, sgemm_fraction, timing_summary
from gan_denoise.eval.bench.worker import Worker
from gan_denoise.eval.labels import COMPILED, EAGER, FUSED, LATENCY, PLAIN, SGEMM, THROUGHPUT, TWO_GRAPHS
from gan_denoise.export import latents, runtime

pytestmark = pytest.mark.xdist_group("serial")  # alone among the tests of times and kills


def test_summary_of_known_times() -> None:
    rounds = [[0.010] * 50, [0.010] * 40 + [0.020] * 10]
    row = timing_summary("fused", 8, rounds)
    assert (row["name"], row["batch"], row["repeats"]) == ("fused", 8, 100)
    assert row["p50_ms"] == pytest.approx(10.0)
    assert row["p90_ms"] == pytest.approx(11.0)  # between call 89 (10 ms) and call 90 (20 ms), at 89.1
    assert row["p99_ms"] == pytest.approx(20.0)
    assert row["images_per_s"] == pytest.approx(8 * 100 / 1.1)
    assert row["spread"] == pytest.approx(0.0, abs=1e-12)
    assert row["stable"] is True


@pytest.mark.parametrize(("slow", "stable"), [(0.0119, True), (0.0130, False)])
def test_rounds_that_differ_by_more_than_a_fifth_are_marked(slow: float, stable: bool) -> None:
    row = timing_summary("fused", 1, [[0.010] * 5, [0.010] * 5, [slow] * 3])
    assert row["spread"] == pytest.approx(slow / 0.010 - 1)
    assert row["stable"] is stable


def test_one_round_has_no_spread() -> None:
    row = timing_summary("fused", 1, [[0.010, 0.020]])
    assert (row["spread"], row["stable"]) == (None, None)


def test_each_backend_follows_each_other_one() -> None:
    class Noting:
        def __init__(self, name: str) -> None:
            self.name = name

        def time(self, z: np.ndarray, calls: int) -> list[float]:
            order.append(self.name)
            return [0.0] * calls

    order: list[str] = []
    workers = [Noting(name) for name in "abc"]
    z = np.zeros((1, 100), np.float32)
    timing._time_in_turns(workers, {1: z}, repeats=10, track=untracked, pause_s=0, warm_up=3)  # type: ignore[arg-type]
    rounds = ["".join(order[i : i + 3]) for i in range(3, len(order), 3)]
    assert all(sorted(turns) == list("abc") for turns in rounds)
    assert {turns[i : i + 2] for turns in rounds for i in (0, 1)} == {"ab", "ac", "ba", "bc", "ca", "cb"}


def test_the_ratio_pairs_the_rounds_so_a_slow_minute_of_the_machine_does_not_count() -> None:
    fused = [[0.010, 0.010, 0.5], [0.020] * 3, [0.040] * 3]
    row = relative_time([[0.020, 0.020, 0.020], [0.040] * 3, [0.080] * 3], fused)
    assert row == pytest.approx({"relative_time": 2.0, "relative_time_low": 2.0, "relative_time_high": 2.0})
    row = relative_time([[0.020] * 3, [0.020] * 3, [0.080] * 3], fused)
    assert row["relative_time"] == pytest.approx(4 ** (1 / 3))
    low, middle, high = (cast(float, row[f"relative_time{end}"]) for end in ("_low", "", "_high"))
    assert 0 < low < middle < high
    assert relative_time([[0.03]], [[0.02]]) == {
        "relative_time": pytest.approx(1.5),
        "relative_time_low": None,
        "relative_time_high": None,
    }
    assert relative_time(fused, fused)["relative_time"] == 1


def test_the_fraction_of_sgemm_is_of_operations_per_second() -> None:
    row = {"batch": 4, "p50_ms": 500.0}
    products = SIDE**3 // 16  # an image's, of the SIDE^3 that a call of sgemm computes
    assert sgemm_fraction(row, products, [[2.0, 1.0, 1.0]]) == pytest.approx(0.5)  # 4 / 16 in half a second


def test_sgemm_multiplies() -> None:
    (product,) = load_pipeline(SGEMM, None, threads=1)(np.zeros((1, 100), np.float32))
    assert product.shape == (SIDE, SIDE)
    np.testing.assert_allclose(product, SIDE / 4, rtol=1e-5)


def test_backends_are_separated_by_commas() -> None:
    assert parse_backends("openvino, torch,openvino") == (["openvino", "torch"], {})
    assert parse_backends("") == ([], {})
    assert parse_backends("mine=a folder,torch, other=x=y.onnx") == (
        ["torch"],
        {"mine": Path("a folder"), "other": Path("x=y.onnx")},
    )
    with pytest.raises(UsageError, match=r"--vs: expected torch, compile, openvino or NAME=FILE\|FOLDER, got jax"):
        parse_backends("torch,jax")


@pytest.mark.parametrize("taken", ["=a", "mine=", "fused=a", "sgemm=a", "mine=a,mine=b"])
def test_another_model_has_a_name_of_its_own_and_a_path(taken: str) -> None:
    with pytest.raises(UsageError, match="--vs: expected NAME=PATH with a name that no other row has, got"):
        parse_backends(taken)


def test_a_profile_leaves_the_first_runs_out_and_counts_nodes_alone() -> None:
    def event(name: str, us: int, cat: str = "Node") -> dict[str, object]:
        return {"cat": cat, "name": name, "dur": us, "args": {"op_name": "Conv"}}

    runs = [(900, 900), (100, 300), (200, 600)]
    events = [event("model_run", 5000, "Session"), event("a_fence_before", 7)]
    events += [event(f"{node}_kernel_time", us) for run in runs for node, us in zip("ab", run, strict=True)]
    first, second = node_rows(events, warm_up=1)
    assert first == {"node": "a", "operator": "Conv", "ms": pytest.approx(0.15), "fraction": pytest.approx(0.25)}
    assert (second["ms"], second["fraction"]) == (pytest.approx(0.45), pytest.approx(0.75))


@pytest.mark.parametrize("name", [LATENCY, THROUGHPUT])
@pytest.mark.parametrize("batch", [1, 7])
def test_openvino_gives_what_onnxruntime_gives(name: str, batch: int, exported: Path) -> None:
    pipeline = load_pipeline(name, exported, threads=2)
    first, second = (pipeline(latents.latents(seed, 0, batch)) for seed in (3, 4))
    for seed, actual in ((3, first), (4, second)):
        compare(name, actual, runtime.load_graph(runtime.FUSED, exported)(latents.latents(seed, 0, batch)))


@pytest.mark.parametrize(("repeats", "expected"), [(1, [1]), (7, [1] * 7), (10, [1] * 10), (23, [3, 3, 3] + [2] * 7)])
def test_calls_are_spread_over_the_rounds(repeats: int, expected: list[int]) -> None:
    assert timing._calls_per_round(repeats) == expected


def test_outputs_within_the_tolerance_agree_and_others_do_not() -> None:
    reference = (np.zeros((2, 1, 4, 4), np.float32), np.ones((2, 1, 4, 4), np.float32))
    near = (reference[0] + np.float32(9e-5), reference[1])
    assert compare("two graphs", near, reference) == pytest.approx(9e-5, rel=1e-5)
    for error in (2e-4, -0.5, np.nan):
        far = (reference[0], reference[1] + np.float32(error))
        with pytest.raises(
            GateError, match=r"two graphs: expected outputs within 0\.0001 .* at batch 2, got a difference of"
        ):
            compare("two graphs", far, reference)


def test_what_cannot_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fused.onnx", "generator.onnx"):
        (tmp_path / name).touch()
    monkeypatch.setattr(third_party, "torch_installed", lambda: False)
    assert reason_to_skip(EAGER, None) == "torch: not installed"
    assert reason_to_skip(FUSED, tmp_path / "fused.onnx") is None
    assert "got one file" in (reason_to_skip(TWO_GRAPHS, tmp_path / "fused.onnx") or "")
    assert "denoiser.onnx not found" in (reason_to_skip(TWO_GRAPHS, tmp_path) or "")
    (tmp_path / "denoiser.onnx").touch()
    assert reason_to_skip(TWO_GRAPHS, tmp_path) is None
    assert reason_to_skip(COMPILED, None) == "torch: not installed"
    monkeypatch.setattr(third_party, "torch_installed", lambda: True)
    assert "generator.safetensors and denoiser.safetensors not found" in (reason_to_skip(EAGER, tmp_path) or "")
    for name in ("generator.safetensors", "denoiser.safetensors"):
        (tmp_path / name).touch()
    assert reason_to_skip(EAGER, tmp_path) is None
    assert "got one file" in (reason_to_skip(EAGER, tmp_path / "fused.onnx") or "")
    monkeypatch.setattr(third_party, "compiler_installed", lambda: False)
    assert reason_to_skip(COMPILED, tmp_path) == "g++: not installed"
    assert reason_to_skip(THROUGHPUT, tmp_path / "fused.onnx") is None
    monkeypatch.setattr(third_party, "openvino_installed", lambda: False)
    assert reason_to_skip(LATENCY, tmp_path) == "openvino: not installed"


def test_a_worker_reports_why_it_cannot_load(tmp_path: Path) -> None:
    (tmp_path / "fused.onnx").write_text("no model")
    with pytest.raises(InputError, match=r"fused\.onnx: expected an ONNX model, got 8 bytes") as caught:
        Worker(FUSED, tmp_path, threads=1)
    assert caught.value.hint


def test_a_worker_that_fails_says_so_in_a_line_and_one_that_died_too(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = latents.latents(0, 0, 2)
    with Worker(FUSED, exported, threads=1) as worker:
        with pytest.raises(InputError, match=r"z: expected float32 .*, got float32 \[2, 50\]"):
            worker.run(z[:, :50])
        assert worker.run(z)[0].shape == (2, 1, 28, 28)
        worker._process.kill()
        worker._process.join()
        with pytest.raises(OutputError, match="fused: its process ended with -9") as caught:
            worker.time(z, 1)
        assert caught.value.hint == "free some memory"


@pytest.mark.skipif(not third_party.compiler_installed(), reason="g++: not installed")
def test_a_backend_whose_compiler_is_broken_is_left_out(
    tmp_path: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    rows, skipped = timing.run_bench(
        exported, 100, threads=1, repeats=1, batches=(2,), third_party=[COMPILED], pause_s=0
    )
    assert [row["name"] for row in rows] == [FUSED, PLAIN, TWO_GRAPHS]
    assert skipped[COMPILED].startswith(f"{COMPILED}: InductorError (")


def test_eager_pytorch_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "torch_installed", lambda: False)
    with pytest.raises(InputError, match="torch: not installed") as caught:
        backends.load_pipeline(EAGER, None, threads=1)
    assert caught.value.hint == 'pip install "gan-denoise[train]"'


@pytest.mark.parametrize("pipeline", [third_party.eager_pipeline, third_party.compiled_pipeline])
def test_pytorch_runs_the_modules_in_turn_in_evaluation(pipeline: Callable[..., third_party.Pipeline]) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    generator = torch.nn.Sequential(torch.nn.Linear(10, 784), torch.nn.Dropout(0.5), torch.nn.Unflatten(1, (1, 28, 28)))
    denoiser = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, padding=1), torch.nn.BatchNorm2d(1), torch.nn.Sigmoid())
    z = np.random.default_rng(0).standard_normal((3, 10), dtype=np.float32)
    weight, bias = (parameter.detach().numpy().copy() for parameter in generator[0].parameters())
    image, denoised = pipeline(generator, denoiser)(z)
    np.testing.assert_allclose(image, (z @ weight.T + bias).reshape(3, 1, 28, 28), rtol=0, atol=1e-5)
    with torch.no_grad():
        expected = denoiser.eval()(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(denoised, expected, rtol=0, atol=1e-6)
    assert image.shape == denoised.shape == (3, 1, 28, 28)


def test_the_machine_is_described() -> None:
    actual = machine.describe_machine(threads=3)
    assert actual["threads"] == 3
    assert actual["cores"] == machine.usable_cores()
    assert actual["cpu"]
    assert actual["versions"]["numpy"] == np.__version__
    assert machine.describe_machine()["threads"] == actual["cores"]


@pytest.mark.parametrize(
    ("flags", "has"), [("fma avx2 sha_ni", False), ("avx512f avx512_bf16", True), ("", None), (None, None)]
)
def test_bfloat16_is_looked_for_in_the_processor(
    flags: str | None, has: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags and f"model name : one\nflags : {flags}\n")
    assert machine.computes_bfloat16() is has


def test_two_packages_of_onnxruntime_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.runtimes_warning() is None
    folder = tmp_path / "onnxruntime_gpu-1.2.3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.2.3\n")
    monkeypatch.syspath_prepend(tmp_path)
    warning = machine.runtimes_warning() or ""
    assert f"got onnxruntime {machine.versions()['onnxruntime']} and onnxruntime-gpu 1.2.3; pip uninstall" in warning


@pytest.mark.parametrize(
    ("load", "cores", "warned"), [(0.4, 2, False), (0.6, 2, True), (3.9, 16, False), (None, 2, False)]
)
def test_a_warning_when_other_work_takes_the_cores(load: float | None, cores: int, warned: bool) -> None:
    warning = machine.load_warning(load, cores)
    assert (warning is not None) is warned
    if warning:
        assert "expected 0.5 or fewer busy cores of 2, got 0.6" in warning
