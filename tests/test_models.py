"""The networks: shapes, ranges, and the layers that the paper names."""

import pytest
import torch
from torch import nn

from gan_denoise.models.denoiser import Denoiser, GaussianNoise
from gan_denoise.models.features import FeatureNetwork
from gan_denoise.models.gan import Discriminator, Generator


@pytest.mark.parametrize(("widths", "size"), [((8, 8, 4), 28), ((16, 8, 8, 4), 32), ((8, 4), 64)])
def test_generator_makes_pictures_in_range(widths: tuple[int, ...], size: int) -> None:
    image = Generator(widths, latent_size=10, size=size, channels=3)(torch.randn(5, 10) * 10)
    assert image.shape == (5, 3, size, size)
    assert 0 <= image.min() < image.max() <= 1


def test_generator_refuses_a_size_it_cannot_double_to() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        Generator((8, 8, 8, 8), size=28)


def test_generator_has_the_papers_layers() -> None:
    kinds = [type(module) for module in Generator((8, 8, 4)).modules()]
    assert kinds.count(nn.Linear) == 1
    assert kinds.count(nn.ConvTranspose2d) == kinds.count(nn.BatchNorm2d) == kinds.count(nn.LeakyReLU) == 3


def test_discriminator_gives_one_logit_an_image_and_has_the_papers_layers() -> None:
    discriminator = Discriminator((4, 8, 8), dropout=0.3)
    assert discriminator(torch.rand(5, 1, 28, 28)).shape == (5,)
    kinds = [type(module) for module in discriminator.modules()]
    assert kinds.count(nn.Conv2d) == kinds.count(nn.LeakyReLU) == kinds.count(nn.Dropout) == 3
    assert nn.BatchNorm2d not in kinds  # real and fake share a batch


def test_noise_is_gaussian_of_the_given_strength_in_training_only() -> None:
    noise = GaussianNoise(0.2, 0.2, clipped=0)
    torch.manual_seed(0)
    added = noise(torch.zeros(64, 1, 28, 28))
    assert added.std().item() == pytest.approx(0.2, abs=0.002)
    assert added.mean().item() == pytest.approx(0, abs=0.002)
    assert added.min() < -0.5  # not clipped
    noise.eval()
    assert torch.equal(noise(added), added)


def test_noise_strength_is_drawn_per_image() -> None:
    torch.manual_seed(0)
    strengths = GaussianNoise(0.1, 0.5, clipped=0)(torch.zeros(200, 1, 28, 28)).std(dim=(1, 2, 3))
    assert 0.09 < strengths.min() < 0.13
    assert 0.46 < strengths.max() < 0.54


def test_a_share_of_the_images_is_clipped_as_files_are() -> None:
    torch.manual_seed(0)
    noisy = GaussianNoise(0.3, 0.3, clipped=0.25)(torch.full((400, 1, 28, 28), 0.5))
    pixels = noisy.flatten(1)  # (N, 784)
    clipped = (pixels.min(1).values >= 0) & (pixels.max(1).values <= 1)
    assert 0.19 < clipped.float().mean() < 0.31


def test_denoiser_begins_with_noise_and_keeps_the_shape() -> None:
    denoiser = Denoiser((8, 12), 0.0, 0.5)
    leaves = [module for module in denoiser.modules() if not list(module.children())]
    assert isinstance(leaves[0], GaussianNoise)
    restored = denoiser.eval()(torch.randn(3, 1, 28, 28))
    assert restored.shape == (3, 1, 28, 28)
    assert 0 <= restored.min() < restored.max() <= 1


def test_features_are_the_layer_before_the_logits() -> None:
    network = FeatureNetwork((4, 8, 16)).eval()
    features, logits = network(torch.rand(3, 1, 28, 28))
    assert features.shape == (3, 16)
    assert torch.equal(logits, network.to_logits(features))
