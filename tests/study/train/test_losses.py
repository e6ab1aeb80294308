"""Losses, EMA and learning-rate schedule of the class-conditional GAN."""

import math

import pytest
import torch
from torch import nn

from gan_denoise.models.conditional_gan import ConditionalDiscriminator, ConditionalGenerator
from gan_denoise.study.train.conditional_gan import pair_step
from gan_denoise.study.train.losses import discriminator_loss, generator_loss, gradient_penalty, set_class
from gan_denoise.study.train.optim import lr_factor, recalibrate_batch_norm, update_ema


def test_the_losses_are_those_of_relativistic_pairs() -> None:
    real, fake = torch.tensor([3.0, 0.0]), torch.tensor([1.0, 1.0])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(expected, abs=1e-6)
    assert generator_loss(real, fake).item() == pytest.approx(discriminator_loss(fake, real).item(), abs=1e-6)
    assert discriminator_loss(real, real).item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_gradient_penalty_of_a_linear_discriminator_is_its_slope() -> None:
    images = torch.rand(4, 1, 28, 28, requires_grad=True)
    slope = torch.randn(1, 28, 28)
    logits = ((images * 2 - 1) * slope).sum(dim=(1, 2, 3))
    assert gradient_penalty(logits, images).item() == pytest.approx(slope.square().sum().item(), rel=1e-5)
    weight = nn.Parameter(torch.tensor(3.0))
    penalty = gradient_penalty((weight * (images * 2 - 1)).sum(dim=(1, 2, 3)), images)
    penalty.backward()
    assert penalty.item() == pytest.approx(9 * 784, rel=1e-5)
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2 * 3 * 784, rel=1e-5)  # it is differentiable


def test_set_class_chooses_the_class_and_only_permutes() -> None:
    z, label = torch.randn(200, 100), torch.arange(200) % 10
    changed = set_class(z, label)
    assert torch.equal(changed[:, -10:].argmax(dim=1), label)
    assert torch.equal(changed[:, :-10], z[:, :-10])
    assert torch.equal(changed[:, -10:].sort(dim=1).values, z[:, -10:].sort(dim=1).values)


def test_only_the_largest_class_entry_of_z_matters() -> None:
    generator = ConditionalGenerator((8, 8, 4), (1, 1, 1)).eval()
    z = torch.randn(6, 100)
    same, other = z.clone(), set_class(z, (z[:, -10:].argmax(dim=1) + 1) % 10)
    same[:, -10:] *= 2  # the largest stays the largest
    assert torch.equal(generator(same), generator(z))
    assert (generator(other) - generator(z)).abs().amax(dim=(1, 2, 3)).min() > 1e-4
    assert generator(z).shape == (6, 1, 28, 28)


def test_the_discriminator_depends_on_the_class() -> None:
    discriminator = ConditionalDiscriminator((8, 8, 8), (0, 1, 0))
    image = torch.rand(5, 1, 28, 28)
    logits = discriminator(image, torch.tensor([0, 1, 2, 3, 4]))
    assert logits.shape == (5,)
    other_class = discriminator(image, torch.tensor([0, 1, 2, 3, 5]))
    assert torch.equal(other_class[:4], logits[:4])
    assert other_class[4] != logits[4]


def test_the_ema_moves_half_way_in_its_half_life() -> None:
    ema, network = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(ema.weight)
    nn.init.ones_(network.weight)
    for _ in range(10):
        update_ema(ema, network, images=64, half_life=640)
    assert ema.weight.item() == pytest.approx(0.5, abs=1e-6)


def test_recalibrated_batch_norm_fits_the_current_weights() -> None:
    torch.manual_seed(0)
    generator = ConditionalGenerator((8, 8, 4), (0, 1, 0)).requires_grad_(False)
    for parameter in generator.parameters():
        parameter.mul_(3)
    recalibrate_batch_norm(generator, 100, seed=0)
    assert not generator.training
    first = generator.body[0]
    assert isinstance(first, nn.BatchNorm2d)
    assert first.momentum == 0.1
    assert first.running_var is not None
    hidden = []
    first.register_forward_hook(lambda module, inputs, output: hidden.append(inputs[0]))
    generator(torch.randn(5000, 100))
    assert torch.allclose(first.running_var, hidden[0].var(dim=(0, 2, 3)), rtol=0.05)
    statistics = first.running_var.clone()
    recalibrate_batch_norm(generator, 100, seed=0)
    assert torch.equal(first.running_var, statistics)


def test_the_schedule_warms_up_is_constant_and_decays() -> None:
    factors = [lr_factor(step, 100, 9, 0.5) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:51] == [1.0] * 42
    assert factors[75] == pytest.approx(0.5)
    assert 0 < factors[99] == pytest.approx(0.02)
    assert [lr_factor(step, 10, 0, 0) for step in range(10)] == [1.0] * 10


def test_pair_steps_lower_the_discriminators_loss() -> None:
    torch.manual_seed(0)
    generator, discriminator = ConditionalGenerator((8, 8, 4), (0, 1, 0)), ConditionalDiscriminator((8, 8), (0, 0))
    first, second = (torch.optim.Adam(n.parameters(), 5e-3, (0.0, 0.99)) for n in (generator, discriminator))
    real, label = torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    z = set_class(torch.randn(32, 100), label)
    steps = [pair_step(generator, discriminator, first, second, real, label, z, penalty=0.1) for _ in range(20)]
    assert steps[0]["discriminator_loss"] == pytest.approx(math.log(2), abs=0.1)
    assert steps[0]["generator_loss"] == pytest.approx(math.log(2), abs=0.3)
    assert steps[-1]["discriminator_loss"] < steps[0]["discriminator_loss"] - 0.1
    assert steps[0]["pair_accuracy"] == pytest.approx(0.5, abs=0.3)
    assert steps[-1]["pair_accuracy"] > 0.9
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
