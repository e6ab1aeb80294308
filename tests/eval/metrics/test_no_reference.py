from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics import no_reference
from gan_denoise.eval.noise import add_noise

MEASURES = [no_reference.sharpness, no_reference.contrast, no_reference.noise]


@pytest.fixture(scope="module")
def clean(excerpt: Dataset) -> np.ndarray:
    return to_float(excerpt.test.images[:20])


def test_sharpness_is_the_variance_of_scipys_laplacian(clean: np.ndarray) -> None:
    expected = [ndimage.laplace(image.astype(np.float64)).var() for image in clean[:, 0]]
    np.testing.assert_allclose(no_reference.sharpness(clean), expected, rtol=1e-12)


def test_sharpness_of_a_single_bright_pixel_is_its_closed_form() -> None:
    image = np.zeros((1, 1, 10, 10), np.float32)
    image[0, 0, 5, 5] = 1.0
    # The Laplacian is -4 once, 1 four times, and sums to 0: its variance is (16 + 4) / 100.
    assert no_reference.sharpness(image) == pytest.approx([0.2], rel=1e-12)


def test_contrast_of_an_image_half_black_and_half_white_is_one_half() -> None:
    image = np.zeros((1, 1, 8, 8), np.float32)
    image[0, 0, :4] = 1.0
    assert no_reference.contrast(image) == pytest.approx([0.5], rel=1e-12)


def test_blur_lowers_sharpness_and_contrast(clean: np.ndarray) -> None:
    blurred = ndimage.gaussian_filter(clean, (0, 0, 1, 1))
    assert (no_reference.sharpness(blurred) < 0.5 * no_reference.sharpness(clean)).all()
    assert (no_reference.contrast(blurred) < no_reference.contrast(clean)).all()


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_noise_estimates_the_sigma_that_was_added(sigma: float) -> None:
    grey = np.full((30, 1, 28, 28), 0.5, np.float32)
    noisy = add_noise(grey, sigma, "float", seed=4)  # 0.5 is 5 sigma or more from the ends
    assert no_reference.noise(noisy.clip(0, 1)).mean() == pytest.approx(sigma, rel=0.05)


def test_an_image_of_one_grey_has_no_noise_sharpness_or_contrast() -> None:
    grey = np.full((2, 1, 28, 28), 0.5, np.float32)
    for measure in MEASURES:
        np.testing.assert_allclose(measure(grey), [0.0, 0.0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_each_image_is_measured_for_itself(measure, clean: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    values = measure(clean)
    assert values.shape == (20,)
    np.testing.assert_allclose(measure(clean[7:8]), values[7:8], rtol=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_another_type_shape_or_range_is_refused(measure, clean: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="uint8"):
        measure((clean * 255).astype(np.uint8))
    with pytest.raises(InputError, match="images: expected values from 0 to 1, got"):
        measure(clean * 255)
    with pytest.raises(InputError, match=r"expected float32 \(N, 1, H, W\) or \(N, 3, H, W\), got"):
        measure(clean[:, 0])
    with pytest.raises(InputError, match="images: expected values from 0 to 1, got"):
        measure(np.full((1, 1, 28, 28), np.nan, np.float32))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_colour_image_has_the_mean_over_its_channels(measure, clean: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    colour = np.concatenate([clean[:5], clean[5:10], clean[10:15]], axis=1)  # (5, 3, 28, 28)
    planes = measure(clean[:15]).reshape(3, 5)
    np.testing.assert_allclose(measure(colour), planes.mean(axis=0), rtol=1e-9)
