"""Export and fuse: real training, real graphs, batch sizes other than the traced one, and gates that fail."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from gan_denoise.cli import app
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export import latents, runtime
from gan_denoise.export.convert import weights
from gan_denoise.export.convert.bundle import export_run


def test_every_graph_agrees_with_pytorch_at_every_batch(trained: Path, tmp_path: Path) -> None:
    differences = export_run(trained, tmp_path / "out")
    assert set(differences) == {"generator.onnx", "denoiser.onnx", "fused.onnx", "features.onnx"}
    assert max(differences.values()) < 1e-5
    generator, denoiser = weights.load_generator(trained / "gan"), weights.load_denoiser(trained / "denoiser")
    z = latents.latents(9, 0, 33)
    with torch.no_grad():
        image = generator(torch.from_numpy(z))
        denoised = denoiser(image)
    images = runtime.load_graph(runtime.FUSED, tmp_path / "out")(z)
    np.testing.assert_allclose(images[0], image.numpy(), atol=1e-5)
    np.testing.assert_allclose(images[1], denoised.numpy(), atol=1e-5)


def test_the_folder_holds_graphs_weights_and_hashes(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    expected = {f"{n}{suffix}" for n in ("generator", "denoiser") for suffix in (".onnx", ".safetensors", ".json")}
    assert names == expected | {"fused.onnx", "features.onnx", "sha256.json"}
    hashes = json.loads((exported / "sha256.json").read_text())
    assert hashes["fused.onnx"] == runtime.load_graph(runtime.FUSED, exported).sha256


def test_graphs_are_portable(exported: Path) -> None:
    for name in ("generator", "denoiser", "fused", "features"):
        content = (exported / f"{name}.onnx").read_bytes()
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert [(o.domain, o.version) for o in model.opset_import] == [("", 20)]
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        assert b".py" not in content  # no source paths inside
        assert b"/gan_denoise" not in content


def test_batch_norm_is_exported_with_its_trained_statistics(trained: Path) -> None:
    state = weights.load_generator(trained / "gan").state_dict()
    assert (state["dense_norm.0.running_var"] - 1).abs().max() > 0.1


def test_an_unfinished_run_is_refused(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "gan" / "generator.safetensors").unlink()
    with pytest.raises(InputError, match=r"generator\.safetensors: not found"):
        export_run(run, tmp_path / "out")


def test_what_is_no_run_is_named(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for run, got in ((tmp_path / "missing", "nothing"), (tmp_path / "file", "a file")):
        with pytest.raises(InputError, match=rf"{run.name}: expected the folder of a run, got {got}$"):
            export_run(run, tmp_path / "out")
    with pytest.raises(InputError, match="gan: expected the folder of a run, got the folder of one stage") as caught:
        export_run(trained / "gan", tmp_path / "out")
    assert caught.value.hint == f"give {trained}"


def test_a_denoiser_without_a_generator_is_exported_alone(trained: Path, exported: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/denoiser").symlink_to(trained / "denoiser")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert f"next: gan-denoise eval denoising --model {tmp_path / 'out'}" in done.stderr
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"denoiser.onnx", "denoiser.json", "denoiser.safetensors", "sha256.json"}
    noisy = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    alone, whole = (runtime.load_graph(runtime.DENOISER, folder)(noisy)[0] for folder in (tmp_path / "out", exported))
    np.testing.assert_array_equal(alone, whole)


def test_a_denoiser_alone_leaves_no_graph_of_another_denoiser(trained: Path, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported, tmp_path / "out")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/denoiser").symlink_to(trained / "denoiser")
    export_run(tmp_path / "run", tmp_path / "out", force=True)
    assert not [*(tmp_path / "out").glob("fused.*"), *(tmp_path / "out").glob("generator.*")]
    assert json.loads((tmp_path / "out/sha256.json").read_text()).keys() == {"denoiser.onnx", "features.onnx"}


def test_changed_weights_are_refused(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    with (run / "denoiser" / "denoiser.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(InputError, match="damaged"):
        export_run(run, tmp_path / "out")


def test_an_existing_export_is_not_overwritten_unless_forced(exported: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(exported, out)
    with pytest.raises(OutputError, match="not empty"):
        export_run(trained, out)
    export_run(trained, out, force=True)
