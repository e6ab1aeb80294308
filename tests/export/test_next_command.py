"""A `next:` hint names a command that works on what was just written; where none does, there is no hint."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.inputs import load_model
from gan_denoise.eval.metrics import ffd
from gan_denoise.export import next_command, runtime, shards
from gan_denoise.export.runtime import DENOISER, FUSED
from gan_denoise.export.shards import write_shards

GREY, LARGE, COLOUR = (1, 28, 28), (1, 32, 32), (3, 28, 28)
SHAPES = pytest.mark.parametrize("shape", [LARGE, COLOUR])


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(nodes: list[onnx.NodeProto], values: dict[str, list[str | int]], signature: runtime.Signature) -> Path:
    """A graph with the inputs and outputs of `signature`, in a file."""
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in values.items()}
    shape = numpy_helper.from_array(np.array([-1, *list(values.values())[-1][1:]], np.int64), "shape")
    inputs, outputs = [infos[signature.input]], [infos[name] for name in signature.outputs]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [shape])
    path = Path(f"tiny-{signature.file}")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def fused_model(shape: tuple[int, ...]) -> Path:
    """A fused graph whose images are sigmoids of z."""
    sides: list[str | int] = ["batch", *shape]
    nodes = [
        helper.make_node("Reshape", ["z", "shape"], ["reshaped"]),
        helper.make_node("Sigmoid", ["reshaped"], ["image"]),
        helper.make_node("Identity", ["image"], ["denoised"]),
    ]
    return save(nodes, {"z": ["batch", int(np.prod(shape))], "image": sides, "denoised": sides}, FUSED)


def denoiser_model(shape: tuple[int, ...]) -> Path:
    """A denoiser that returns its input."""
    sides: list[str | int] = ["batch", *shape]
    return save([helper.make_node("Identity", ["noisy"], ["denoised"])], {"noisy": sides, "denoised": sides}, DENOISER)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def refused(*arguments: object) -> BaseException | None:
    return CliRunner().invoke(app, [str(argument) for argument in arguments]).exception


def hint(*arguments: object) -> list[str]:
    """Run a command; the arguments of the command that it hints at, or nothing."""
    done = run(*arguments)
    assert done.exit_code == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("next: ")]
    return shlex.split(lines[0])[2:] if lines else []


def test_the_smallest_count_is_that_of_the_metric() -> None:
    assert next_command.MIN_MEASURED == ffd.MIN_SAMPLES


@pytest.mark.parametrize("out", ["images.npz", "a folder"])
def test_enough_fashion_images_are_measured_by_eval_ffd(out: str) -> None:
    command = hint("generate", "--model", fused_model(GREY), "-n", 97, "--out", out)
    assert command == ["eval", "ffd", out]
    assert run(*command).exit_code == 0


@pytest.mark.parametrize(("n", "out"), [(96, "images.npz"), (97, "grid.png")])
def test_a_grid_or_few_images_lead_to_eval_generation(n: int, out: str, excerpt: Dataset) -> None:
    model = fused_model(GREY)
    assert hint("generate", "--model", model, "-n", n, "--out", out) == ["eval", "generation", "--model", str(model)]
    assert load_model(FUSED, model, 1, excerpt).output_shapes[0] == GREY  # the command's own check
    assert isinstance(refused("eval", "ffd", out), InputError)


@SHAPES
@pytest.mark.parametrize("out", ["images.npz", "grid.png", "folder"])
def test_images_that_eval_refuses_have_no_hint(shape: tuple[int, ...], out: str, excerpt: Dataset) -> None:
    model = fused_model(shape)
    assert hint("generate", "--model", model, "-n", 97, "--out", out) == []
    assert isinstance(refused("eval", "ffd", out), InputError)
    with pytest.raises(InputError):
        load_model(FUSED, model, 1, excerpt)


@pytest.mark.parametrize(("shape", "works"), [(GREY, True), (LARGE, False), (COLOUR, False)])
def test_shards_are_measured_where_eval_ffd_takes_them(
    shape: tuple[int, ...], works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 60)
    graph, out = runtime.load_graph(FUSED, fused_model(shape), 1), Path("shards")
    write_shards(graph, 0, 97, out)
    command = next_command.after_generate(graph, None, out, 97)
    assert command == (("eval", "ffd", out) if works else ())
    assert (refused("eval", "ffd", out) is None) is works


def test_denoised_fashion_images_lead_to_eval_denoising(excerpt: Dataset) -> None:
    model = denoiser_model(GREY)
    Image.new("L", (28, 28), 99).save("grey.png")
    assert hint("denoise", "grey.png", "--model", model, "--out", "x") == ["eval", "denoising", "--model", str(model)]
    assert load_model(DENOISER, model, 1, excerpt).input_shape == GREY  # the command's own check


@SHAPES
def test_other_denoised_images_have_no_hint(shape: tuple[int, ...], excerpt: Dataset) -> None:
    model = denoiser_model(shape)
    Image.new("RGB", (32, 32), (99, 99, 99)).save("image.png")
    assert hint("denoise", "image.png", "--model", model, "--out", "x") == []
    with pytest.raises(InputError):
        load_model(DENOISER, model, 1, excerpt)


def test_an_export_is_used_by_generate_even_where_grid_png_exists(trained: Path) -> None:
    for existing in ("grid.png", "grid-2.png"):
        Path(existing).write_text("mine")
    command = hint("export", trained, "--out", "exported")
    assert command == ["generate", "--model", "exported", "--out", "grid-3.png"]
    assert run(*command).exit_code == 0
    assert Path("grid-3.png").stat().st_size > 1_000


def test_a_folder_for_the_hub_is_used_by_generate() -> None:
    command = hint("package", "huggingface", fused_model(COLOUR), "--out", "hub")
    assert command == ["generate", "--model", "hub/onnx/model.onnx", "--out", "grid.png"]
    assert run(*command).exit_code == 0


def test_a_graph_for_torch_fidelity_has_no_hint_since_no_command_takes_it() -> None:
    assert hint("package", "torch-fidelity", fused_model(GREY), "--out", "images.onnx") == []
    assert isinstance(refused("generate", "--model", "images.onnx"), InputError)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_a_quantized_graph_is_timed_beside_its_original(shape: tuple[int, ...]) -> None:
    model = fused_model(shape)
    command = hint("quantize", "float16", model, "--out", "half.onnx")
    assert command == ["bench", "--model", str(model), "--vs", "float16=half.onnx"]
    assert run(*command, "--repeats", 1, "--threads", 1, "--force-busy").exit_code == 0


def test_a_quantized_graph_whose_name_has_a_comma_is_used_by_generate() -> None:
    command = hint("quantize", "float16", fused_model(GREY), "--out", "a,b.onnx")
    assert command == ["generate", "--model", "a,b.onnx", "--out", "grid.png"]
    assert run(*command).exit_code == 0
    assert isinstance(refused("bench", "--vs", "float16=a,b.onnx", "--repeats", 1), UsageError)
