"""The networks: shapes, ranges, and the layers that the paper names."""

import pytest
import torch
from torch import nn

from gan_denoise.models.autoencoder import Denoiser, GaussianNoise
from gan_denoise.models.classifier import FeatureNetwork, ResidualFeatureNetwork
from gan_denoise.models.dcgan import Discriminator, Generator
from gan_denoise.models.dncnn import DnCNN
from gan_denoise.models.dropout import Dropout
from gan_denoise.models.mlp_gan import FullyConnectedDiscriminator, FullyConnectedGenerator, Maxout
from gan_denoise.models.unet import UNet


@pytest.mark.parametrize(("widths", "size"), [((8, 8, 4), 28), ((16, 8, 8, 4), 32), ((8, 4), 64)])
def test_generator_output_is_in_range(widths: tuple[int, ...], size: int) -> None:
    image = Generator(widths, latent_size=10, size=size, channels=3)(torch.randn(5, 10) * 10)
    assert image.shape == (5, 3, size, size)
    assert 0 <= image.min() < image.max() <= 1


def test_generator_refuses_a_size_that_doublings_cannot_reach() -> None:
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
    assert kinds.count(nn.Conv2d) == kinds.count(nn.LeakyReLU) == kinds.count(Dropout) == 3
    assert nn.BatchNorm2d not in kinds  # real and fake share a batch


def test_noise_is_gaussian_of_the_given_sigma_in_training_only() -> None:
    noise = GaussianNoise(0.2, 0.2, clip_probability=0)
    torch.manual_seed(0)
    added = noise(torch.zeros(64, 1, 28, 28))
    assert added.std().item() == pytest.approx(0.2, abs=0.002)
    assert added.mean().item() == pytest.approx(0, abs=0.002)
    assert added.min() < -0.5  # not clipped
    noise.eval()
    assert torch.equal(noise(added), added)


def test_sigma_is_drawn_per_image() -> None:
    torch.manual_seed(0)
    sigmas = GaussianNoise(0.1, 0.5, clip_probability=0)(torch.zeros(200, 1, 28, 28)).std(dim=(1, 2, 3))
    assert 0.09 < sigmas.min() < 0.13
    assert 0.46 < sigmas.max() < 0.54


def test_a_fraction_of_the_images_is_clipped() -> None:
    torch.manual_seed(0)
    noisy = GaussianNoise(0.3, 0.3, clip_probability=0.25)(torch.full((400, 1, 28, 28), 0.5))
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


@pytest.mark.parametrize("kind", [FeatureNetwork, ResidualFeatureNetwork])
@pytest.mark.parametrize(("classes", "channels", "size"), [(10, 1, 28), (2, 3, 32)])
def test_features_are_the_layer_before_the_logits(
    kind: type[FeatureNetwork] | type[ResidualFeatureNetwork], classes: int, channels: int, size: int
) -> None:
    network = kind((4, 8, 16), classes, channels).eval()
    images = torch.rand(3, channels, size, size)
    features, logits = network(images)
    assert (features.shape, logits.shape) == ((3, 16), (3, classes))
    assert torch.equal(logits, network.to_logits(features))
    assert torch.allclose(network(images[1:2])[0], features[1:2], atol=1e-6)  # the same alone as in a batch
    assert not torch.allclose(features[0], features[1], atol=1e-6)


@pytest.mark.parametrize("network", [UNet((8, 12), (1, 1, 1)), DnCNN(8, 5)])
def test_residual_denoisers_keep_the_shape_and_clip_in_evaluation_only(network: nn.Module) -> None:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    noisy = torch.randn(3, 1, 28, 28)
    restored = network(noisy)
    assert restored.shape == noisy.shape
    assert restored.min() < 0 < 1 < restored.max()
    clipped = network.eval()(noisy)
    assert clipped.min() == 0
    assert clipped.max() == 1


def test_the_unet_applies_the_black_level_threshold_in_evaluation_and_keeps_other_greys() -> None:
    network = UNet((8, 12), (1, 1, 1)).eval()  # the identity
    greys = torch.linspace(0, 1, 28 * 28).reshape(1, 1, 28, 28)
    after = network(greys)
    assert (after[greys < 2 / 255] == 0).all()
    assert torch.equal(after[greys > 4 / 255], greys[greys > 4 / 255])
    assert (after.flatten().diff() >= 0).all()  # continuous: a rounding difference stays small
    assert after.flatten().diff().max() < 2.1 / (28 * 28)
    assert torch.equal(network.train()(greys), greys)


def test_the_unet_starts_from_the_identity_and_has_neither_biases_nor_norms() -> None:
    network = UNet((8, 12), (2, 3, 2))
    noisy = torch.randn(2, 1, 28, 28)
    assert torch.equal(network(noisy), noisy)
    assert not [name for name, _ in network.named_parameters() if "bias" in name]
    kinds = [type(module) for module in network.modules()]
    assert nn.BatchNorm2d not in kinds
    assert kinds.count(nn.Conv2d) == 3 * 7 + 3  # three per block, head, tail, and the downsampling
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    assert torch.allclose(network(3 * noisy), 3 * network(noisy), rtol=1e-4, atol=1e-4)  # scales with its input


def test_dncnn_is_the_papers() -> None:
    network = DnCNN()
    kinds = [type(module) for module in network.modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.BatchNorm2d), kinds.count(nn.ReLU)) == (17, 15, 16)
    assert sum(parameter.numel() for parameter in network.parameters()) == 640 + 15 * (36_864 + 128) + 577


def test_the_gan_of_2014_has_dense_layers_only() -> None:
    generator, discriminator = FullyConnectedGenerator((16, 16)), FullyConnectedDiscriminator((8, 8), dropout=0.5)
    image = generator(torch.randn(4, 100))
    assert image.shape == (4, 1, 28, 28)
    assert 0 < image.min() < image.max() < 1
    assert discriminator(image).shape == (4,)
    assert not [m for m in (*generator.modules(), *discriminator.modules()) if isinstance(m, nn.Conv2d)]


def test_maxout_takes_the_largest_piece() -> None:
    layer = Maxout(3, 2, pieces=4)
    x = torch.randn(5, 3)
    pieces = layer.linear(x)  # (5, 8)
    assert torch.equal(layer(x), torch.stack([pieces[:, :4].amax(1), pieces[:, 4:].amax(1)], dim=1))
