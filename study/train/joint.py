"""Train generator and denoiser as one system: what the denoiser makes of generated images has to look real too."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Adam

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.images import to_float
from gan_denoise.errors import InputError
from gan_denoise.eval.metrics.psnr_ssim import psnr
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import DENOISER, GAN, RunFolder, StageFolder
from gan_denoise.files import write_atomic
from gan_denoise.models.conditional_gan import ConditionalDiscriminator, ConditionalGenerator
from gan_denoise.models.unet import UNet
from gan_denoise.study.config import JointConfig, RunOptions
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import describe_images, run_fingerprint
from gan_denoise.study.run.mode_collapse import inter_image_std
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.batches import batch_indices, pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.blind_denoiser import network
from gan_denoise.study.train.conditional_gan import build_discriminator, build_generator, save_averaged
from gan_denoise.study.train.image_shape import class_kwargs, size_kwargs
from gan_denoise.study.train.losses import discriminator_step, log_squared_error, set_class
from gan_denoise.study.train.noise import clip_random_subset, clip_straight_through, sample_sigmas
from gan_denoise.study.train.optim import lr_factor, optimizer_step, set_lr, update_ema
from gan_denoise.study.train.validation import SAMPLES, restore, sample, validation


class JointModel(NamedTuple):
    """What is trained: two networks, and a discriminator each for what they make of latents."""

    generator: ConditionalGenerator
    denoiser: UNet
    raw_discriminator: ConditionalDiscriminator
    denoised_discriminator: ConditionalDiscriminator


class Optimizers(NamedTuple):
    """An optimizer for each network of a System, in its order."""

    generator: Adam
    denoiser: Adam
    raw_discriminator: Adam
    denoised_discriminator: Adam


def train_joint(config: JointConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/joint and leave the averaged generator and denoiser in `run`/joint/final, as a run of its own.

    Starts from what the stages `gan` and `denoiser` of `run` left, or from nothing if the configuration says so. It
    goes on where an earlier run stopped. After each epoch the PSNR of the averaged denoiser is measured as
    `train_denoiser` does. Raises what Stage.open raises, InputError when a stage to start from is not finished, and
    DivergedError when a loss or a gradient is not finite.
    """
    folder = RunFolder(run).joint
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    image_kwargs = {**size_kwargs(dataset), **class_kwargs(dataset, config.gan.latent_size)}
    system = start(config, RunFolder(run), **image_kwargs)
    if not config.from_scratch:
        _refuse_other_images(dataset, run)
    for part in system:
        on_device(part, device)  # in place
    adams = Optimizers(
        *(
            Adam(part.parameters(), config.generator_learning_rate, (config.gan.beta1, config.gan.beta2))
            for part in system
        )
    )
    averaged = copy.deepcopy(system.generator).requires_grad_(False)
    averaged_denoiser = copy.deepcopy(system.denoiser).requires_grad_(False)
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    labels = torch.from_numpy(dataset.train.labels[: config.images]).to(device, torch.int64)
    held_out, noisy = validation(dataset)
    fingerprint = run_fingerprint(config, dataset, options)
    fingerprint["started_from"] = started_from(config, run)
    modules = {**system._asdict(), "averaged": averaged, "averaged_denoiser": averaged_denoiser}
    optimizers = {f"{name}_adam": adam for name, adam in adams._asdict().items()}
    epoch_steps = steps_per_epoch(len(images), config.batch)
    total = config.epochs * epoch_steps
    inter_image_std_real = inter_image_std(to_float(dataset.train.images[:SAMPLES]))

    with Stage.open(
        folder, fingerprint, {**modules, **optimizers}, config.epochs, epoch_steps, len(images), options
    ) as stage:
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            chosen = batch_indices(options.seed, step, len(images), config.batch).to(device)
            real, label = pixels(images[chosen]), labels[chosen]  # (B, C, H, W) in [0, 1], (B,)
            z = set_class(torch.randn(len(real), config.gan.latent_size, device=device), label, len(dataset.classes))

            # step
            factor = lr_factor(step, total, config.warmup_steps, config.lr_decay_fraction)
            for name, adam in adams._asdict().items():
                set_lr(
                    adam,
                    factor * (config.denoiser_learning_rate if name == "denoiser" else config.generator_learning_rate),
                )
            apply_penalty = step % config.gan.penalty_interval == 0
            with training_precision(device, options):
                counts = joint_step(system, adams, real, label, z, config, apply_penalty)
            update_ema(averaged, system.generator, len(real), config.ema_half_life_images)
            update_ema(averaged_denoiser, system.denoiser, len(real), config.ema_half_life_images)
            stage.accumulate(**counts)

            # log
            if stage.is_epoch_end(step):
                save_joined(
                    averaged, averaged_denoiser, config, folder, RunFolder(folder.epoch(stage.epoch)), **image_kwargs
                )
                restored = restore(averaged_denoiser, noisy).clip(0, 1)
                quality = float(psnr(held_out, restored).mean())
                drawn = inter_image_std(sample(averaged, config.gan.latent_size))
                stage.log_epoch(
                    step, len(images), psnr_db=quality, inter_image_std=drawn, inter_image_std_real=inter_image_std_real
                )

            # save
            stage.end_step(step)
        save_joined(averaged, averaged_denoiser, config, folder, folder.final, **image_kwargs)


def start(config: JointConfig, run: RunFolder, **image_kwargs: int) -> JointModel:
    """The four networks to start from, in training; `image_kwargs` as for `build_generator`.

    Raises InputError when a finished stage is missing or another, or was trained on other images.
    """
    if config.from_scratch:
        denoiser = network(config.denoiser.network, image_kwargs.get("channels", 1))
        assert isinstance(denoiser, UNet)
        discriminators = (build_discriminator(config.gan, **image_kwargs) for _ in range(2))
        return JointModel(build_generator(config.gan, **image_kwargs), denoiser, *discriminators)
    generator, restorer = weights.load_generator(run.gan.path), weights.load_denoiser(run.denoiser.path)
    discriminator = weights.load_discriminator(run.gan.path)
    if not isinstance(generator, ConditionalGenerator) or not isinstance(restorer, UNet):
        found = f"a {type(generator).__name__} and a {type(restorer).__name__}"
        raise InputError(
            f"{run}: {found} found, a ConditionalGenerator and a UNet wanted", "train both with our preset"
        )
    system = JointModel(generator, restorer, discriminator, copy.deepcopy(discriminator))
    for part in system:
        part.train()
    return system


def _refuse_other_images(dataset: Dataset, run: Path) -> None:
    """Raises InputError when a stage that the join goes on from was trained on images of another kind."""
    wanted = describe_images(dataset)
    for stage in (GAN, DENOISER):
        found = RunFolder(run).stage(stage).read_fingerprint()
        for name in ("image_shape", "classes"):
            if found.get(name) != wanted.get(name):
                had, asked = (kind.get(name, f"{name} of Fashion-MNIST") for kind in (found, wanted))
                raise InputError(f"{run / stage}: {name} {had} found, {asked} wanted", "give the same --dataset")


def started_from(config: JointConfig, run: Path) -> dict[str, str]:
    """The hashes of the weights that `start` takes, by file; of none where it starts from nothing."""
    networks = () if config.from_scratch else ((GAN, "generator"), (GAN, "discriminator"), (DENOISER, "denoiser"))
    files = {f"{stage}/{name}": RunFolder(run).stage(stage).weights(name) for stage, name in networks}
    return {name: str(weights.read_weights(file)[0]["sha256"]) for name, file in files.items()}


def joint_step(
    system: JointModel,
    adams: Optimizers,
    real: Tensor,
    label: Tensor,
    z: Tensor,
    config: JointConfig,
    apply_penalty: bool,
) -> dict[str, float]:
    """One update of all four networks.

    Takes real images (B, C, H, W) in [0, 1], their classes (B,) and z (B, latent_size) of the same classes. The
    generator answers to the discriminator of its images and, through the denoiser, to that of the denoised ones; the
    denoiser to the latter and to the squared error on noised real images. Returns numbers to log.
    """
    penalty = config.gan.penalty * config.gan.penalty_interval if apply_penalty else 0.0
    image = system.generator(z)
    image_gradient, counts = discriminator_step(
        system.raw_discriminator, adams.raw_discriminator, real, label, image, penalty
    )

    seen = image.detach().requires_grad_(config.backprop_through_denoiser)
    clean = real[: config.denoising_batch]
    noisy = clip_random_subset(
        clean + sample_sigmas(clean, config.denoiser.sigma_max) * torch.randn_like(clean),
        config.denoiser.clip_probability,
    )
    denoised, restored = system.denoiser(torch.cat([seen, noisy])).split([len(seen), len(clean)])
    loss = torch.zeros((), device=real.device)
    if config.adversarial:
        shown = denoised.clamp(0, 1)  # no gradient outside: the discriminator does not see how far a pixel left
        gradient, others = discriminator_step(
            system.denoised_discriminator, adams.denoised_discriminator, real, label, shown, penalty
        )
        counts |= {f"denoised_{name}": value for name, value in others.items()}
        loss = loss + config.adversarial_weight * (shown * gradient).sum()
    if config.squared_error:
        error = log_squared_error(clip_straight_through(restored), clean, config.error_floor)
        counts["squared_error"] = error.item()
        loss = loss + error
    optimizer_step(adams.denoiser, loss, config.denoiser.max_gradient_norm)

    if config.adversarial and config.backprop_through_denoiser:
        assert seen.grad is not None
        image_gradient = image_gradient + seen.grad / config.adversarial_weight
    optimizer_step(adams.generator, (image * image_gradient).sum())
    return counts


def save_joined(
    generator: ConditionalGenerator,
    denoiser: UNet,
    config: JointConfig,
    stage: StageFolder,
    out: RunFolder,
    **image_kwargs: int,
) -> None:
    """Write both averaged networks to `out`, laid out as a run that `export` takes, with the meta.json of `stage`."""
    described = stage.meta.read_text()
    for part in (GAN, DENOISER):
        write_atomic(out.stage(part).meta, described)
    save_averaged(generator, config.gan, out.gan, json.loads(described)["fingerprint"]["seed"], **image_kwargs)
    shape = dataclasses.asdict(config.denoiser.network) | {
        k: image_kwargs[k] for k in ("channels",) if k in image_kwargs
    }
    weights.save_weights(out.denoiser.weights("denoiser"), denoiser, shape)
