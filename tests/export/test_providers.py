"""`--provider`: what onnxruntime lacks is refused; `auto` takes nothing that disagrees with the CPU or is slower."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import typer
from onnx import helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from gan_denoise import machine
from gan_denoise.cli import app
from gan_denoise.errors import InputError, OutputError, UsageError
from gan_denoise.export import latents, provider_choice, providers, runtime, shards
from gan_denoise.export.provider_choice import TOLERANCE, Trial, choose_graph, load_for, run_trial
from gan_denoise.export.runtime import FUSED, Graph
from gan_denoise.export.shards import write_shards
from gan_denoise.options import Provider

ROOT = Path(__file__).resolve().parents[2]
OPENVINO = ROOT / ".openvino"
PACKAGES = {"cuda": "onnxruntime-gpu", "openvino": "onnxruntime-openvino", "dml": "onnxruntime-directml"}
SIDE = 8


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_choice, "PAUSE_S", 0)


@pytest.fixture(scope="module")
def plain(identity_graph: Callable[..., bytes]) -> bytes:
    return identity_graph(SIDE)


def graph_of(model: bytes, name: str = "made.onnx") -> Graph:
    return Graph(model, FUSED, name, threads=1)


def with_denoised(model: bytes, *nodes: onnx.NodeProto, **weights: np.ndarray) -> bytes:
    """The graph with `nodes` between `image` and `denoised` in place of what is there."""
    proto = onnx.load_model_from_string(model)
    proto.graph.node.pop()
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto.SerializeToString()


def slower(model: bytes) -> bytes:
    """The same images by way of a matrix product whose result is 0, a thousand times the work."""
    wide, back = (np.zeros(shape, np.float32) for shape in ((SIDE, 8192), (8192, SIDE)))
    steps = (("MatMul", ["image", "wide"], "a"), ("MatMul", ["a", "back"], "b"), ("Add", ["image", "b"], "denoised"))
    return with_denoised(model, *(helper.make_node(op, names, [out]) for op, names, out in steps), wide=wide, back=back)


def shifted(model: bytes, by: float) -> bytes:
    """Denoised images that are brighter."""
    return with_denoised(model, helper.make_node("Add", ["image", "by"], ["denoised"]), by=np.array(by, np.float32))


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACKAGES)
def test_a_provider_that_onnxruntime_lacks_is_refused_and_the_package_is_named(name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_for(Provider(name), FUSED, threads=1)
    version = ort.__version__
    assert caught.value.message == f"--provider {name}: expected an onnxruntime that has it ({version}), got cpu"
    uninstall = "pip uninstall -y onnxruntime"
    assert caught.value.hint == f"in an environment of its own: {uninstall}, then pip install {PACKAGES[name]}"


def test_coreml_is_a_part_of_the_package_for_macos() -> None:
    with pytest.raises(InputError) as caught:
        providers.check_installed(Provider.coreml)
    assert caught.value.hint == "it is part of onnxruntime on macOS; this is linux"


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "--out", "new.png"],
        ["denoise", "noisy.png", "--out", "clean"],
        ["bench", "--force-busy"],
        ["eval", "copies"],
        ["eval", "denoising", "--clean", "photos"],
        ["serve", "--port", "0"],
    ],
)
def test_each_command_refuses_it_and_writes_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_folder: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for path in ("noisy.png", "photos/one.png"):
        Image.fromarray(np.full((32, 32), 99, np.uint8)).save(tmp_path / path)
    before = sorted(tmp_path.rglob("*"))
    result = CliRunner().invoke(app, [*arguments, "--provider", "cuda"])
    assert isinstance(result.exception, InputError)
    assert result.exception.message.startswith("--provider cuda: expected an onnxruntime that has it")
    assert (result.stdout, sorted(tmp_path.rglob("*"))) == ("", before)


def test_a_profile_is_of_the_cpu() -> None:
    result = CliRunner().invoke(app, ["bench", "--profile", "--provider", "auto"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.message == "--profile: expected --provider cpu, whose nodes it times, got auto"


@pytest.mark.row(101)
def test_the_cpu_that_onnxruntime_takes_in_silence_is_noticed(plain: bytes) -> None:
    options = ort.SessionOptions()
    session = providers._create(plain, options, [("CUDAExecutionProvider", {}), providers.CPU])
    assert session.get_providers() == [providers.CPU]
    with pytest.raises(InputError) as caught:
        providers.check_used(session, Provider.cuda, "made.onnx")
    assert caught.value.message.startswith(
        "--provider cuda: expected an NVIDIA GPU with its driver, and CUDA and cuDNN"
    )
    assert caught.value.message.endswith("got onnxruntime-gpu that cannot make it here")
    assert caught.value.hint == "--provider cpu runs it"


# --- auto ---------------------------------------------------------------------------------------


def test_auto_is_the_cpu_where_there_is_no_other_and_says_so() -> None:
    lines: list[str] = []
    graph = load_for(Provider.auto, FUSED, threads=1, report=lines.append)
    assert lines == ["provider: cpu for fused.onnx (onnxruntime has no other)"]
    assert graph.provider is Provider.cpu
    expected = runtime.load_graph(FUSED, threads=1)(latents.latents(0, 0, 3))
    for actual, output in zip(graph(latents.latents(0, 0, 3)), expected, strict=True):
        np.testing.assert_array_equal(actual, output)
    lines.clear()
    load_for(Provider.cpu, FUSED, threads=1, report=lines.append)
    assert lines == []


def test_a_trial_accepts_what_agrees_and_is_faster(plain: bytes) -> None:
    fast, slow = graph_of(plain), graph_of(slower(plain))
    trial = run_trial(slow, fast)
    assert trial.difference == 0
    assert trial.relative_time < 0.5
    assert trial.is_accepted
    again = run_trial(fast, slow)
    assert again.relative_time > 2
    assert not again.is_accepted


@pytest.mark.parametrize(("by", "accepted"), [(0.5 * TOLERANCE, True), (2 * TOLERANCE, False), (np.nan, False)])
def test_a_trial_refuses_what_differs_however_fast_it_is(plain: bytes, by: float, accepted: bool) -> None:
    trial = run_trial(graph_of(slower(plain)), graph_of(shifted(plain, by)))
    assert trial.relative_time < 0.5
    assert trial.difference == pytest.approx(by, rel=0.01, nan_ok=True)
    assert trial.is_accepted is accepted


def test_a_trial_says_which_bound_it_broke() -> None:
    text = "largest difference 3.0e-02, limit 1e-04; 0.50 of the CPU's time, limit 0.9"
    assert str(Trial(0.03, 0.5)) == text
    assert [Trial(1e-5, time).is_accepted for time in (0.89, 0.91, np.nan)] == [True, False, False]


@pytest.mark.row(101)
def test_auto_takes_the_one_that_agrees_and_names_why_not_the_others(
    plain: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(provider: Provider) -> Graph:
        if provider is Provider.dml:
            raise InputError("--provider dml: expected Windows, got linux")
        return graph_of(models[provider], f"{provider}.onnx")

    models = {
        Provider.cpu: slower(plain),
        Provider.cuda: shifted(plain, 0.25),
        Provider.openvino: shifted(plain, 1e-5),
    }
    lines: list[str] = []
    monkeypatch.setattr(provider_choice, "installed_providers", lambda: [Provider.cuda, Provider.dml])
    assert choose_graph(Provider.auto, make, lines.append).name == "cpu.onnx"
    assert lines[0].startswith("provider: cpu for cpu.onnx (cuda: largest difference 2.5e-01, limit 1e-04; 0.")
    assert lines[0].endswith("; dml: --provider dml: expected Windows, got linux)")
    monkeypatch.setattr(provider_choice, "installed_providers", lambda: [Provider.cuda, Provider.openvino])
    assert choose_graph(Provider.auto, make, lines.append).name == "openvino.onnx"
    assert "cuda: largest difference 2.5e-01" in lines[1]
    assert "openvino: largest difference 1.0e-05" in lines[1]


@pytest.mark.parametrize("signature", [runtime.PHOTO_GREY, runtime.DENOISER, runtime.GENERATOR])
def test_every_kind_of_graph_can_be_tried(signature: runtime.Signature) -> None:
    graph = runtime.load_graph(signature, threads=1)
    assert run_trial(graph, graph).difference == 0


# --- what is recorded ---------------------------------------------------------------------------


@pytest.mark.row(101)
def test_a_folder_of_another_provider_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)
    graph, out = runtime.load_graph(FUSED, threads=1), tmp_path / "out"
    write_shards(graph, 0, 4, out)
    content = json.loads((out / "shards.json").read_text())
    assert content["made_with"]["provider"] == "cpu"
    content["made_with"]["provider"] = "openvino"
    (out / "shards.json").write_text(json.dumps(content))
    with pytest.raises(
        OutputError, match="out: provider: expected openvino, as for its other files, got cpu"
    ) as caught:
        write_shards(graph, 0, 4, out)
    assert caught.value.hint.startswith("--provider openvino; --other-machine adds to it all the same")
    assert write_shards(graph, 0, 4, out, other_machine=True)
    del content["made_with"]["provider"]  # of an earlier version, on the CPU
    (out / "shards.json").write_text(json.dumps(content))
    assert write_shards(graph, 0, 4, out)


def test_the_version_of_onnxruntime_names_the_packages_that_are_not_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert providers.runtime_version() == ort.__version__ == machine.version("onnxruntime")
    folder = tmp_path / "onnxruntime_openvino-1.2.3.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-openvino\nVersion: 1.2.3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert providers.runtime_version() == f"onnxruntime and onnxruntime-openvino {ort.__version__}"


def test_the_options_are_what_the_table_knows() -> None:
    assert set(providers.KINDS) == set(Provider) - {Provider.cpu, Provider.auto}
    parameters = typer.main.get_command(app).commands["generate"].params  # type: ignore[attr-defined]
    assert next(parameter.default for parameter in parameters if parameter.name == "provider") == "cpu"


# --- OpenVINO in an environment of its own ------------------------------------------------------


@pytest.mark.row(101)
def test_openvino_generates_denoises_and_is_timed_within_the_bound(tmp_path: Path) -> None:
    if not (OPENVINO / "installed").exists():
        pytest.skip("onnxruntime-openvino: not installed")
    caller = Path(__file__).parent / "openvino_caller.py"
    done = subprocess.run([OPENVINO / "bin/python", caller, tmp_path], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    fused, photo = runtime.load_graph(FUSED, threads=1), runtime.load_graph(runtime.PHOTO, threads=1)
    with np.load(tmp_path / "arrays.npz") as arrays:
        for batch in (1, 7):
            expected = fused(latents.latents(5, 0, batch))
            for name, output in zip(FUSED.outputs, expected, strict=True):
                np.testing.assert_allclose(arrays[f"{name} {batch}"], output, rtol=0, atol=1e-5)
                assert (arrays[f"{name} {batch}"] != output).any()  # not the CPU's sums
                np.testing.assert_array_equal(arrays[f"pickled {name} {batch}"], arrays[f"{name} {batch}"])
        noisy = arrays["noisy"]
        np.testing.assert_allclose(arrays["clean"], photo(noisy)[0], rtol=0, atol=1e-5)
    assert facts["lines"][0] == "provider: openvino for fused.onnx"
    assert facts["auto"].startswith("provider: ")
    assert "openvino: largest difference" in facts["auto"]
    assert facts["none"] == "--provider openvino: expected nodes of det.onnx that it can run, got none"
    assert facts["cuda"].endswith("got cpu, openvino")
    assert facts["made_with"]["provider"] == "openvino"
    assert facts["refused"] == "out: provider: expected openvino, as for its other files, got cpu"
    assert facts["warning"].startswith("onnxruntime: expected one package, got onnxruntime ")
    assert done.stderr.count(facts["warning"]) == 1
    assert "and onnxruntime-openvino" in facts["warning"]
    assert facts["settings"]["provider"] == "openvino"
    rows = {row["name"]: row for row in facts["rows"]}
    assert list(rows) == ["fused", "fused, openvino", "one plain session"]
    assert 0 < rows["fused, openvino"]["largest_difference"] < 1e-5
    assert rows["fused, openvino"]["p50_ms"] > 0
