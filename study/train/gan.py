"""Train the paper's GAN, or the fully connected one of 2014: alternating updates, binary cross-entropy, Adam."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adam, Optimizer

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.export.convert import weights
from gan_denoise.export.images import grid, save_png
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.models.dcgan import Discriminator, Generator
from gan_denoise.models.mlp_gan import FullyConnectedDiscriminator, FullyConnectedGenerator
from gan_denoise.study.config import FullyConnectedGanConfig, GanConfig, RunOptions
from gan_denoise.study.run import ranks
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.mode_collapse import inter_image_std
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import list_layers, write_architecture
from gan_denoise.study.train.batches import batch_indices, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import size_kwargs
from gan_denoise.study.train.optim import optimizer_step
from gan_denoise.study.train.validation import SAMPLES, generate_samples, held_out_reference, measure_held_out


def train_gan(config: GanConfig | FullyConnectedGanConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/gan and write `generator.safetensors` there; resumes from the last checkpoint.

    Raises what Stage.open raises, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).gan
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    generator, discriminator = (
        on_device(network, device) for network in build_networks(config, **size_kwargs(dataset))
    )
    generator_adam = Adam(generator.parameters(), config.learning_rate, (config.beta1, 0.999))
    discriminator_adam = Adam(discriminator.parameters(), config.learning_rate, (config.beta1, 0.999))
    arguments = {"widths": config.generator_widths, "latent_size": config.latent_size, **size_kwargs(dataset)}
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    fingerprint = run_fingerprint(config, dataset, options)
    modules = {"generator": generator, "discriminator": discriminator}
    optimizers = {"generator_adam": generator_adam, "discriminator_adam": discriminator_adam}
    epoch_steps = steps_per_epoch(len(images), config.batch)
    inter_image_std_real = inter_image_std(to_float(dataset.train.images[:SAMPLES]))
    reference = held_out_reference(dataset, options)

    with Stage.open(
        folder, fingerprint, {**modules, **optimizers}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        generator_layers = list_layers(generator, (config.latent_size,))
        write_architecture(
            folder, generator=generator_layers, discriminator=list_layers(discriminator, dataset.train.shape)
        )
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            real = images[batch_indices(options.seed, step, len(images), config.batch).to(device)]
            real = scale_pixels(real, dataset.flip)  # (B, C, H, W) in [0, 1]
            z = torch.randn(len(real), config.latent_size, device=device)

            # step
            with training_precision(device, options):
                scalars = gan_step(generator, discriminator, generator_adam, discriminator_adam, real, z)
            stage.accumulate(**scalars)

            # log and sample
            if stage.is_epoch_end(step):
                snapshot = StageFolder(folder.epoch(stage.epoch)).weights("generator")
                weights.save_weights(snapshot, generator, arguments, half=True)
                samples = generate_samples(generator, config.latent_size)
                save_png(grid(samples), folder.sample(stage.epoch))
                stage.log_epoch(
                    step,
                    len(images),
                    inter_image_std=inter_image_std(samples),
                    inter_image_std_real=inter_image_std_real,
                    **measure_held_out(generator, config.latent_size, reference, stage.epoch, options),
                )

            # save
            stage.end_step(step)
        if stage.is_first:
            weights.save_weights(folder.weights("generator"), generator, arguments)


def build_networks(config: GanConfig | FullyConnectedGanConfig, **image_kwargs: int) -> tuple[nn.Module, nn.Module]:
    """The untrained generator and discriminator of `config`; `image_kwargs` are `size` and `channels`."""
    match config:
        case GanConfig():
            generator: nn.Module = Generator(config.generator_widths, config.latent_size, **image_kwargs)
            return generator, Discriminator(config.discriminator_widths, config.dropout, **image_kwargs)
        case FullyConnectedGanConfig():
            generator = FullyConnectedGenerator(config.generator_widths, config.latent_size, **image_kwargs)
            return generator, FullyConnectedDiscriminator(config.discriminator_widths, config.dropout, **image_kwargs)
        case _:
            assert_never(config)


def gan_step(
    generator: nn.Module,
    discriminator: nn.Module,
    generator_adam: Optimizer,
    discriminator_adam: Optimizer,
    real: Tensor,
    z: Tensor,
) -> dict[str, float]:
    """One update of the discriminator, then one of the generator with the non-saturating loss.

    Takes real images (B, C, H, W) in [0, 1] and z (B, latent_size); dropout draws from torch's global generator.
    Returns both losses and the discriminator's accuracy on real and on fake images, in [0, 1].
    Source: Goodfellow et al. 2014, algorithm 1, with the loss of its section 3.
    """
    real, z = ranks.rows(real, z)
    fake = generator(z)
    logits = discriminator(torch.cat([real, fake.detach()]))  # (2B,)
    targets = torch.cat([torch.ones_like(logits[: len(real)]), torch.zeros_like(logits[len(real) :])])
    discriminator_loss = 2 * binary_cross_entropy_with_logits(logits, targets)  # the sum of both means
    optimizer_step(discriminator_adam, discriminator_loss)

    discriminator.requires_grad_(False)  # only the gradient with respect to the image is needed
    fake_logits = discriminator(fake)
    generator_loss = binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))
    optimizer_step(generator_adam, generator_loss)
    discriminator.requires_grad_(True)
    return {
        "discriminator_loss": discriminator_loss.item(),
        "generator_loss": generator_loss.item(),
        "accuracy_real": (logits[: len(real)] > 0).float().mean().item(),
        "accuracy_fake": (logits[len(real) :] < 0).float().mean().item(),
    }
