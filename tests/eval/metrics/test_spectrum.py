from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.spectrum import power_spectrum


def test_a_wave_has_all_its_power_at_its_frequency() -> None:
    wave = np.cos(2 * np.pi * 4 * np.arange(28) / 28)  # four cycles an image
    frequencies, power = power_spectrum(np.tile(wave, (3, 1, 28, 1)).astype(np.float32))
    np.testing.assert_allclose(frequencies, np.arange(15) / 28)
    ring = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(28), np.fft.fftfreq(28))) * 28) == 4
    # Two coefficients of (28 * 28 / 2)^2 / 28^2 each, averaged over the ring.
    assert power[4] == pytest.approx(2 * 28 * 28 / 4 / ring.sum(), rel=1e-5)
    assert np.delete(power, 4).max() < 1e-8


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, (2000, 1, 28, 28)).astype(np.float32)
    np.testing.assert_allclose(power_spectrum(noise)[1], 0.09, rtol=0.05)


def test_one_grey_is_all_at_frequency_0() -> None:
    power = power_spectrum(np.full((2, 1, 28, 28), 0.5, np.float32))[1]
    assert power[0] == pytest.approx(0.25 * 28 * 28, rel=1e-9)
    assert power[1:].max() < 1e-12


def test_blur_takes_the_fine_part_of_real_images_by_its_own_transfer(excerpt: Dataset) -> None:
    images = to_float(excerpt.test.images)
    blurred = ndimage.gaussian_filter(images, (0, 0, 1, 1), mode="wrap")
    frequencies, before = power_spectrum(images)
    after = power_spectrum(blurred)[1]
    expected = np.exp(-((2 * np.pi * frequencies) ** 2))  # the squared transfer of a Gaussian of sigma 1
    np.testing.assert_allclose((after / before)[1:8], expected[1:8], rtol=0.15)


@pytest.mark.parametrize("shape", [(28, 28), (2, 4, 28, 28), (0, 1, 28, 28)])
def test_shapes_that_are_no_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="with N of 1 or more, got"):
        power_spectrum(np.zeros(shape, np.float32))


def test_a_colour_image_has_the_mean_power_of_its_channels(excerpt: Dataset) -> None:
    grey = to_float(excerpt.test.images[:9])
    colour = grey.reshape(3, 3, 28, 28)
    np.testing.assert_allclose(power_spectrum(colour)[1], power_spectrum(grey)[1], rtol=1e-9)
