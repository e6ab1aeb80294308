from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float, to_uint8
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import psnr_ssim
from gan_denoise.eval.metrics.psnr_ssim import psnr, ssim
from gan_denoise.eval.noise import add_noise, to_8_bit


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:40])


def test_psnr_of_a_constant_difference_is_its_closed_form() -> None:
    clean = np.full((2, 1, 8, 8), 0.5, np.float32)
    restored = clean + np.array([0.25, 0.125], np.float32)[:, None, None, None]
    np.testing.assert_allclose(psnr(clean, restored), [20 * np.log10(4), 20 * np.log10(8)], rtol=1e-12)


def test_psnr_and_ssim_are_those_of_scikit_image(clean: np.ndarray) -> None:
    noisy = add_noise(clean, 0.2, "float", seed=3)
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(clean[:, 0], noisy[:, 0], strict=True)]
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs]
    np.testing.assert_allclose(psnr(clean, noisy), expected, rtol=1e-10)
    expected = [structural_similarity(a, b, data_range=1.0) for a, b in pairs]
    np.testing.assert_allclose(ssim(clean, noisy), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 5, 23, 60])
@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_in_strips_is_that_of_the_whole_image(
    rows: int, channels: int, clean: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.concatenate(clean[: 2 * channels, 0], axis=1).reshape(1, channels, 28, 56)
    noisy = add_noise(image, 0.1, "float", seed=1)
    monkeypatch.setattr(psnr_ssim, "STRIP_PIXELS", 56 * rows)
    assert psnr_ssim.ssim_of_large(image, noisy) == pytest.approx(ssim(image, noisy)[0], abs=1e-9)


def test_identical_images_are_perfect_and_others_are_not(clean: np.ndarray) -> None:
    assert (psnr(clean, clean) == np.inf).all()
    np.testing.assert_allclose(ssim(clean, clean), 1.0, rtol=0, atol=1e-12)
    noisy = add_noise(clean, 0.1, "float", seed=0)
    assert np.isfinite(psnr(clean, noisy)).all()
    assert (ssim(clean, noisy) < 0.999).all()


def test_float_noise_has_the_given_sigma_and_exceeds_the_range(clean: np.ndarray) -> None:
    noisy = add_noise(clean, 0.3, "float", seed=1)
    difference = (noisy - clean).astype(np.float64)  # 31,360 values
    assert difference.std() == pytest.approx(0.3, rel=0.02)
    assert difference.mean() == pytest.approx(0.0, abs=0.01)
    assert noisy.min() < -0.5
    assert noisy.max() > 1.5
    assert noisy.dtype == np.float32


def test_8_bit_noise_is_the_float_noise_clipped_and_rounded(clean: np.ndarray) -> None:
    noisy, stored = add_noise(clean, 0.3, "float", seed=1), add_noise(clean, 0.3, "8-bit", seed=1)
    levels = stored.astype(np.float64) * 255
    np.testing.assert_allclose(levels, np.rint(levels), rtol=0, atol=1e-4)
    assert stored.min() == 0.0
    assert stored.max() == 1.0
    np.testing.assert_allclose(stored, noisy.clip(0, 1), rtol=0, atol=0.5 / 255 + 1e-6)
    assert stored.dtype == np.float32


def test_a_file_keeps_what_8_bit_noise_is(clean: np.ndarray) -> None:
    stored = add_noise(clean, 0.1, "8-bit", seed=2)
    np.testing.assert_array_equal(to_float(to_uint8(stored)), stored)
    np.testing.assert_array_equal(to_8_bit(stored), stored)


def test_the_noise_of_an_image_depends_on_its_seed_and_index_alone(clean: np.ndarray) -> None:
    whole = add_noise(clean, 0.2, "float", seed=5)
    np.testing.assert_array_equal(add_noise(clean[:7], 0.2, "float", seed=5), whole[:7])
    np.testing.assert_array_equal(add_noise(clean[7:9], 0.2, "float", seed=5, start=7), whole[7:9])
    assert not np.array_equal(add_noise(clean[:7], 0.2, "float", seed=6), whole[:7])
    assert not np.array_equal(whole[0] - clean[0], whole[1] - clean[1])


def test_colour_is_measured_as_scikit_image_measures_it(clean: np.ndarray) -> None:
    colour = np.concatenate([clean[:4], clean[4:8], clean[8:12]], axis=1)  # (4, 3, 28, 28)
    noisy = add_noise(colour, 0.1, "float", seed=5)
    for image, other, actual, ratio in zip(colour, noisy, ssim(colour, noisy), psnr(colour, noisy), strict=True):
        assert actual == pytest.approx(structural_similarity(image, other, data_range=1, channel_axis=0), abs=1e-5)
        assert ratio == pytest.approx(-10 * np.log10(((image - other) ** 2).mean()), abs=1e-4)


def test_no_noise_is_the_image_itself(clean: np.ndarray) -> None:
    np.testing.assert_array_equal(add_noise(clean, 0.0, "float", seed=0), clean)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_another_type_shape_range_or_nan_is_refused(measure, clean: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    levels = to_uint8(clean)[:, None]
    with pytest.raises(InputError, match="uint8"):
        measure(levels, clean)
    with pytest.raises(InputError, match=r"restored images: expected .*, got uint8"):
        measure(clean, levels)
    with pytest.raises(InputError, match="clean images: expected values from 0 to 1, got 0 to 255"):
        measure(clean * 255, clean)
    with pytest.raises(InputError, match="equal shapes"):
        measure(clean, clean[:5])
    with pytest.raises(InputError, match=r"expected float32 \(N, 1, H, W\) or \(N, 3, H, W\), got"):
        measure(clean[:, 0], clean[:, 0])
    with pytest.raises(InputError, match=r"expected float32 \(N, 1, H, W\) or \(N, 3, H, W\), got"):
        measure(clean.repeat(2, axis=1), clean.repeat(2, axis=1))
    broken = clean.copy()
    broken[3, 0, 2, 2] = np.nan
    with pytest.raises(InputError, match="restored images: expected finite numbers, got NaN"):
        measure(clean, broken)


def test_images_smaller_than_the_window_are_refused() -> None:
    enough, small = np.zeros((1, 1, 7, 7), np.float32), np.zeros((1, 1, 7, 6), np.float32)
    assert ssim(enough, enough) == pytest.approx([1.0])
    with pytest.raises(InputError, match="expected 7 or more pixels a side"):
        ssim(small, small)


def test_noise_of_another_kind_or_sigma_is_refused(clean: np.ndarray) -> None:
    with pytest.raises(InputError, match="noise: expected one of float, 8-bit, got"):
        add_noise(clean, 0.1, "uint8", seed=0)
    for sigma in (-0.1, np.nan, np.inf):
        with pytest.raises(InputError, match="sigma"):
            add_noise(clean, sigma, "float", seed=0)
