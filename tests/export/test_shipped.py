"""The shipped model: small, intact, and as good on the real test images as its card says."""

import hashlib
import json

import numpy as np
import pytest

from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.eval.denoising.filters import load_tuned, restore, tuned_for
from gan_denoise.eval.generation.evaluate import evaluate_generation
from gan_denoise.eval.generation.reference import measure_real
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise
from gan_denoise.export import runtime

RESULTS = json.loads((runtime.SHIPPED / "results.json").read_text())


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return sources.load_fashion_mnist()


def test_it_is_small_and_intact() -> None:
    files = [path for path in runtime.SHIPPED.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 24_000_000
    hashes = json.loads((runtime.SHIPPED / "sha256.json").read_text())
    assert set(hashes) == {"generator.onnx", "denoiser.onnx", "fused.onnx", "features.onnx", "photo.onnx"}
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


def test_the_feature_network_classifies_test_images(dataset: Dataset) -> None:
    features, logits = runtime.load_graph(runtime.FEATURES).batched(to_float(dataset.test.images))
    assert features.shape[1] >= 64
    assert (logits.argmax(1) == dataset.test.labels).mean() >= 0.92


def test_the_published_distances_are_reproduced(dataset: Dataset) -> None:
    """2,000 images in place of 10,000: the distance is a little larger, and the order is the same."""
    real = measure_real(dataset, ffd.load_network(), n=2000)
    measured = {
        row["set"]: row["ffd_1"] for row in evaluate_generation(runtime.load_graph(runtime.FUSED), real, n=2000)
    }
    published = {row["set"]: row["ffd_1"] for row in RESULTS["generation"]["rows"]}
    assert list(measured) == list(published)
    for name in ("raw", "denoised"):
        assert published[name] * 0.9 < measured[name] < published[name] * 1.25 + 0.05
    assert np.argsort(list(measured.values())).tolist() == np.argsort(list(published.values())).tolist()
