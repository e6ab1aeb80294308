"""What the size and the colours of a data set's images change: widths, and the arguments of networks.

For grey images of 28x28 nothing changes, so that configurations and weights of Fashion-MNIST stay what they are.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.errors import InputError
from gan_denoise.study.config import ConditionalGanConfig, Config, GanConfig, JointConfig

SomeConfig = TypeVar("SomeConfig", bound=Config)


def scale_config(config: SomeConfig, size: int) -> SomeConfig:
    """The configuration for images of `size`: at 64 a convolutional GAN doubles and halves once more.

    So its maps are 7, 8 or 8 pixels wide where the generator starts, and 3, 4 or 4 where the discriminator ends.
    """
    if size < 64:
        return config
    match config:
        case GanConfig():
            generator, discriminator = _widths(config)
            return dataclasses.replace(config, generator_widths=generator, discriminator_widths=discriminator)
        case ConditionalGanConfig():
            generator, discriminator = _widths(config)
            return dataclasses.replace(
                config,
                generator_widths=generator,
                generator_blocks=(0, *config.generator_blocks),
                discriminator_widths=discriminator,
                discriminator_blocks=(*config.discriminator_blocks, 0),
            )
        case JointConfig():
            return dataclasses.replace(config, gan=scale_config(config.gan, size))
    return config


def size_kwargs(dataset: Dataset) -> dict[str, int]:
    """What a generator or discriminator is told of the images: `size` and `channels`."""
    _, size, _ = dataset.train.shape
    return {**channel_kwargs(dataset), **({} if size == SIDE else {"size": size})}


def channel_kwargs(dataset: Dataset) -> dict[str, int]:
    """What a denoiser, which takes any size, is told of the images."""
    count = dataset.train.shape[0]
    return {} if count == 1 else {"channels": count}


def class_kwargs(dataset: Dataset, latent_size: int) -> dict[str, int]:
    """What a class-conditional network is told of the classes. Raises InputError when there are none or too many."""
    count = len(dataset.classes)
    if not 2 <= count < latent_size:
        message = f"{dataset.source}: {count or 'no'} classes found, 2 to {latent_size - 1} wanted by this preset"
        raise InputError(message, "--preset paper needs none")
    return {} if count == len(CLASSES) else {"classes": count}


def _widths(config: GanConfig | ConditionalGanConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    generator, discriminator = config.generator_widths, config.discriminator_widths
    return (2 * generator[0], *generator), (*discriminator, 2 * discriminator[-1])
