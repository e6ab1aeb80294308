from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bm3d
import numpy as np
import pytest
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.denoising import filters, tuning
from gan_denoise.eval.denoising.filters import FILTERS, FOOTPRINTS, restore, tuned_for
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.eval.noise import NOISES, SIGMAS, add_noise


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:12])


def test_footprints_have_the_pixels_of_their_names() -> None:
    counts = {name: int(footprint.sum()) for name, footprint in FOOTPRINTS.items()}
    assert counts == {"cross of 5": 5, "cross of 9": 9, "diamond of 13": 13, "3x3": 9, "5x5": 25}


def test_bilateral_weights_by_distance_and_difference(clean: np.ndarray) -> None:
    noisy = add_noise(clean[:3, 0][None], 0.1, "float", seed=2)[0]  # (3, 28, 28)
    parameters = {"width": 1.2, "range": 2.0}
    y, x = np.mgrid[-3:4, -3:4]  # 1.2 pixels, twice, rounded up
    for image in (noisy, noisy[0]):
        restored = filters.bilateral(image, 0.1, parameters)
        window = image[..., 7:14, 12:19].reshape(-1, 7, 7)
        difference = ((window - window[:, 3:4, 3:4]) ** 2).sum(0)
        weight = np.exp(-(y**2 + x**2) / (2 * 1.2**2) - difference / (2 * 0.2**2))
        expected = ((weight * window).sum((1, 2)) / weight.sum()).clip(0, 1)
        np.testing.assert_allclose(restored[..., 10, 15], expected.squeeze(), rtol=0, atol=1e-6)
        assert restored.shape == image.shape


def test_colours_are_filtered_together_as_the_libraries_do(clean: np.ndarray) -> None:
    colour = clean[:3, 0] * np.array([1, 0.6, 0.8], np.float32)[:, None, None]
    noisy = add_noise(colour[None], 0.1, "float", seed=2)[0]  # (3, 28, 28)
    last = noisy.transpose(1, 2, 0).astype(np.float64)
    profile = bm3d.BM3DProfile()
    profile.nf = 16
    expected = {
        "total variation": denoise_tv_chambolle(last, 0.08, eps=1e-5, max_num_iter=200, channel_axis=-1),
        "non-local means": denoise_nl_means(last, 5, 6, 0.06, sigma=0.1, channel_axis=-1),
        "BM3D": bm3d.bm3d_rgb(last, 0.1, profile),
        "median": np.stack([ndimage.median_filter(plane, size=3) for plane in noisy], axis=-1),
    }
    parameters: dict[str, dict[str, Any]] = {
        "total variation": {"weight": 0.8},
        "non-local means": {"patch": 5, "distance": 6, "h": 0.6, "noise": 1.0},
        "BM3D": {"block": 8, "strength": 1.0},
        "median": {"footprint": "3x3", "border": "reflect"},
    }
    for name, image in expected.items():
        restored = FILTERS[name](noisy, 0.1, parameters[name])
        np.testing.assert_allclose(restored, image.transpose(2, 0, 1).clip(0, 1), rtol=0, atol=2e-4, err_msg=name)


def test_gaussian_spreads_a_point_by_its_closed_form() -> None:
    image = np.zeros((15, 15), np.float32)
    image[7, 7] = 1.0
    weights = np.exp(-(np.arange(-7, 8) ** 2) / (2 * 1.2**2))
    weights[np.abs(np.arange(-7, 8)) > 5] = 0  # cut at 4 widths
    expected = np.outer(weights, weights) / weights.sum() ** 2
    actual = filters.gaussian(image, 0.1, {"width": 1.2, "border": "reflect"})
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_bm3d_uses_the_given_noise_level_and_is_deterministic(clean: np.ndarray) -> None:
    noisy = add_noise(clean[:3], 0.1, "float", seed=9)
    gains = {}
    for strength in (0.3, 1.0):
        parameters = {"block": 4, "strength": strength}
        restored = restore("BM3D", noisy, 0.1, parameters)
        np.testing.assert_array_equal(restored, restore("BM3D", noisy, 0.1, parameters))
        gains[strength] = psnr(clean[:3], restored).mean() - psnr(clean[:3], noisy).mean()
    assert 0.2 < gains[0.3] < 3
    assert 4.5 < gains[1.0] < 9
    assert not np.array_equal(restored, restore("BM3D", noisy, 0.1, {"block": 8, "strength": 1.0}))


@pytest.mark.parametrize("shape", [(1, 1, 7, 7), (1, 1, 8, 8), (1, 3, 8, 8), (1, 3, 7, 40)])
def test_bm3d_takes_images_as_small_as_its_blocks(shape: tuple[int, ...]) -> None:
    noisy = np.random.default_rng(0).random(shape, np.float32)
    restored = restore("BM3D", noisy, 0.1, {"block": 8, "strength": 1.0})
    assert restored.shape == shape
    assert 0 < np.abs(restored - noisy).mean() < 0.3


def test_bm3d_takes_a_colour_image_without_colours(clean: np.ndarray) -> None:
    """Its chroma channels have no noise, so the package divides by zero."""
    grey = add_noise(clean[:1], 0.1, "float", seed=9)
    parameters = {"block": 8, "strength": 1.0}
    in_colour = restore("BM3D", np.repeat(grey, 3, 1), 0.1, parameters)
    np.testing.assert_allclose(in_colour, np.repeat(restore("BM3D", grey, 0.1, parameters), 3, 1), atol=1e-6)


def test_median_is_the_median_of_its_cross() -> None:
    image = np.zeros((5, 5), np.float32)
    image[2, 2], image[1, 2], image[3, 2], image[2, 1], image[2, 3] = 0.9, 0.1, 0.2, 0.6, 0.7
    image[1, 1] = image[1, 3] = image[3, 1] = image[3, 3] = 1.0  # the corners of the 3x3
    cross = filters.median(image, 0.1, {"footprint": "cross of 5", "border": "reflect"})
    square = filters.median(image, 0.1, {"footprint": "3x3", "border": "reflect"})
    assert cross[2, 2] == pytest.approx(0.6)
    assert square[2, 2] == pytest.approx(0.9)


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize("noise", NOISES)
def test_every_tuned_filter_improves_strong_noise_and_stays_in_range(
    method: str, noise: str, clean: np.ndarray
) -> None:
    noisy = add_noise(clean, 50 / 255, noise, seed=9)
    restored = restore(method, noisy, 50 / 255, tuned_for(filters.load_tuned(), method, noise, 50 / 255))
    assert restored.shape == clean.shape
    assert restored.dtype == np.float32
    assert 0 <= restored.min() <= restored.max() <= 1
    gain = psnr(clean, restored).mean() - psnr(clean, noisy).mean()
    assert 2 < gain < 9  # dB


@pytest.mark.parametrize("method", FILTERS)
def test_a_filter_sees_one_image_at_a_time(method: str, clean: np.ndarray) -> None:
    parameters = tuned_for(filters.load_tuned(), method, "float", 0.3)
    noisy = add_noise(clean, 0.3, "float", seed=9)
    np.testing.assert_array_equal(
        restore(method, noisy[3:4], 0.3, parameters), restore(method, noisy, 0.3, parameters)[3:4]
    )


def test_wavelet_shrinkage_is_shift_invariant(clean: np.ndarray) -> None:
    """Shifting the input by one pixel on the torus shifts the output: all 4 x 4 offsets are averaged."""
    parameters = {"wavelet": "db1", "levels": 2, "method": "VisuShrink", "threshold": 0.8}
    noisy = add_noise(clean, 0.1, "float", seed=9)[0, 0]  # 28 is a multiple of 2^levels, so 4 shifts are all there are
    here = filters.wavelet(noisy, 0.1, parameters)
    there = filters.wavelet(np.roll(noisy, (1, 2), axis=(0, 1)), 0.1, parameters)
    np.testing.assert_allclose(there, np.roll(here, (1, 2), axis=(0, 1)), rtol=0, atol=1e-5)


def test_the_tuned_file_has_every_filter_at_every_noise() -> None:
    tuned = filters.load_tuned()
    for method in FILTERS:
        for noise in NOISES:
            for sigma in SIGMAS:
                assert tuned_for(tuned, method, noise, sigma).keys() == tuning.GRIDS[method].keys()
    assert len(tuned) == len(FILTERS) * len(NOISES) * len(SIGMAS)
    with pytest.raises(
        InputError, match=r"median: expected float noise of a tuned sigma \(0\.058824, .*\), got sigma 0\.123"
    ):
        tuned_for(tuned, "median", "float", 0.123)


def test_the_tuned_file_was_made_on_the_published_training_images() -> None:
    kept = json.loads(filters.TUNED.read_text())
    assert kept["n"] == 100
    assert {row["method"]: row.get("n", 100) for row in kept["rows"]} == {**dict.fromkeys(FILTERS, 100), "BM3D": 30}
    assert kept["images"] == "the first 100 held-out training images"
    assert set(kept["versions"]) >= {"scikit-image", "scipy", "PyWavelets", "numpy"}


@pytest.mark.parametrize("content", ["", "{}", '{"rows": [{"method": "median"}]}', "[1]"])
def test_a_file_that_holds_no_parameters_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tuned.json").write_text(content)
    with pytest.raises(InputError, match=r"tuned.json: expected tuned filter parameters, got"):
        filters.load_tuned(tmp_path / "tuned.json")
    with pytest.raises(InputError, match="FileNotFoundError"):
        filters.load_tuned(tmp_path / "missing.json")


def test_tuning_takes_the_best_of_all_combinations(clean: np.ndarray) -> None:
    grids: dict[str, tuning.Grid] = {
        "Gaussian": {"width": (0.1, 0.5, 2.0), "border": ("constant",)},
        "median": {"footprint": ("3x3", "cross of 5", "5x5"), "border": ("reflect",)},
        "total variation": {"weight": (0.05, 0.6, 5.0)},
        "wavelet": {"wavelet": ("db1",), "levels": (2,), "method": ("BayesShrink",), "threshold": (0.1, 1.0)},
        "non-local means": {"patch": (5,), "distance": (5,), "h": (0.01, 0.7), "noise": (1.0,)},
        "BM3D": {"block": (4,), "strength": (0.1, 1.0)},
    }
    rows = {(row["method"], row["noise"]): row for row in tuning.tune(clean, 1, (0.1,), grids)}
    assert len(rows) == 12
    assert rows["median", "float"]["parameters"] == {"footprint": "cross of 5", "border": "reflect"}
    assert rows["Gaussian", "float"]["parameters"]["width"] == 0.5
    assert rows["BM3D", "float"]["parameters"]["strength"] == 1.0
    assert rows["total variation", "float"]["parameters"] == {"weight": 0.6}
    assert rows["wavelet", "float"]["parameters"]["threshold"] == 1.0
    assert rows["non-local means", "float"]["parameters"]["h"] == 0.7
    noisy = add_noise(clean, 0.1, "float", 1)
    cross = ndimage.median_filter(noisy, footprint=FOOTPRINTS["cross of 5"][None, None], mode="reflect").clip(0, 1)
    assert rows["median", "float"]["psnr_db"] == pytest.approx(psnr(clean, cross).mean(), abs=1e-3)


def test_combinations_are_all_there_are() -> None:
    actual = list(tuning.combinations({"a": (1, 2), "b": ("x", "y", "z")}))
    assert len(actual) == 6
    assert {"a": 2, "b": "z"} in actual
    assert {frozenset(choice.items()) for choice in actual} == {
        frozenset({"a": a, "b": b}.items()) for a in (1, 2) for b in "xyz"
    }
