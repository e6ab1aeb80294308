"""Train our GAN: class-conditional, relativistic pairs, lazy gradient penalties, averaged weights."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from gan_denoise.data.fashion_mnist import Dataset, to_float
from gan_denoise.export import pictures, weights
from gan_denoise.models.conditional_gan import ConditionalDiscriminator, ConditionalGenerator
from gan_denoise.study.adversarial import challenge, with_classes
from gan_denoise.study.architecture import describe, layers_of
from gan_denoise.study.averaging import average_into, renew_batch_norm
from gan_denoise.study.batches import batch_indices, pixels, seed_step, steps_per_epoch
from gan_denoise.study.collapse import variety
from gan_denoise.study.config import ConditionalGanConfig
from gan_denoise.study.identity import Options, identity_of
from gan_denoise.study.schedule import set_rate, warmed_and_decayed
from gan_denoise.study.sizes import classes, sides
from gan_denoise.study.stage import Stage, on_device, prepare_torch, training_precision
from gan_denoise.study.train_gan import SAMPLES, sample
from gan_denoise.study.update import update


def train_conditional_gan(config: ConditionalGanConfig, dataset: Dataset, run: Path, options: Options) -> None:
    """Train in `run`/gan and leave the averaged `generator.safetensors` there; goes on where an earlier run stopped.

    Raises what Stage.open raises, and DivergedError when a loss or a gradient is not finite.
    """
    folder = run / "gan"
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    told = {**sides(dataset), **classes(dataset, config.latent_size)}
    generator = on_device(build_generator(config, **told), device)
    discriminator = on_device(build_discriminator(config, **told), device)
    averaged = copy.deepcopy(generator).requires_grad_(False)
    betas = (config.beta1, config.beta2)
    generator_adam = Adam(generator.parameters(), config.learning_rate, betas)
    discriminator_adam = Adam(discriminator.parameters(), config.learning_rate, betas)
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    labels = torch.from_numpy(dataset.train.labels[: config.images]).to(device, torch.int64)
    identity = identity_of(config, dataset, options)
    parts = {"generator": generator, "discriminator": discriminator, "averaged": averaged}
    optimizers = {"generator_adam": generator_adam, "discriminator_adam": discriminator_adam}
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total = config.epochs * epoch_steps
    variety_real = variety(to_float(dataset.train.images[:SAMPLES]))

    with Stage.open(
        folder, identity, {**parts, **optimizers}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        generator_layers = layers_of(generator, (config.latent_size,))
        describe(
            folder, generator=generator_layers, discriminator=layers_of(discriminator, dataset.train.shape, labels[:1])
        )
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            chosen = batch_indices(options.seed, step, len(images), config.batch).to(device)
            real, label = pixels(images[chosen]), labels[chosen]  # (B, C, H, W) in [0, 1], (B,)
            z = with_classes(torch.randn(len(real), config.latent_size, device=device), label, len(dataset.classes))

            # step
            rate = config.learning_rate * warmed_and_decayed(step, total, 0, config.decay)
            set_rate(generator_adam, rate)
            set_rate(discriminator_adam, rate)
            penalty = config.penalty * config.penalty_every if step % config.penalty_every == 0 else 0.0
            with training_precision(device, options):
                counts = pair_step(
                    generator, discriminator, generator_adam, discriminator_adam, real, label, z, penalty
                )
            average_into(averaged, generator, len(real), config.averaging)
            stage.count(**counts)

            # log and sample
            if stage.epoch_ends(step):
                save_averaged(averaged, config, folder / "epochs" / f"{stage.epoch:03d}", options.seed, **told)
                shown = sample(averaged, config.latent_size)
                pictures.save(pictures.grid(shown), folder / "samples" / f"epoch-{stage.epoch:03d}.png")
                stage.log_epoch(step, len(images), variety=variety(shown), variety_real=variety_real)

            # save
            stage.step_done(step)
        save_discriminator(discriminator, config, folder / "discriminator.safetensors", **told)
        save_averaged(averaged, config, folder, options.seed, **told)


def save_averaged(
    averaged: ConditionalGenerator, config: ConditionalGanConfig, folder: Path, seed: int, **told: int
) -> None:
    """Write the averaged generator, its batch norm measured anew, to `folder`; `told` as for `build_generator`."""
    renew_batch_norm(averaged, config.latent_size, seed)
    shape = {"widths": config.generator_widths, "blocks": config.generator_blocks}
    weights.save(folder / "generator.safetensors", averaged, {**shape, "latent_size": config.latent_size, **told})


def build_generator(config: ConditionalGanConfig, **told: int) -> ConditionalGenerator:
    """The untrained generator of `config`; `told` are `size`, `channels` and `classes` if not 28, 1 and 10."""
    return ConditionalGenerator(config.generator_widths, config.generator_blocks, config.latent_size, **told)


def save_discriminator(
    discriminator: ConditionalDiscriminator, config: ConditionalGanConfig, path: Path, **told: int
) -> None:
    """Write the discriminator, from which a joined training goes on."""
    shape = {"widths": config.discriminator_widths, "blocks": config.discriminator_blocks}
    weights.save(path, discriminator, {**shape, **told})


def build_discriminator(config: ConditionalGanConfig, **told: int) -> ConditionalDiscriminator:
    """The untrained discriminator of `config`."""
    return ConditionalDiscriminator(config.discriminator_widths, config.discriminator_blocks, **told)


def pair_step(
    generator: ConditionalGenerator,
    discriminator: ConditionalDiscriminator,
    generator_adam: Optimizer,
    discriminator_adam: Optimizer,
    real: Tensor,
    label: Tensor,
    z: Tensor,
    penalty: float,
) -> dict[str, float]:
    """One update of the discriminator, then one of the generator; see `challenge`, whose numbers it returns.

    Takes z (B, latent_size) of the same classes as the real images.
    """
    fake = generator(z)
    gradient, counts = challenge(discriminator, discriminator_adam, real, label, fake, penalty)
    update(generator_adam, (fake * gradient).sum())
    return counts
