"""torch-fidelity takes the graph as a file, and its distance agrees with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch_fidelity
from torch.utils.data import Dataset as TorchDataset
from typer.testing import CliRunner

from gan_denoise import cli
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float, to_uint8
from gan_denoise.errors import GateError, InputError
from gan_denoise.eval.metrics.frechet import frechet_distance, statistics
from gan_denoise.export import latents, runtime
from gan_denoise.export.package import torch_fidelity as packaging
from gan_denoise.export.package.torch_fidelity import to_torch_fidelity

N = 150


class Features(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]
    """Our feature network in the form that torch-fidelity needs: uint8 colour images to features."""

    def __init__(self, name: str, features_list: list[str], **kwargs: object) -> None:
        super().__init__(name, features_list)
        self.network = runtime.load_graph(runtime.FEATURES, threads=1)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("96",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "96"

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        assert images.dtype == torch.uint8
        assert torch.equal(images[:, 0], images[:, 2])
        return (torch.from_numpy(self.network(to_float(images[:, 0].numpy()))[0].astype(np.float64)),)


class Images(TorchDataset):  # type: ignore[type-arg]
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.repeat(self.images[index][None], 3, axis=0))


def run(content: bytes, z: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (images,) = session.run(None, {session.get_inputs()[0].name: z})
    return images


@pytest.mark.parametrize("denoised", [True, False])
@pytest.mark.parametrize("source", ["shipped", "folder", "file"])
def test_the_images_are_ours_in_8_bits_and_three_channels(exported: Path, denoised: bool, source: str) -> None:
    path = {"shipped": None, "folder": exported, "file": exported / "fused.onnx"}[source]
    for batch in (1, 7):
        z = latents.latents(5, 0, batch)
        ours = runtime.load_graph(runtime.FUSED, path)(z)[1 if denoised else 0]
        images = run(to_torch_fidelity(path, denoised), z)
        assert images.shape == (batch, 3, 28, 28)
        assert images.dtype == np.uint8
        for channel in range(3):
            np.testing.assert_array_equal(images[:, channel], np.rint(ours[:, 0] * np.float32(255)))


def test_a_generator_alone_gives_raw_images_and_no_denoised_ones(exported: Path) -> None:
    z = latents.latents(5, 0, 3)
    alone = run(to_torch_fidelity(exported / "generator.onnx", denoised=False), z)
    np.testing.assert_array_equal(alone, run(to_torch_fidelity(exported, denoised=False), z))
    with pytest.raises(InputError, match="expected a graph z -> denoised, got"):
        to_torch_fidelity(exported / "generator.onnx", denoised=True)


def test_raw_images_need_no_denoiser_in_the_file() -> None:
    assert len(to_torch_fidelity(None, denoised=False)) < len(to_torch_fidelity(None, denoised=True)) - 500_000


def test_a_graph_that_gives_other_images_does_not_pass(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "to_uint8", lambda images: to_uint8(images[:, :, ::-1]))
    with pytest.raises(
        GateError, match=r"images: expected the pixels of the original graph, got \d+\.\d+% of the pixels different"
    ):
        to_torch_fidelity(exported)


def test_torch_fidelity_finds_our_distance(tmp_path: Path, excerpt: Dataset) -> None:
    file = tmp_path / "images.onnx"
    file.write_bytes(to_torch_fidelity(None))
    torch_fidelity.register_feature_extractor("fashion", Features)
    metrics: dict[str, Any] = torch_fidelity.calculate_metrics(
        input1=str(file),
        input1_model_z_type="normal",
        input1_model_z_size=100,
        input1_model_num_samples=N,
        input2=Images(excerpt.train.images[:200]),
        feature_extractor="fashion",
        fid=True,
        batch_size=50,
        rng_seed=2020,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    rng = np.random.RandomState(2020)  # its own: the same latents
    z = np.concatenate([rng.randn(50, 100) for _ in range(N // 50)]).astype(np.float32)
    network = runtime.load_graph(runtime.FEATURES, threads=1)
    generated = to_uint8(runtime.load_graph(runtime.FUSED)(z)[1])
    features = [network(to_float(images))[0] for images in (generated, excerpt.train.images[:200])]
    ours = frechet_distance(*(statistics(part) for part in features))
    assert metrics["frechet_inception_distance"] == pytest.approx(ours, rel=1e-4)


def test_the_command_writes_one_file_and_keeps_one_that_exists(tmp_path: Path, exported: Path) -> None:
    out = tmp_path / "images.onnx"
    arguments = ["package", "torch-fidelity", "--out", str(out)]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{out}\n", "")  # no command of ours takes the file
    assert out.read_bytes() == to_torch_fidelity(None)
    refused = CliRunner().invoke(cli.app, [*arguments, "--raw"])
    assert getattr(refused.exception, "exit_code", 0) == 4
    arguments = ["package", "torch-fidelity", str(exported), "--raw", "--force", "--out", str(out)]
    CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert out.read_bytes() == to_torch_fidelity(exported, denoised=False)


@pytest.mark.parametrize("arguments", [["export"], ["export", "run", "--raw"], ["export", "--for", "fidelity"]])
def test_export_needs_a_run_and_has_no_options_of_packages(tmp_path: Path, arguments: list[str]) -> None:
    assert CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "x")]).exit_code == 2
    assert list(tmp_path.iterdir()) == []
