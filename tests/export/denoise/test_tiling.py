"""Images larger than the denoiser's input, denoised in tiles."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from test_cli import run

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ArrayF32, to_float
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import add_noise
from gan_denoise.export import runtime
from gan_denoise.export.denoise import tiling
from gan_denoise.export.runtime import Graph


def copying_graph(channels: int, height: int, width: int) -> Graph:
    """A denoiser that returns its input."""
    sides: list[str | int] = ["batch", channels, height, width]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name in ("noisy", "denoised")]
    graph = helper.make_graph([helper.make_node("Identity", ["noisy"], ["denoised"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8)
    return Graph(model.SerializeToString(), runtime.DENOISER, "copy", threads=1)


@pytest.mark.parametrize("side", [(8, 6), (9, 6), (12, 7), (40, 100), (41, 33)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_pixel_is_covered_and_stays_in_its_place(channels: int, side: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((1, channels, *side), np.float32)
    np.testing.assert_allclose(tiling.denoise_tiled(copying_graph(channels, 8, 6), image), image, atol=1e-6)


def mosaic(images: ArrayF32, rows: int) -> ArrayF32:
    """(N, 1, 28, 28) as one image of `rows` rows."""
    _, _, h, w = images.shape
    blocks = images.reshape(rows, -1, h, w).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks.reshape(1, 1, rows * h, -1))


def test_a_large_image_is_restored_as_well_as_its_parts(excerpt: Dataset) -> None:
    graph = runtime.load_graph(runtime.DENOISER)
    clean = to_float(excerpt.test.images[:20])
    noisy = add_noise(clean, 25 / 255, "float", seed=0)
    one_by_one = psnr(mosaic(clean, 4), mosaic(graph(noisy)[0], 4)).item()
    whole = psnr(mosaic(clean, 4), tiling.denoise_tiled(graph, mosaic(noisy, 4))).item()
    assert whole > one_by_one - 0.5  # the mean of two estimates makes up for parts of two images in a tile
    np.testing.assert_allclose(tiling.denoise_tiled(graph, noisy[:1]), graph(noisy[:1])[0], atol=1e-6)


def test_no_seam_shows(excerpt: Dataset) -> None:
    clean = np.full((1, 1, 112, 112), 0.5, np.float32)
    restored = tiling.denoise_tiled(runtime.load_graph(runtime.DENOISER), add_noise(clean, 25 / 255, "float", seed=0))[
        0, 0
    ]
    steps = np.abs(np.diff(restored, axis=1)).mean(axis=0)  # from each column to the next
    edges = np.arange(14, 112, 14) - 1  # where a tile begins or ends
    assert steps[edges].mean() < 1.5 * np.delete(steps, edges).mean()


def test_denoise_takes_larger_images(tmp_path: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (50, 70), np.uint8)
    Image.fromarray(noisy).save(tmp_path / "large.png")
    assert run("denoise", "large.png", "--out", "clean", "--model", "fashion", cwd=tmp_path).returncode == 0
    with Image.open(tmp_path / "clean/large.png") as restored:
        assert restored.size == (70, 50)
        assert np.asarray(restored).std() < noisy.std()
