"""Train the paper's GAN, or the one of 2014: generator and discriminator in turn, binary cross-entropy, Adam."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam, Optimizer

from gan_denoise.data.fashion_mnist import Dataset, to_float
from gan_denoise.export import pictures, runtime, weights
from gan_denoise.models.fully_connected import FullyConnectedDiscriminator, FullyConnectedGenerator
from gan_denoise.models.gan import Discriminator, Generator
from gan_denoise.study.architecture import describe, layers_of
from gan_denoise.study.batches import batch_indices, pixels, seed_step, steps_per_epoch
from gan_denoise.study.collapse import variety
from gan_denoise.study.config import FullyConnectedGanConfig, GanConfig
from gan_denoise.study.identity import Options, identity_of
from gan_denoise.study.sizes import sides
from gan_denoise.study.stage import Stage, on_device, prepare_torch, training_precision
from gan_denoise.study.update import update

SAMPLES = 64  # pictures in the grid of each epoch, from latents that never change


def train_gan(config: GanConfig | FullyConnectedGanConfig, dataset: Dataset, run: Path, options: Options) -> None:
    """Train in `run`/gan and leave `generator.safetensors` there; goes on where an earlier run stopped.

    Raises what Stage.open raises, and DivergedError when a loss or a gradient is not finite.
    """
    folder = run / "gan"
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    generator, discriminator = (on_device(network, device) for network in networks(config, **sides(dataset)))
    generator_adam = Adam(generator.parameters(), config.learning_rate, (config.beta1, 0.999))
    discriminator_adam = Adam(discriminator.parameters(), config.learning_rate, (config.beta1, 0.999))
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    identity = identity_of(config, dataset, options)
    parts = {"generator": generator, "discriminator": discriminator}
    optimizers = {"generator_adam": generator_adam, "discriminator_adam": discriminator_adam}
    epoch_steps = steps_per_epoch(len(images), config.batch)
    variety_real = variety(to_float(dataset.train.images[:SAMPLES]))

    with Stage.open(
        folder, identity, {**parts, **optimizers}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        generator_layers = layers_of(generator, (config.latent_size,))
        describe(folder, generator=generator_layers, discriminator=layers_of(discriminator, dataset.train.shape))
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            real = images[batch_indices(options.seed, step, len(images), config.batch).to(device)]
            real = pixels(real)  # (B, C, H, W) in [0, 1]
            z = torch.randn(len(real), config.latent_size, device=device)

            # step
            with training_precision(device, options):
                counts = gan_step(generator, discriminator, generator_adam, discriminator_adam, real, z)
            stage.count(**counts)

            # log and sample
            if stage.epoch_ends(step):
                shown = sample(generator, config.latent_size)
                pictures.save(pictures.grid(shown), folder / "samples" / f"epoch-{stage.epoch:03d}.png")
                stage.log_epoch(step, len(images), variety=variety(shown), variety_real=variety_real)

            # save
            stage.step_done(step)
        arguments = {"widths": config.generator_widths, "latent_size": config.latent_size, **sides(dataset)}
        weights.save(folder / "generator.safetensors", generator, arguments)


def networks(config: GanConfig | FullyConnectedGanConfig, **sides: int) -> tuple[nn.Module, nn.Module]:
    """The untrained generator and discriminator of `config`; `sides` are `size` and `channels` if not 28 and 1."""
    match config:
        case GanConfig():
            generator: nn.Module = Generator(config.generator_widths, config.latent_size, **sides)
            return generator, Discriminator(config.discriminator_widths, config.dropout, **sides)
        case FullyConnectedGanConfig():
            generator = FullyConnectedGenerator(config.generator_widths, config.latent_size, **sides)
            return generator, FullyConnectedDiscriminator(config.discriminator_widths, config.dropout, **sides)


def gan_step(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_adam: Optimizer,
    discriminator_adam: Optimizer,
    real: Tensor,
    z: Tensor,
) -> dict[str, float]:
    """One update of the discriminator, then one of the generator with the non-saturating loss.

    Takes real images (B, C, H, W) in [0, 1] and z (B, latent_size); the networks' own randomness is torch's
    global generator. Returns both losses and the discriminator's accuracy on real and on fake, each in [0, 1].
    Source: Goodfellow et al. 2014, algorithm 1, with the loss of its section 3.
    """
    fake = generator(z)
    logits = discriminator(torch.cat([real, fake.detach()]))  # (2B,)
    says_real = torch.cat([torch.ones_like(logits[: len(real)]), torch.zeros_like(logits[len(real) :])])
    discriminator_loss = 2 * binary_cross_entropy_with_logits(logits, says_real)  # the sum of both means
    update(discriminator_adam, discriminator_loss)

    discriminator.requires_grad_(False)  # only the gradient to the image is needed
    fooled = discriminator(fake)
    generator_loss = binary_cross_entropy_with_logits(fooled, torch.ones_like(fooled))
    update(generator_adam, generator_loss)
    discriminator.requires_grad_(True)
    return {
        "discriminator_loss": discriminator_loss.item(),
        "generator_loss": generator_loss.item(),
        "accuracy_real": (logits[: len(real)] > 0).float().mean().item(),
        "accuracy_fake": (logits[len(real) :] < 0).float().mean().item(),
    }


@torch.no_grad()
def sample(generator: nn.Module, latent_size: int) -> NDArray[np.float32]:
    """Images (64, C, H, W) in [0, 1] from the fixed latents 0 to 63 of seed 0, batch norm in evaluation."""
    device = next(generator.parameters()).device
    generator.eval()
    z = torch.from_numpy(runtime.latents(0, 0, SAMPLES, latent_size)).to(device)
    image: NDArray[np.float32] = generator(z).cpu().numpy()
    generator.train()
    return image
