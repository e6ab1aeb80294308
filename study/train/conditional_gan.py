"""Train the class-conditional GAN: relativistic pairs, lazy gradient penalties, EMA of the generator."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.export.convert import weights
from gan_denoise.export.images import grid, save_png
from gan_denoise.export.run_folder import RunFolder, StageFolder
from gan_denoise.models.conditional_gan import ConditionalDiscriminator, ConditionalGenerator
from gan_denoise.study.config import ConditionalGanConfig, RunOptions
from gan_denoise.study.run import ranks
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import run_fingerprint
from gan_denoise.study.run.mode_collapse import inter_image_std
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.architecture import list_layers, write_architecture
from gan_denoise.study.train.batches import batch_indices, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.image_shape import class_count, class_kwargs, size_kwargs
from gan_denoise.study.train.losses import discriminator_step, set_class
from gan_denoise.study.train.optim import lr_factor, optimizer_step, recalibrate_batch_norm, set_lr, update_ema
from gan_denoise.study.train.validation import SAMPLES, generate_samples, held_out_reference, measure_held_out


def train_conditional_gan(config: ConditionalGanConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/gan and write the EMA to `generator.safetensors` there; resumes from the last checkpoint.

    Raises what Stage.open raises, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).gan
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    image_kwargs = {**size_kwargs(dataset), **class_kwargs(dataset, config.latent_size)}
    generator = on_device(build_generator(config, **image_kwargs), device)
    discriminator = on_device(build_discriminator(config, **image_kwargs), device)
    ema_generator = copy.deepcopy(generator).requires_grad_(False)
    betas = (config.beta1, config.beta2)
    generator_adam = Adam(generator.parameters(), config.learning_rate, betas)
    discriminator_adam = Adam(discriminator.parameters(), config.learning_rate, betas)
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    labels = torch.from_numpy(dataset.train.labels[: config.images]).to(device, torch.int64)
    fingerprint = run_fingerprint(config, dataset, options)
    modules = {"generator": generator, "discriminator": discriminator, "ema_generator": ema_generator}
    optimizers = {"generator_adam": generator_adam, "discriminator_adam": discriminator_adam}
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total = config.epochs * epoch_steps
    inter_image_std_real = inter_image_std(to_float(dataset.train.images[:SAMPLES]))
    reference = held_out_reference(dataset, options)

    with Stage.open(
        folder, fingerprint, {**modules, **optimizers}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        generator_layers = list_layers(generator, (config.latent_size,))
        write_architecture(
            folder,
            generator=generator_layers,
            discriminator=list_layers(discriminator, dataset.train.shape, labels[:1]),
        )
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            indices = batch_indices(options.seed, step, len(images), config.batch).to(device)
            real, label = scale_pixels(images[indices], dataset.flip), labels[indices]  # (B, C, H, W) in [0, 1], (B,)
            z = set_class(torch.randn(len(real), config.latent_size, device=device), label, class_count(dataset))

            # step
            rate = config.learning_rate * lr_factor(step, total, 0, config.lr_decay_fraction)
            set_lr(generator_adam, rate)
            set_lr(discriminator_adam, rate)
            penalty = config.penalty * config.penalty_interval if step % config.penalty_interval == 0 else 0.0
            with training_precision(device, options):
                scalars = pair_step(
                    generator,
                    discriminator,
                    generator_adam,
                    discriminator_adam,
                    real,
                    label,
                    z,
                    penalty,
                    config.augment,
                )
            update_ema(ema_generator, generator, len(real), config.ema_half_life_images)
            stage.accumulate(**scalars)

            # log and sample
            if stage.is_epoch_end(step):
                save_ema_generator(
                    ema_generator, config, StageFolder(folder.epoch(stage.epoch)), options.seed, True, **image_kwargs
                )
                samples = generate_samples(ema_generator, config.latent_size)
                save_png(grid(samples), folder.sample(stage.epoch))
                stage.log_epoch(
                    step,
                    len(images),
                    inter_image_std=inter_image_std(samples),
                    inter_image_std_real=inter_image_std_real,
                    **measure_held_out(ema_generator, config.latent_size, reference, stage.epoch, options),
                )

            # save
            stage.end_step(step)
        if stage.is_first:
            save_discriminator(discriminator, config, folder.weights("discriminator"), **image_kwargs)
            save_ema_generator(ema_generator, config, folder, options.seed, **image_kwargs)


def save_ema_generator(
    ema_generator: ConditionalGenerator,
    config: ConditionalGanConfig,
    folder: StageFolder,
    seed: int,
    half: bool = False,
    /,
    **image_kwargs: int,
) -> None:
    """Write the EMA generator to `folder`, with recalibrated batch norm, in float16 if `half`.

    `image_kwargs` as for `build_generator`.
    """
    recalibrate_batch_norm(ema_generator, config.latent_size, seed)
    shape = {"widths": config.generator_widths, "blocks": config.generator_blocks}
    arguments = {**shape, "latent_size": config.latent_size, **image_kwargs}
    weights.save_weights(folder.weights("generator"), ema_generator, arguments, half)


def build_generator(config: ConditionalGanConfig, **image_kwargs: int) -> ConditionalGenerator:
    """The untrained generator of `config`; `image_kwargs` are `size`, `channels` and `classes`."""
    return ConditionalGenerator(config.generator_widths, config.generator_blocks, config.latent_size, **image_kwargs)


def save_discriminator(
    discriminator: ConditionalDiscriminator, config: ConditionalGanConfig, path: Path, **image_kwargs: int
) -> None:
    """Write the discriminator, from which joint training starts."""
    shape = {"widths": config.discriminator_widths, "blocks": config.discriminator_blocks}
    weights.save_weights(path, discriminator, {**shape, **image_kwargs})


def build_discriminator(config: ConditionalGanConfig, **image_kwargs: int) -> ConditionalDiscriminator:
    """The untrained discriminator of `config`."""
    return ConditionalDiscriminator(config.discriminator_widths, config.discriminator_blocks, **image_kwargs)


def pair_step(
    generator: ConditionalGenerator,
    discriminator: ConditionalDiscriminator,
    generator_adam: Optimizer,
    discriminator_adam: Optimizer,
    real: Tensor,
    label: Tensor,
    z: Tensor,
    penalty: float,
    augmented: bool = False,
) -> dict[str, float]:
    """One update of the discriminator, then one of the generator; returns the scalars of `discriminator_step`.

    Takes real images (B, C, H, W) in [0, 1], their classes (B,), and z (B, latent_size) of the same classes.
    """
    real, label, z = ranks.rows(real, label, z)
    fake = generator(z)
    gradient, scalars = discriminator_step(discriminator, discriminator_adam, real, label, fake, penalty, augmented)
    optimizer_step(generator_adam, (fake * gradient).sum())
    return scalars
