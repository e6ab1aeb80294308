"""How the size, channels and classes of a data set's images change a configuration and the networks' arguments.

Nothing changes for 28x28 grey images, so Fashion-MNIST keeps its configurations and weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TypeVar, assert_never, cast

from gan_denoise.data.dataset import Dataset, split_classifier_fit
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT
from gan_denoise.study.config import (
    BlindDenoiserConfig,
    ClassifierConfig,
    ConditionalGanConfig,
    Config,
    DenoiserConfig,
    FullyConnectedGanConfig,
    GanConfig,
    JointConfig,
    PhotoDenoiserConfig,
    Preset,
    ResidualClassifierConfig,
    check_batch,
)

SomeConfig = TypeVar("SomeConfig", bound=Config)
FASHION_MNIST_IMAGES = 60_000  # training images
MAX_EPOCHS, MAX_CLASSIFIER_EPOCHS = 500, 60  # of a study of few images; later ones add little but copies
MAX_BASE_SIZE = 8  # pixels a side of the map that a convolutional generator starts with, for images of 64x64


def scale_config(config: SomeConfig, size: int) -> SomeConfig:
    """The configuration for images of `size`: at 64x64 a convolutional GAN gets more doublings and halvings.

    The generator then starts with a map of 8x8, as it does with 7x7 for 28x28. A configuration that has been scaled
    is returned unchanged.
    """
    return cast(SomeConfig, _scaled(config, size))


def check_size(config: Config, size: int) -> None:
    """Raises UsageError if the networks cannot halve or double as often as their widths say, for images of `size`."""
    match config:
        case GanConfig() | ConditionalGanConfig():
            _check_halvings("generator_widths", config.generator_widths, len(config.generator_widths) - 1, size)
            if size >> len(config.discriminator_widths) < 1:
                _refuse_widths("discriminator_widths", config.discriminator_widths, size)
        case DenoiserConfig():
            _check_halvings("widths", config.widths, len(config.widths), size)
        case ClassifierConfig() | ResidualClassifierConfig():
            if size >> (len(config.widths) - 1) < 1:
                _refuse_widths("widths", config.widths, size)
        case JointConfig():
            check_size(config.gan, size)
        case PhotoDenoiserConfig():
            if config.last_crop > size:
                raise UsageError.expected("last_crop", f"at most {size}, the side of a tile", config.last_crop)
        case FullyConnectedGanConfig() | BlindDenoiserConfig():
            pass  # these take any of the sizes
        case _:
            assert_never(config)


def check_preset(preset: Preset, size: int = SIDE, images: int = FASHION_MNIST_IMAGES) -> None:
    """Raises UsageError if a stage of the study cannot be trained on that many images: network sizes, batch."""
    for stage, config in ((GAN, preset.gan), (DENOISER, preset.denoiser), (JOINT, preset.joint)):
        if config is not None:
            check_size(config, size)
            check_batch(config.batch, min(config.images, images), f"--set {stage}.batch=")


def fit_preset(preset: Preset, dataset: Dataset, chosen: Collection[str] = ()) -> Preset:
    """The preset for the images of a data set; unchanged for Fashion-MNIST.

    Networks get the size of the images. A stage sees as many images in all as it would of Fashion-MNIST, so that a
    small data set is seen in more epochs, up to MAX_EPOCHS, unless the stage's `epochs` are among the fields that the
    user has `chosen`, such as `gan.epochs`. Batches that would leave one image over get one more.
    Raises UsageError as `check_preset` does.
    """
    if dataset.is_fashion_mnist:
        return preset
    size, count = dataset.train.shape[-1], len(dataset.train)
    most = {stage: None if f"{stage}.epochs" in chosen else MAX_EPOCHS for stage in (GAN, DENOISER, JOINT)}  # epochs
    unseen = len(split_classifier_fit(dataset.train)[0])
    fitted = dataclasses.replace(
        preset,
        gan=_fit(preset.gan, size, count, most[GAN]),
        denoiser=_fit(preset.denoiser, size, count, most[DENOISER]),
        joint=None if preset.joint is None else _fit(preset.joint, size, count, most[JOINT]),
        classifier=_fit(preset.classifier, size, unseen, MAX_CLASSIFIER_EPOCHS),
    )
    check_preset(fitted, size, count)
    return fitted


def _fit(config: SomeConfig, size: int, count: int, max_epochs: int | None) -> SomeConfig:
    """The configuration for `count` images; without `max_epochs` its epochs stay."""
    config, used = scale_config(config, size), min(config.images, count)
    batch = min(config.batch, used)
    batch += used % batch == 1
    if max_epochs is None:
        return dataclasses.replace(config, batch=batch)
    epochs = round(config.epochs * min(config.images, FASHION_MNIST_IMAGES) / used)
    return dataclasses.replace(config, epochs=min(max(epochs, config.epochs), max_epochs), batch=batch)


def size_kwargs(dataset: Dataset) -> dict[str, int]:
    """The arguments `size` and `channels` of a generator or discriminator, where they are not the defaults."""
    _, size, _ = dataset.train.shape
    return {**channel_kwargs(dataset), **({} if size == SIDE else {"size": size})}


def channel_kwargs(dataset: Dataset) -> dict[str, int]:
    """The argument `channels` of a denoiser, which takes any size, where it is not the default."""
    channels = dataset.train.shape[0]
    return {} if channels == 1 else {"channels": channels}


def class_kwargs(dataset: Dataset, latent_size: int) -> dict[str, int]:
    """The argument `classes` of a class-conditional network. Raises InputError if there are too many classes."""
    count = class_count(dataset)
    if not count < latent_size:
        classes = f"at most {latent_size - 1} classes for this preset"
        raise InputError.expected(dataset.source, classes, count, "--preset paper needs no classes")
    return {} if count == len(CLASSES) else {"classes": count}


def class_count(dataset: Dataset) -> int:
    """The classes of a class-conditional network: all images are of one class where the data set has none."""
    return max(1, len(dataset.classes))


def _scaled(config: Config, size: int) -> Config:
    match config:
        case GanConfig() | ConditionalGanConfig():
            while size >= 64 and size >> (len(config.generator_widths) - 1) > MAX_BASE_SIZE:
                config = _doubled_once_more(config)
            return config
        case JointConfig():
            return dataclasses.replace(config, gan=scale_config(config.gan, size)) if size >= 64 else config
        case FullyConnectedGanConfig() | DenoiserConfig() | BlindDenoiserConfig() | PhotoDenoiserConfig():
            return config
        case ClassifierConfig() | ResidualClassifierConfig():
            return config
        case _:
            assert_never(config)


def _doubled_once_more(config: GanConfig | ConditionalGanConfig) -> GanConfig | ConditionalGanConfig:
    generator, discriminator = config.generator_widths, config.discriminator_widths
    widths = {
        "generator_widths": (2 * generator[0], *generator),
        "discriminator_widths": (*discriminator, 2 * discriminator[-1]),
    }
    match config:
        case GanConfig():
            return dataclasses.replace(config, **widths)  # type: ignore[arg-type]
        case ConditionalGanConfig():
            blocks = {
                "generator_blocks": (0, *config.generator_blocks),
                "discriminator_blocks": (*config.discriminator_blocks, 0),
            }
            return dataclasses.replace(config, **widths, **blocks)  # type: ignore[arg-type]
        case _:
            assert_never(config)


def _check_halvings(field: str, widths: tuple[int, ...], halvings: int, size: int) -> None:
    if size % 2**halvings:
        _refuse_widths(field, widths, size)


def _refuse_widths(field: str, widths: tuple[int, ...], size: int) -> None:
    raise UsageError.expected(field, f"fewer widths, for images of {size}x{size}", len(widths))
