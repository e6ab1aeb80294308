"""The losses and the noise of blind denoisers."""

import math

import pytest
import torch

from gan_denoise.study.config import BlindDenoiserConfig, DnCNNShape, UNetShape
from gan_denoise.study.train.blind_denoiser import blind_step, build_denoiser
from gan_denoise.study.train.noise import clip_random_subset, sample_sigmas


def first_loss(config: BlindDenoiserConfig) -> float:
    """The loss of an untrained network on 512 grey images."""
    torch.manual_seed(0)
    denoiser = build_denoiser(config.network)
    adam = torch.optim.Adam(denoiser.parameters(), 1e-3)
    return blind_step(denoiser, adam, torch.full((512, 1, 28, 28), 0.5), config)


def test_the_unet_starts_at_the_logarithm_of_the_noise() -> None:
    """The identity leaves an error of sigma^2, sigma = 0.6 u^2, whose logarithm is 2 log 0.6 - 4 on average."""
    loss = first_loss(BlindDenoiserConfig(network=UNetShape((8, 8), (1, 1, 1)), clip_probability=0))
    assert loss == pytest.approx(2 * math.log(0.6) - 4, abs=0.35)


def test_noise2noise_has_the_error_that_no_network_can_avoid() -> None:
    """Its target has independent noise: the mean of sigma^2 is 0.36 / 5, added to the error of the network."""
    shape, floor = DnCNNShape(8, 3), 0.36 / 5
    noisy, clean = (first_loss(BlindDenoiserConfig(network=shape, noisy_targets=targets)) for targets in (True, False))
    assert noisy > 0.9 * floor
    assert noisy - clean == pytest.approx(floor, rel=0.35)  # both are squared errors


def test_sigmas_are_often_small_and_never_above_the_maximum() -> None:
    torch.manual_seed(0)
    sigma = sample_sigmas(torch.zeros(20_000, 1, 1, 1), 0.6)
    assert sigma.shape == (20_000, 1, 1, 1)
    assert 0 <= sigma.min() < 1e-4
    assert 0.59 < sigma.max() <= 0.6
    assert sigma.mean().item() == pytest.approx(0.2, abs=0.005)


def test_a_fraction_of_the_images_is_clipped() -> None:
    torch.manual_seed(0)
    noisy = 3 * torch.randn(4000, 1, 4, 4)
    partly = clip_random_subset(noisy, 0.25)
    clipped = ((partly >= 0) & (partly <= 1)).flatten(1).all(dim=1)
    assert clipped.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(partly[~clipped], noisy[~clipped])
    assert torch.equal(partly[clipped], noisy[clipped].clamp(0, 1))
