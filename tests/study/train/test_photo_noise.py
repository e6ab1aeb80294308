"""The training noise of photographs: levels, kinds, grey images, and the noise of cameras."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from gan_denoise.study.config import PhotoDenoiserConfig
from gan_denoise.study.train.photo_denoiser import add_training_noise, cosine_factor, crop_and_batch, random_crops
from gan_denoise.study.train.photo_noise import camera_noise

GAUSSIAN = PhotoDenoiserConfig(camera_probability=0, clean_probability=0, grey_probability=0, clip_probability=0)


def plain(value: float, count: int = 200, side: int = 32) -> Tensor:
    return torch.full((count, 3, side, side), value)


def noise_of(config: PhotoDenoiserConfig, clean: Tensor) -> Tensor:
    torch.manual_seed(0)
    target, noisy = add_training_noise(clean.clone(), config)
    return noisy - target


def test_each_image_has_white_noise_of_a_level_of_its_own() -> None:
    noise = noise_of(GAUSSIAN, plain(0.5))
    levels = noise.std((1, 2, 3))
    assert 0 <= levels.min() < 0.01
    assert 0.24 < levels.max() < 0.26
    assert levels.mean().item() == pytest.approx(0.125, abs=0.015)  # uniform from 0 to sigma_max
    channels = noise.transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels).fill_diagonal_(0).abs().max() < 0.02


def test_grey_images_have_equal_noise_in_the_three_channels() -> None:
    torch.manual_seed(1)
    target, noisy = add_training_noise(torch.rand(4, 3, 16, 16), dataclasses.replace(GAUSSIAN, grey_probability=1))
    for images in (target, noisy):
        assert torch.equal(images, images[:, :1].expand_as(images))
    assert not torch.equal(noisy, target)


def test_clipped_images_hold_8_bits() -> None:
    noise = noise_of(dataclasses.replace(GAUSSIAN, clip_probability=0.5), plain(0.0))
    is_clipped = noise.flatten(1).min(1).values >= 0
    assert 0.4 < is_clipped.float().mean() < 0.6
    steps = noise[is_clipped] * 255
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-4)


def test_some_images_have_no_noise_and_some_that_of_a_camera() -> None:
    config = dataclasses.replace(GAUSSIAN, clean_probability=0.25, camera_probability=0.25)
    noisy = noise_of(config, plain(0.4)) + 0.4
    levels = noisy.std((1, 2, 3))
    assert 0.15 < (levels < 1e-6).float().mean() < 0.35
    steps = (noisy * 255 - (noisy * 255).round()).abs().flatten(1).max(1).values
    from_camera = (steps < 1e-3) & (levels > 1e-6)
    assert 0.15 < from_camera.float().mean() < 0.35


@pytest.mark.parametrize("value", [0.1, 0.9])
def test_camera_noise_keeps_the_mean_of_light_and_is_in_8_bits(value: float) -> None:
    torch.manual_seed(2)
    noisy = camera_noise(plain(value, 100, 48))
    assert 0 <= noisy.min() < noisy.max() <= 1
    torch.testing.assert_close(noisy * 255, (noisy * 255).round(), rtol=0, atol=1e-3)
    assert (noisy.mean() - value).abs() < 0.03
    levels = noisy.std((1, 2, 3))
    assert levels.min() < 0.02
    assert levels.max() > 0.05


def test_camera_noise_is_coarser_than_a_pixel_in_many_images() -> None:
    torch.manual_seed(3)
    noise = camera_noise(plain(0.5, 100, 48)) - 0.5
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean((1, 2, 3)) / noise.square().mean((1, 2, 3))
    assert neighbours.median() > 0.3
    assert neighbours.min() < 0.2


def test_crops_have_all_eight_orientations_and_come_from_the_tile() -> None:
    torch.manual_seed(4)
    tile = torch.arange(3 * 20 * 20, dtype=torch.int32).reshape(1, 3, 20, 20)
    crops = random_crops(tile, 300, 8)
    assert crops.shape == (300, 3, 8, 8)
    steps = {(int(crop[0, 0, 1] - crop[0, 0, 0]), int(crop[0, 1, 0] - crop[0, 0, 0])) for crop in crops}
    assert steps == {(a * x, b * y) for a in (-1, 1) for b in (-1, 1) for x, y in ((1, 20), (20, 1))}
    corners = [divmod(int(crop.min()), 20) for crop in crops]
    for places in zip(*corners, strict=True):
        assert set(places) == set(range(13))  # from the first to the last


def test_crops_grow_towards_the_end_with_as_many_pixels_a_step() -> None:
    config = PhotoDenoiserConfig(crop=64, last_crop=128, last_crop_fraction=0.25, batch=16)
    assert crop_and_batch(config, 0.7499) == (64, 16)
    assert crop_and_batch(config, 0.75) == (128, 4)


def test_the_learning_rate_rises_and_falls_along_a_half_cosine() -> None:
    factors = [cosine_factor(step, 1000, 100) for step in range(1000)]
    assert factors[0] == pytest.approx(1 / 101)
    assert factors[500] == pytest.approx(0.5)
    assert 0 < factors[-1] < 1e-4
    assert factors.index(max(factors)) == 100
