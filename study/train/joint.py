"""Train generator and denoiser jointly: the generated images and the denoised ones each have a discriminator."""

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
from gan_denoise.study.config import SIZE_FIELDS, JointConfig, RunOptions, to_json
from gan_denoise.study.run import ranks
from gan_denoise.study.run.device import on_device, prepare_torch, training_precision
from gan_denoise.study.run.metadata import describe_images, run_fingerprint
from gan_denoise.study.run.mode_collapse import inter_image_std
from gan_denoise.study.run.stage import Stage
from gan_denoise.study.train.batches import batch_indices, scale_pixels, seed_step, steps_per_epoch
from gan_denoise.study.train.blind_denoiser import build_denoiser
from gan_denoise.study.train.conditional_gan import build_discriminator, build_generator, save_ema_generator
from gan_denoise.study.train.image_shape import class_count, class_kwargs, size_kwargs
from gan_denoise.study.train.losses import discriminator_step, log_squared_error, set_class
from gan_denoise.study.train.noise import clip_random_subset, clip_straight_through, sample_sigmas
from gan_denoise.study.train.optim import lr_factor, optimizer_step, set_lr, update_ema
from gan_denoise.study.train.validation import (
    SAMPLES,
    denoise_images,
    generate_samples,
    held_out_reference,
    measure_held_out,
    validation_images,
)


class JointModel(NamedTuple):
    """The four networks that joint training updates."""

    generator: ConditionalGenerator
    denoiser: UNet
    raw_discriminator: ConditionalDiscriminator  # of generated images
    denoised_discriminator: ConditionalDiscriminator  # of generated and then denoised images


class Optimizers(NamedTuple):
    """One optimizer for each network of a JointModel, in the same order."""

    generator: Adam
    denoiser: Adam
    raw_discriminator: Adam
    denoised_discriminator: Adam


def train_joint(config: JointConfig, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train in `run`/joint and write the EMA of generator and denoiser to `run`/joint/final, laid out as a run.

    Starts from the weights of the stages `gan` and `denoiser` of `run`, or from scratch if the configuration says so.
    Resumes from the last checkpoint. After each epoch the log gets the PSNR of the EMA denoiser, measured as
    `train_autoencoder` does. Raises what Stage.open raises, InputError if a stage to start from is not finished or
    does not fit, and DivergedError if a loss or a gradient is not finite.
    """
    folder = RunFolder(run).joint
    device = prepare_torch(options)
    torch.manual_seed(options.seed)
    image_kwargs = {**size_kwargs(dataset), **class_kwargs(dataset, config.gan.latent_size)}
    if not config.from_scratch:
        check_image_kind(dataset, RunFolder(run))
    model = initial_model(config, RunFolder(run), **image_kwargs)
    for network in model:
        on_device(network, device)  # in place
    betas = (config.gan.beta1, config.gan.beta2)
    optimizers = Optimizers(*(Adam(network.parameters(), config.generator_learning_rate, betas) for network in model))
    ema_generator = copy.deepcopy(model.generator).requires_grad_(False)
    ema_denoiser = copy.deepcopy(model.denoiser).requires_grad_(False)
    images = torch.from_numpy(dataset.train.images[: config.images]).to(device)
    labels = torch.from_numpy(dataset.train.labels[: config.images]).to(device, torch.int64)
    held_out, noisy = validation_images(dataset)
    fingerprint = run_fingerprint(config, dataset, options)
    fingerprint["started_from"] = started_from(config, run)
    modules = {
        **model._asdict(),
        "ema_generator": ema_generator,
        "ema_denoiser": ema_denoiser,
        **{f"{name}_adam": optimizer for name, optimizer in optimizers._asdict().items()},
    }
    epoch_steps = steps_per_epoch(len(images), config.batch)
    ranks.check_divisible("denoising_batch", config.denoising_batch, "--set denoising_batch=")
    total = config.epochs * epoch_steps
    inter_image_std_real = inter_image_std(to_float(dataset.train.images[:SAMPLES]))
    reference = held_out_reference(dataset, options)

    with Stage.open(folder, fingerprint, modules, config.epochs, epoch_steps, len(images), options) as stage:
        for step in stage.steps():
            # batch
            seed_step(options.seed, step)
            indices = batch_indices(options.seed, step, len(images), config.batch).to(device)
            real, label = scale_pixels(images[indices], dataset.flip), labels[indices]  # (B, C, H, W) in [0, 1], (B,)
            z = set_class(torch.randn(len(real), config.gan.latent_size, device=device), label, class_count(dataset))

            # step
            factor = lr_factor(step, total, config.warmup_steps, config.lr_decay_fraction)
            for name, optimizer in optimizers._asdict().items():
                is_denoiser = name == "denoiser"
                rate = config.denoiser_learning_rate if is_denoiser else config.generator_learning_rate
                set_lr(optimizer, factor * rate)
            apply_penalty = step % config.gan.penalty_interval == 0
            with training_precision(device, options):
                scalars = joint_step(model, optimizers, real, label, z, config, apply_penalty)
            update_ema(ema_generator, model.generator, len(real), config.ema_half_life_images)
            update_ema(ema_denoiser, model.denoiser, len(real), config.ema_half_life_images)
            stage.accumulate(**scalars)

            # log
            if stage.is_epoch_end(step):
                snapshot = RunFolder(folder.epoch(stage.epoch))
                save_joint_networks(ema_generator, ema_denoiser, config, folder, snapshot, True, **image_kwargs)
                denoised = denoise_images(ema_denoiser, noisy).clip(0, 1)
                samples = generate_samples(ema_generator, config.gan.latent_size)
                stage.log_epoch(
                    step,
                    len(images),
                    psnr_db=float(psnr(held_out, denoised).mean()),
                    inter_image_std=inter_image_std(samples),
                    inter_image_std_real=inter_image_std_real,
                    **measure_held_out(ema_generator, config.gan.latent_size, reference, stage.epoch, options),
                )

            # save
            stage.end_step(step)
        if stage.is_first:
            save_joint_networks(ema_generator, ema_denoiser, config, folder, folder.final, **image_kwargs)


def initial_model(config: JointConfig, run: RunFolder, **image_kwargs: int) -> JointModel:
    """The four networks before the first step, in training mode; `image_kwargs` as for `build_generator`.

    Raises InputError if a finished stage is missing, or has networks of other kinds or sizes than `config`.
    """
    if config.from_scratch:
        denoiser = build_denoiser(config.denoiser.network, image_kwargs.get("channels", 1))
        assert isinstance(denoiser, UNet)
        discriminators = (build_discriminator(config.gan, **image_kwargs) for _ in range(2))
        return JointModel(build_generator(config.gan, **image_kwargs), denoiser, *discriminators)
    trained = weights.load_generator(run.gan.path), weights.load_denoiser(run.denoiser.path)
    discriminator = weights.load_discriminator(run.gan.path)
    generator, unet = trained
    if not isinstance(generator, ConditionalGenerator) or not isinstance(unet, UNet):
        got = " and ".join(type(network).__name__ for network in trained)
        raise InputError.expected(run.path, "ConditionalGenerator and UNet", got, "train both with --preset best")
    check_network_sizes(config, run)
    model = JointModel(generator, unet, discriminator, copy.deepcopy(discriminator))
    for network in model:
        network.train()
    return model


def check_network_sizes(config: JointConfig, run: RunFolder) -> None:
    """Raises InputError if a stage to start from was trained with networks of other sizes than `config` has."""
    for stage, fields in SIZE_FIELDS.items():
        trained, expected = run.stage(stage).read_fingerprint()["config"], to_json(config)[stage]
        for field in fields:
            if trained.get(field) != expected[field]:
                hint = f"give the --preset of the stage {stage}, and its --set options as --set {stage}.FIELD=VALUE"
                what = f"{run.stage(stage).path}: {field}"
                raise InputError.expected(what, expected[field], trained.get(field), hint)


def check_image_kind(dataset: Dataset, run: RunFolder) -> None:
    """Raises InputError if a stage to start from was trained on images of another shape or with other classes."""
    current = describe_images(dataset)
    for stage in (GAN, DENOISER):
        trained = run.stage(stage).read_fingerprint() if run.stage(stage).meta.exists() else current
        for name in ("image_shape", "classes"):
            if trained.get(name) != current.get(name):
                before, now = (kind.get(name, "as in Fashion-MNIST") for kind in (trained, current))
                what = f"{run.stage(stage).path}: {name}"
                raise InputError.expected(what, now, before, "give the --dataset that the stage was trained on")


def started_from(config: JointConfig, run: Path) -> dict[str, str]:
    """SHA-256 of each weights file that `initial_model` loads, by stage/network; empty if it starts from scratch."""
    networks = () if config.from_scratch else ((GAN, "generator"), (GAN, "discriminator"), (DENOISER, "denoiser"))
    files = {f"{stage}/{name}": RunFolder(run).stage(stage).weights(name) for stage, name in networks}
    return {name: str(weights.read_weights(file)[0]["sha256"]) for name, file in files.items()}


def joint_step(
    model: JointModel,
    optimizers: Optimizers,
    real: Tensor,
    label: Tensor,
    z: Tensor,
    config: JointConfig,
    apply_penalty: bool,
) -> dict[str, float]:
    """One update of all four networks; returns scalars for the log.

    Takes real images (B, C, H, W) in [0, 1], their classes (B,) and z (B, latent_size) of the same classes. The
    generator is trained by the discriminator of its images and, through the denoiser, by that of the denoised images.
    The denoiser is trained by the latter and by its log squared error on noisy real images.
    """
    penalty = config.gan.penalty * config.gan.penalty_interval if apply_penalty else 0.0
    clean = real[: config.denoising_batch]
    noisy = clip_random_subset(
        clean + sample_sigmas(clean, config.denoiser.sigma_max) * torch.randn_like(clean),
        config.denoiser.clip_probability,
    )
    real, label, z, clean, noisy = ranks.rows(real, label, z, clean, noisy)
    image = model.generator(z)
    image_gradient, scalars = discriminator_step(
        model.raw_discriminator, optimizers.raw_discriminator, real, label, image, penalty, config.gan.augment
    )

    generated = image.detach().requires_grad_(config.backprop_through_denoiser)
    denoised, restored = model.denoiser(torch.cat([generated, noisy])).split([len(generated), len(clean)])
    loss = torch.zeros((), device=real.device)
    if config.adversarial:
        clamped = denoised.clamp(0, 1)  # no gradient outside [0, 1], where the discriminator sees no difference
        gradient, denoised_scalars = discriminator_step(
            model.denoised_discriminator,
            optimizers.denoised_discriminator,
            real,
            label,
            clamped,
            penalty,
            config.gan.augment,
        )
        scalars |= {f"denoised_{name}": value for name, value in denoised_scalars.items()}
        loss = loss + config.adversarial_weight * (clamped * gradient).sum()
    if config.squared_error:
        error = log_squared_error(clip_straight_through(restored), clean, config.error_floor)
        scalars["squared_error"] = error.item()
        loss = loss + error
    optimizer_step(optimizers.denoiser, loss, config.denoiser.max_gradient_norm)

    if config.adversarial and config.backprop_through_denoiser:
        assert generated.grad is not None
        image_gradient = image_gradient + generated.grad / config.adversarial_weight
    optimizer_step(optimizers.generator, (image * image_gradient).sum())
    return scalars


def save_joint_networks(
    generator: ConditionalGenerator,
    denoiser: UNet,
    config: JointConfig,
    stage: StageFolder,
    out: RunFolder,
    half: bool = False,
    /,
    **image_kwargs: int,
) -> None:
    """Write both EMA networks to `out`, laid out as a run that `export` takes, with the meta.json of `stage`.

    `half` stores them in float16.
    """
    meta = stage.meta.read_text()
    for name in (GAN, DENOISER):
        write_atomic(out.stage(name).meta, meta)
    save_ema_generator(generator, config.gan, out.gan, json.loads(meta)["fingerprint"]["seed"], half, **image_kwargs)
    channels = {name: image_kwargs[name] for name in ("channels",) if name in image_kwargs}
    arguments = {**dataclasses.asdict(config.denoiser.network), **channels}
    weights.save_weights(out.denoiser.weights("denoiser"), denoiser, arguments, half)
