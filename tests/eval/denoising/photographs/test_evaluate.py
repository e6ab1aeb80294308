from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photograph_helpers import averaging_network, colour_crop, grey_crop, save_images
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.restoration import estimate_sigma

from gan_denoise.data.images import ImagesF32
from gan_denoise.eval.denoising.evaluate import PSNR_CAP_DB
from gan_denoise.eval.denoising.methods import Method
from gan_denoise.eval.denoising.photographs.evaluate import REAL_NOISES, Noise, evaluate_photographs, gaussian_noises
from gan_denoise.eval.denoising.photographs.files import find_photograph_files
from gan_denoise.eval.denoising.photographs.methods import classical_methods, network_method
from gan_denoise.eval.noise import add_photograph_noise


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return save_images(tmp_path / "clean", a=grey_crop(), b=colour_crop())


@pytest.fixture
def network(tmp_path: Path) -> Method:
    return network_method(averaging_network(tmp_path / "average.onnx"))


def average(noisy: np.ndarray) -> np.ndarray:
    """What the network gives for an image (H, W) or (H, W, 3) of 0 to 255, rounded to 8 bits."""
    size = (3, 3) + (1,) * (noisy.ndim - 2)
    return np.rint(ndimage.uniform_filter(noisy, size, mode="constant").clip(0, 255)).astype(np.uint8)


def expected(images: dict[str, np.ndarray], restored: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """scikit-image's PSNR and SSIM of 8-bit images."""
    return [
        {
            "image": name,
            "psnr_db": peak_signal_noise_ratio(image, restored[name], data_range=255),
            "ssim": structural_similarity(image, restored[name], channel_axis=2 if image.ndim == 3 else None),
        }
        for name, image in images.items()
    ]


def check_row(row: dict[str, Any], values: list[dict[str, Any]]) -> None:
    for actual, wanted in zip(row["per_image"], values, strict=True):
        assert actual == {key: pytest.approx(value, abs=2e-3) for key, value in wanted.items()} | {
            "image": wanted["image"]
        }
    for key in ("psnr_db", "ssim"):
        assert row[key] == pytest.approx(np.mean([value[key] for value in values]), abs=2e-3)


@pytest.mark.parametrize("kind", ["float", "8-bit"])
def test_gaussian_noise_is_that_of_published_tables(kind: str, clean: Path, network: Method) -> None:
    images = {"a": grey_crop().astype(float), "b": colour_crop().astype(float)}
    noisy = {n: x + np.random.default_rng(i).normal(0, 25, x.shape) for i, (n, x) in enumerate(images.items())}
    if kind == "8-bit":
        noisy = {name: np.rint(image.clip(0, 255)) for name, image in noisy.items()}
    rows = list(evaluate_photographs({"average": network}, find_photograph_files(clean), [Noise(kind, 25 / 255)]))
    assert [row["method"] for row in rows] == ["noisy", "average"]
    levels = {"a": grey_crop(), "b": colour_crop()}
    check_row(rows[1], expected(levels, {name: average(image) for name, image in noisy.items()}))
    errors = [((noisy[name] - images[name]) ** 2).mean() for name in images]
    assert rows[0]["psnr_db"] == pytest.approx(np.mean(10 * np.log10(255**2 / np.array(errors))), abs=1e-4)
    assert (rows[0]["ms_per_megapixel"], rows[0]["parameters"]) == (None, None)
    assert rows[1]["ms_per_megapixel"] > 0
    assert {key: rows[1][key] for key in ("noise", "sigma", "parameters", "multiply_adds_per_pixel", "n")} == {
        "noise": kind,
        "sigma": 25 / 255,
        "parameters": 27,
        "multiply_adds_per_pixel": 27,
        "n": 2,
    }


def test_pairs_are_measured_as_they_are(clean: Path, network: Method, tmp_path: Path) -> None:
    images = {"a": grey_crop(), "b": colour_crop()}
    noisy = {n: np.rint((x + np.random.default_rng(9).normal(0, 9, x.shape)).clip(0, 255)) for n, x in images.items()}
    files = save_images(tmp_path / "noisy", **{name: image.astype(np.uint8) for name, image in noisy.items()})
    rows = list(evaluate_photographs({"average": network}, find_photograph_files(clean, files), REAL_NOISES))
    assert [(row["method"], row["noise"]) for row in rows] == [
        *(("noisy", "real"), ("average", "real"), ("noisy", "clean"), ("average", "clean"))
    ]
    before = expected(images, {name: image.astype(np.uint8) for name, image in noisy.items()})
    after = expected(images, {name: average(image) for name, image in noisy.items()})
    check_row(rows[0], before)
    check_row(rows[1], after)
    gains = [b["psnr_db"] - a["psnr_db"] for a, b in zip(before, after, strict=True)]
    assert rows[1]["gain_db"] == pytest.approx(np.mean(gains), abs=2e-3)
    assert rows[1]["worst_gain_db"] == pytest.approx(min(gains), abs=2e-3)
    assert rows[2]["psnr_db"] == PSNR_CAP_DB
    check_row(rows[3], expected(images, {name: average(image.astype(float)) for name, image in images.items()}))


def test_the_result_for_a_16_bit_photograph_is_rounded_to_16_bits(tmp_path: Path) -> None:
    clean = save_images(tmp_path / "deep", a=grey_crop().astype(np.uint16) * 257)
    brighter = Method(lambda noise, sigma: lambda noisy: noisy + np.float32(1 / 1000), 1, blind=True)
    rows = list(evaluate_photographs({"brighter": brighter}, find_photograph_files(clean), [Noise("float", 0.0)]))
    assert rows[1]["psnr_db"] == pytest.approx(20 * np.log10(65535 / 66), abs=0.01)  # 8 bits would give no error


def told(sigmas: list[float]) -> Method:
    """A method that notes what sigma it is told, and returns the image."""

    def prepare(noise: str, sigma: float) -> Any:
        sigmas.append(sigma)
        return lambda noisy: noisy

    return Method(prepare, 1, blind=False)


def test_filters_are_told_sigma_for_real_noise_its_estimate(clean: Path, tmp_path: Path) -> None:
    sigmas: list[float] = []
    list(evaluate_photographs({"told": told(sigmas)}, find_photograph_files(clean), gaussian_noises([0.1])))
    assert sigmas == [0.1] * 4  # two images, two kinds of noise; not called at sigma 0
    noisy = colour_crop() + np.random.default_rng(0).normal(0, 12, colour_crop().shape)
    files = save_images(tmp_path / "noisy", a=grey_crop(), b=np.rint(noisy.clip(0, 255)).astype(np.uint8))
    sigmas.clear()
    list(evaluate_photographs({"told": told(sigmas)}, find_photograph_files(clean, files), REAL_NOISES))
    assert len(sigmas) == 2
    assert sigmas[1] == pytest.approx(estimate_sigma(noisy / 255, channel_axis=-1, average_sigmas=True), rel=0.02)
    assert sigmas[1] == pytest.approx(12 / 255, rel=0.15)


def test_two_workers_measure_what_one_measures(clean: Path, network: Method) -> None:
    methods = {"average": network, "median": classical_methods()["median"]}
    one, two = (
        list(evaluate_photographs(methods, find_photograph_files(clean), [Noise("8-bit", 0.1)], threads=threads))
        for threads in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        assert {**a, "ms_per_megapixel": None} == {**b, "ms_per_megapixel": None}


def test_the_seed_numbers_the_first_photograph(clean: Path) -> None:
    rows = [
        next(evaluate_photographs({}, find_photograph_files(clean), [Noise("float", 0.1)], seed)) for seed in (0, 1)
    ]
    image: ImagesF32 = grey_crop()[None, None].astype(np.float32) / np.float32(255)
    for seed, row in enumerate(rows):
        error = (add_photograph_noise(image, 0.1, "float", seed) - image).astype(float)
        assert row["per_image"][0]["psnr_db"] == pytest.approx(-10 * np.log10((error**2).mean()), abs=1e-6)


def test_the_noise_of_a_photograph_goes_row_by_row_and_channel_by_channel() -> None:
    colour = add_photograph_noise(np.full((1, 3, 2, 2), 0.5, np.float32), 1.0, "float", 0) - 0.5
    normal = (0.12573022, -0.13210486, 0.64042265, 0.10490012, -0.53566937, 0.36159505, 1.30400005)
    np.testing.assert_allclose(colour[0, :, 0, 0], normal[:3], atol=1e-6)
    np.testing.assert_allclose(colour[0, :, 0, 1], normal[3:6], atol=1e-6)
    assert colour[0, 0, 1, 0] == pytest.approx(normal[6], abs=1e-6)
    grey = add_photograph_noise(np.full((1, 1, 2, 3), 0.5, np.float32), 0.1, "8-bit", 0)
    np.testing.assert_allclose(grey[0, 0, 0], np.rint(255 * (0.5 + 0.1 * np.array(normal[:3]))) / 255, atol=1e-6)
