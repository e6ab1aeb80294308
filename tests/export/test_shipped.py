"""The shipped model: small, intact, and as good on the real test images as its card says."""

import hashlib
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import ImagesF32, to_float
from gan_denoise.eval.denoising.filters import load_tuned, restore, tuned_for
from gan_denoise.eval.generation.evaluate import evaluate_generation
from gan_denoise.eval.generation.features import load_extractor
from gan_denoise.eval.generation.reference import measure_real
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise
from gan_denoise.export import runtime
from gan_denoise.export.denoise.tiling import denoise_pixels

RESULTS = json.loads((runtime.SHIPPED / "results.json").read_text())


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return sources.load_fashion_mnist()


def test_it_is_small_and_intact() -> None:
    files = [path for path in runtime.SHIPPED.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 32_000_000
    hashes = json.loads((runtime.SHIPPED / "sha256.json").read_text())
    names = ("generator", "denoiser", "fused", "features", "classifier-2", "photo", "photo-grey", "early")
    assert set(hashes) == {f"{name}.onnx" for name in names}
    for name, sha256 in hashes.items():
        assert hashlib.sha256((runtime.SHIPPED / name).read_bytes()).hexdigest() == sha256


def test_its_published_results_were_measured_on_it() -> None:
    hashes = json.loads((runtime.SHIPPED / "sha256.json").read_text())
    assert RESULTS["denoising"]["model_sha256"] == hashes["denoiser.onnx"]
    assert RESULTS["generation"]["model_sha256"] == RESULTS["bench"]["model_sha256"] == hashes["fused.onnx"]
    assert RESULTS["generation"]["settings"]["features"].endswith(hashes["features.onnx"][:8])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_the_denoiser_beats_the_tuned_median_everywhere(dataset: Dataset, noise: str, sigma: float) -> None:
    clean = to_float(dataset.test.images[:300])
    noisy = add_noise(clean, sigma, noise, seed=3)
    median = restore("median", noisy, sigma, tuned_for(load_tuned(), "median", noise, sigma))
    restored = runtime.load_graph(runtime.DENOISER).batched(noisy)[0]
    assert psnr(clean, restored).mean() > psnr(clean, median).mean() + 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sigma", "least_gain_db"), [(15, 9.2), (25, 11.1), (50, 13.7)])
def test_the_photo_denoisers_restore_a_held_out_photograph(channels: int, sigma: int, least_gain_db: float) -> None:
    clean = held_out_photograph(channels)
    noisy = clean + sigma / 255 * np.random.default_rng(0).standard_normal(clean.shape, np.float32)
    restored = denoise_pixels(photo_graph(channels), noisy)
    assert psnr(clean[None], restored[None])[0] > psnr(clean[None], noisy[None])[0] + least_gain_db


@pytest.mark.parametrize("channels", [1, 3])
def test_the_photo_denoisers_leave_a_clean_photograph(channels: int) -> None:
    clean = held_out_photograph(channels)
    assert psnr(clean[None], denoise_pixels(photo_graph(channels), clean)[None])[0] > 46


def test_the_photo_denoisers_need_the_same_tiles() -> None:
    """The demo's page has one description of tiles for both."""
    colour, grey = (photo_graph(channels) for channels in (3, 1))
    assert (colour.multiple, colour.receptive_field) == (grey.multiple, grey.receptive_field)


def photo_graph(channels: int) -> runtime.Graph:
    return runtime.load_graph(runtime.PHOTO if channels == 3 else runtime.PHOTO_GREY)


def held_out_photograph(channels: int) -> ImagesF32:
    """(channels, 512, 512) float32 in [0, 1]."""
    image = Image.fromarray(skimage.data.astronaut()).convert("RGB" if channels == 3 else "L")
    pixels = np.asarray(image, np.float32).reshape(512, 512, channels) / 255
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def test_the_feature_network_classifies_test_images(dataset: Dataset) -> None:
    features, logits = runtime.load_graph(runtime.FEATURES).batched(to_float(dataset.test.images))
    assert features.shape[1] >= 64
    assert (logits.argmax(1) == dataset.test.labels).mean() >= 0.92


def test_the_published_distances_are_reproduced(dataset: Dataset) -> None:
    """2,000 images in place of 10,000: the distance is a little larger, and the order is the same."""
    real = measure_real(dataset, load_extractor("ffd-1"), n=2000)
    measured = {
        row["set"]: row["ffd_1"] for row in evaluate_generation(runtime.load_graph(runtime.FUSED), real, n=2000)
    }
    published = {row["set"]: row["ffd_1"] for row in RESULTS["generation"]["rows"]}
    assert list(measured) == list(published)
    for name in ("raw", "denoised"):
        assert published[name] * 0.9 < measured[name] < published[name] * 1.25 + 0.05
    assert np.argsort(list(measured.values())).tolist() == np.argsort(list(published.values())).tolist()
