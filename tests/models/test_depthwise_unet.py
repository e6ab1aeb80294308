"""The denoiser for photographs: shape, receptive field, scaling, and the folded first layer."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_unshuffle

from gan_denoise.models.depthwise_unet import DepthwiseUNet


def random_network(blocks: tuple[int, int, int, int, int] = (1, 1, 2, 1, 1)) -> DepthwiseUNet:
    torch.manual_seed(0)
    network = DepthwiseUNet((8, 12, 16), blocks)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("size", [(8, 8), (64, 40), (16, 120)])
def test_any_multiple_of_8_keeps_its_shape_and_is_clipped_in_evaluation_only(size: tuple[int, int]) -> None:
    network, noisy = random_network(), torch.randn(2, 3, *size)
    restored = network(noisy)
    assert restored.shape == noisy.shape
    assert restored.min() < 0 < 1 < restored.max()
    clipped = network.eval()(noisy)
    torch.testing.assert_close(clipped, restored.clamp(0, 1))


def test_an_untrained_network_returns_its_input() -> None:
    noisy = torch.rand(1, 3, 16, 16)
    assert torch.equal(DepthwiseUNet((8, 12, 16), (1, 1, 1, 1, 1))(noisy), noisy)


def test_the_noise_estimate_scales_with_the_input() -> None:
    network, noisy = random_network(), torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(network(2 * noisy), 2 * network(noisy))


@pytest.mark.parametrize("blocks", [(1, 1, 2, 1, 1), (0, 2, 1, 0, 3)])
def test_no_output_depends_on_an_input_outside_the_receptive_field(blocks: tuple[int, int, int, int, int]) -> None:
    network, side = random_network(blocks).double(), 160
    reach = []
    for position in range(72, 88):  # each offset on the grids of the levels
        noisy = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        pixel: Tensor = network(noisy)[0, 1, position, position]
        (gradient,) = torch.autograd.grad(pixel, noisy)
        rows = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0]
        reach += [position - int(rows.min()), int(rows.max()) - position]
    assert network.receptive_field - 8 < max(reach) <= network.receptive_field


def test_the_first_layer_equals_pixel_unshuffling_and_a_3x3_convolution() -> None:
    head, images = random_network().head, torch.rand(1, 3, 16, 16)
    weight = head.weight.reshape(8, 3, 3, 2, 3, 2).permute(0, 1, 3, 5, 2, 4).reshape(8, 12, 3, 3)  # from 6x6 to 3x3
    torch.testing.assert_close(head(images), conv2d(pixel_unshuffle(images, 2), weight, padding=1))
