"""Configurations of networks and their training: frozen dataclasses that check their fields."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from gan_denoise.errors import UsageError


def _check(field: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise UsageError.expected(field, expected, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class GanConfig:
    """The paper's GAN and its training. The paper states `epochs`, `batch` and the losses."""

    generator_widths: tuple[int, ...] = (64, 64, 16)  # channels after the dense layer and after each doubling
    discriminator_widths: tuple[int, ...] = (32, 64, 128)  # channels after each halving
    dropout: float = 0.3  # probability, in the discriminator
    latent_size: int = 100  # entries of z
    learning_rate: float = 1e-3  # of Adam, for both networks
    beta1: float = 0.5  # of Adam
    epochs: int = 20
    batch: int = 256  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("dropout", self.dropout, 0 <= self.dropout < 1, "a number from 0 to below 1")
        _check("latent_size", self.latent_size, self.latent_size >= 1, "1 or more")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserConfig:
    """The paper's denoiser and its training. The paper states the kind of noise, `epochs`, `batch` and the loss."""

    widths: tuple[int, ...] = (64, 96)  # channels after each halving
    sigma_min: float = (
        0.0  # standard deviation of the noise, uniform per image from sigma_min to sigma_max; pixels are in [0, 1]
    )
    sigma_max: float = 0.5
    clip_probability: float = 0.5  # fraction of noisy images that are clipped to [0, 1], as image files are
    learning_rate: float = 3e-3  # of Adam
    beta1: float = 0.9  # of Adam
    max_gradient_norm: float = 1.0  # gradients with a larger norm are scaled down to it
    epochs: int = 20
    batch: int = 256  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_min", self.sigma_min, 0 <= self.sigma_min <= self.sigma_max, f"0 to {self.sigma_max}")
        _check("clip_probability", self.clip_probability, 0 <= self.clip_probability <= 1, "a number from 0 to 1")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnectedGanConfig:
    """The fully connected GAN of 2014 (models/mlp_gan.py), trained with the paper's losses."""

    generator_widths: tuple[int, ...] = (1200, 1200)  # units of each hidden layer
    discriminator_widths: tuple[int, ...] = (240, 240)  # maxout units of each hidden layer
    dropout: float = 0.5  # probability, in the discriminator
    latent_size: int = 100  # entries of z
    learning_rate: float = 2e-4  # of Adam, for both networks
    beta1: float = 0.5  # of Adam
    epochs: int = 20
    batch: int = 256  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("dropout", self.dropout, 0 <= self.dropout < 1, "a number from 0 to below 1")
        _check("latent_size", self.latent_size, self.latent_size >= 1, "1 or more")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalGanConfig:
    """The class-conditional GAN (models/conditional_gan.py) and its training, within the paper's budget."""

    generator_widths: tuple[int, ...] = (64, 64, 16)  # channels after the dense layer and each doubling
    generator_blocks: tuple[int, ...] = (0, 1, 0)  # residual blocks at each width
    discriminator_widths: tuple[int, ...] = (48, 96, 192)  # channels after each halving
    discriminator_blocks: tuple[int, ...] = (0, 0, 0)  # residual blocks at each width
    latent_size: int = 100  # entries of z; the last ten choose the class
    learning_rate: float = 4e-4  # of Adam, for both networks
    beta1: float = 0.0  # of Adam
    beta2: float = 0.99
    lr_decay_fraction: float = 0.3  # fraction of the steps, at the end, over which the learning rate falls to 0
    penalty: float = 0.2  # weight of the gradient penalties R1 and R2; pixels in [-1, 1]
    penalty_interval: int = 16  # steps between gradient penalties
    augment: bool = False  # differentiable augmentation of all images that a discriminator sees, for few images
    ema_half_life_images: int = 10_000  # half-life of the generator's EMA, in images
    epochs: int = 20
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        for network in ("generator", "discriminator"):
            blocks, widths = getattr(self, f"{network}_blocks"), getattr(self, f"{network}_widths")
            fits = len(blocks) == len(widths) and min(blocks) >= 0
            _check(f"{network}_blocks", blocks, fits, f"{len(widths)} numbers of 0 or more, one for each width")
        _check("latent_size", self.latent_size, self.latent_size > 10, "more than the ten that choose the class")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")
        _check("beta2", self.beta2, 0 <= self.beta2 < 1, "a number from 0 to below 1")
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a number from 0 to 1")
        _check("penalty", self.penalty, self.penalty >= 0, "0 or more")
        _check("penalty_interval", self.penalty_interval, self.penalty_interval >= 1, "1 or more")
        _check("ema_half_life_images", self.ema_half_life_images, self.ema_half_life_images >= 1, "1 or more")


@dataclass(frozen=True, slots=True)
class UNetShape:
    """The size of models/unet.py."""

    widths: tuple[int, int] = (64, 128)  # channels at 1/2 and at 1/4 of the side
    blocks: tuple[int, int, int] = (3, 4, 3)  # blocks in the encoder, at the bottom and in the decoder

    def __post_init__(self) -> None:
        _check("widths", self.widths, min(self.widths) >= 1, "2 numbers of 1 or more")
        _check("blocks", self.blocks, min(self.blocks) >= 0, "3 numbers of 0 or more")


@dataclass(frozen=True, slots=True)
class DnCNNShape:
    """The size of models/dncnn.py; the defaults are those of its paper."""

    width: int = 64  # channels
    depth: int = 17  # convolutions

    def __post_init__(self) -> None:
        _check("width", self.width, self.width >= 1, "1 or more")
        _check("depth", self.depth, self.depth >= 2, "2 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindDenoiserConfig:
    """A blind denoiser, U-Net or the baseline DnCNN, and its training on noisy images."""

    network: UNetShape | DnCNNShape = UNetShape()
    sigma_max: float = 0.6  # sigma is sigma_max * u^2, u uniform in [0, 1] per image; pixels are in [0, 1]
    clip_probability: float = 0.5  # fraction of noisy images that are clipped to [0, 1], as image files are
    noisy_targets: bool = False  # Noise2Noise: the target is a second noisy copy instead of the clean image
    learning_rate: float = 2e-3  # of Adam
    warmup_steps: int = 200  # steps
    lr_decay_fraction: float = 0.7  # fraction of the steps, at the end, over which the learning rate falls to 0
    max_gradient_norm: float = 1.0  # gradients with a larger norm are scaled down to it
    epochs: int = 20
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_max", self.sigma_max, self.sigma_max > 0, "above 0")
        _check("clip_probability", self.clip_probability, 0 <= self.clip_probability <= 1, "a number from 0 to 1")
        _check("warmup_steps", self.warmup_steps, self.warmup_steps >= 0, "0 or more")
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a number from 0 to 1")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")


@dataclass(frozen=True, slots=True)
class DepthwiseUNetShape:
    """The size of models/depthwise_unet.py."""

    widths: tuple[int, int, int] = (48, 96, 160)  # channels at 1/2, 1/4 and 1/8 of the side
    blocks: tuple[int, int, int, int, int] = (2, 3, 4, 3, 3)  # at 1/2, 1/4, 1/8 and again 1/4, 1/2 of the side
    channels: int = 3  # 1 for a network that denoises grey photographs alone

    def __post_init__(self) -> None:
        _check("widths", self.widths, min(self.widths) >= 1, "3 numbers of 1 or more")
        _check("blocks", self.blocks, min(self.blocks) >= 0, "5 numbers of 0 or more")
        _check("channels", self.channels, self.channels in (1, 3), "1 or 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoDenoiserConfig:
    """The blind denoiser for photographs and its training on crops with Gaussian and camera noise."""

    network: DepthwiseUNetShape = DepthwiseUNetShape()
    sigma_max: float = 0.25  # sigma is uniform from 0 to this per image; pixels are in [0, 1]
    clip_probability: float = 0.5  # fraction of images with Gaussian noise that are rounded to 8 bits, as in files
    camera_probability: float = 0.25  # fraction of images with camera noise instead of Gaussian noise
    clean_probability: float = 0.03  # fraction of images without noise
    grey_probability: float = 0.1  # fraction of grey images, with equal channels and equal noise; all of 1 channel
    error_floor: float = 1e-5  # added to the mean squared error before the logarithm: 50 dB
    crop: int = 64  # pixels a side of the crops
    crop_choices: int = 3  # random crops, each of a random tile, of which the one with the most detail is used
    last_crop: int = 128  # pixels a side towards the end; a step then has as many pixels as before
    last_crop_fraction: float = 0.25  # fraction of the steps, at the end, with crops of `last_crop`
    learning_rate: float = 1e-3  # at the start; it falls to 0 along a half cosine
    warmup_steps: int = 200  # steps
    max_gradient_norm: float = 1.0  # gradients with a larger norm are scaled down to it
    ema_half_life_images: int = 8_000  # half-life of the EMA of the weights, in images
    epochs: int = 116
    batch: int = 8  # crops
    images: int = 60_000  # training tiles used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_max", self.sigma_max, self.sigma_max > 0, "above 0")
        for field in ("clip", "camera", "clean", "grey"):
            value = getattr(self, f"{field}_probability")
            _check(f"{field}_probability", value, 0 <= value <= 1, "a number from 0 to 1")
        kinds = self.camera_probability + self.clean_probability
        _check("camera_probability", self.camera_probability, kinds <= 1, "at most 1 with clean_probability")
        _check("error_floor", self.error_floor, self.error_floor > 0, "above 0")
        _check("crop", self.crop, self.crop >= 8 and self.crop % 8 == 0, "a multiple of 8")
        _check("crop_choices", self.crop_choices, self.crop_choices >= 1, "1 or more")
        fits = self.crop <= self.last_crop and self.last_crop % 8 == 0
        _check("last_crop", self.last_crop, fits, f"a multiple of 8 from {self.crop}")
        _check("last_crop_fraction", self.last_crop_fraction, 0 <= self.last_crop_fraction <= 1, "0 to 1")
        _check("warmup_steps", self.warmup_steps, self.warmup_steps >= 0, "0 or more")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")
        _check("ema_half_life_images", self.ema_half_life_images, self.ema_half_life_images >= 1, "1 or more")


SIZE_FIELDS = {  # stage to the fields of its configuration that joint training must share
    "gan": ("generator_widths", "generator_blocks", "discriminator_widths", "discriminator_blocks", "latent_size"),
    "denoiser": ("network",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """Joint training of generator and denoiser; `gan` and `denoiser` describe the networks and the penalties."""

    gan: ConditionalGanConfig
    denoiser: BlindDenoiserConfig
    from_scratch: bool = False  # False: start from the run's finished stages `gan` and `denoiser`
    adversarial: bool = True  # the denoiser has an adversarial loss, from a discriminator of denoised images
    squared_error: bool = True  # the denoiser has a log squared error, on noisy real images
    backprop_through_denoiser: bool = True  # the generator also gets the gradient of the denoised images
    adversarial_weight: float = 5.0  # of the denoiser's adversarial loss, relative to its squared error
    error_floor: float = 1e-4  # added to the mean squared error before the logarithm: 40 dB
    denoising_batch: int = 32  # noisy real images per step
    generator_learning_rate: float = 1e-4  # of Adam, for the generator and both discriminators
    denoiser_learning_rate: float = (
        2e-4  # of Adam; a few times more, and the denoiser no longer preserves the images (LOG.md)
    )
    warmup_steps: int = 200  # steps
    lr_decay_fraction: float = 0.7  # fraction of the steps, at the end, over which the learning rates fall to 0
    ema_half_life_images: int = 10_000  # half-life of the EMA of generator and denoiser, in images
    epochs: int = 1
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check_batch_and_images(self)
        _check("adversarial_weight", self.adversarial_weight, self.adversarial_weight > 0, "above 0")
        _check("error_floor", self.error_floor, self.error_floor > 0, "above 0")
        _check("denoising_batch", self.denoising_batch, 1 <= self.denoising_batch <= self.batch, "from 1 to the batch")
        _check(
            "generator_learning_rate",
            self.generator_learning_rate,
            0 < self.generator_learning_rate < 1,
            "a number between 0 and 1",
        )
        _check(
            "denoiser_learning_rate",
            self.denoiser_learning_rate,
            0 < self.denoiser_learning_rate < 1,
            "a number between 0 and 1",
        )
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a number from 0 to 1")
        _check("ema_half_life_images", self.ema_half_life_images, self.ema_half_life_images >= 1, "1 or more")
        _check("denoiser.network", self.denoiser.network, isinstance(self.denoiser.network, UNetShape), "a UNetShape")
        _check("losses", "none", self.adversarial or self.squared_error, "adversarial, squared_error or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """The feature network of FFD-1. It is not trained on the last 10,000 training images."""

    widths: tuple[int, ...] = (24, 48, 96)  # channels of each stage; the last one is the number of features
    learning_rate: float = 0.1  # of SGD, the peak of its one-cycle schedule
    momentum: float = 0.9  # of Nesterov's method
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    epochs: int = 12
    batch: int = 128  # images
    images: int = 50_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("images", self.images, self.images <= 50_000, "at most 50000, the rest is held out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidualClassifierConfig:
    """The second feature network, which checks FFD-1's verdicts: another architecture, trained on the same images."""

    widths: tuple[int, ...] = (24, 48, 96)  # channels of each stage; the last one is the number of features
    learning_rate: float = 0.1  # of SGD, the peak of its one-cycle schedule
    momentum: float = 0.9  # of Nesterov's method
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    epochs: int = 8
    batch: int = 128  # images
    images: int = 50_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("images", self.images, self.images <= 50_000, "at most 50000, the rest is held out")


AnyGanConfig = GanConfig | FullyConnectedGanConfig | ConditionalGanConfig
AnyDenoiserConfig = DenoiserConfig | BlindDenoiserConfig
AnyClassifierConfig = ClassifierConfig | ResidualClassifierConfig
NetworkConfig = AnyGanConfig | AnyDenoiserConfig | PhotoDenoiserConfig | AnyClassifierConfig
Config = NetworkConfig | JointConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """One configuration for each stage of the study; without `joint` there is no joint training."""

    gan: AnyGanConfig
    denoiser: AnyDenoiserConfig
    classifier: ClassifierConfig
    joint: JointConfig | None = None


ADDED_FIELDS = {"augment": False}  # fields that earlier versions did not have, and the values that change nothing


def config_sha256(config: Config | Preset) -> str:
    """SHA-256 of all fields, in hex: equal for equal configurations.

    A stage that a preset lacks is left out, and so are ADDED_FIELDS with these values: hashes of earlier versions stay.
    """
    present = {name: value for name, value in _without_added(asdict(config)).items() if value is not None}
    return hashlib.sha256(json.dumps(present, sort_keys=True).encode()).hexdigest()


def to_json(config: Config) -> dict[str, Any]:
    """The fields as JSON values: tuples are lists."""
    loaded: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return loaded


def _without_added(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_added(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if name not in ADDED_FIELDS or value != ADDED_FIELDS[name]
    }


def _check_training(config: NetworkConfig) -> None:
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name.endswith("widths"):
            _check(field.name, value, len(value) > 0 and min(value) >= 1, "one or more numbers of 1 or more")
    _check("learning_rate", config.learning_rate, 0 < config.learning_rate < 1, "a number between 0 and 1")
    _check("epochs", config.epochs, config.epochs >= 1, "1 or more")
    _check_batch_and_images(config)


def _check_batch_and_images(config: Config) -> None:
    _check("images", config.images, 2 <= config.images <= 60_000, "2 to 60000")
    _check("batch", config.batch, 2 <= config.batch <= config.images, f"2 to {config.images} (the number of images)")


def check_batch(batch: int, images: int, option: str = "--batch ") -> None:
    """Raises UsageError if the last batch of an epoch would be one image, whose variance batch norm cannot compute.

    `images` is the number of those that the data set has for training, as far as they are used. `option` sets the batch
    in a command when the number follows it.
    """
    if images % batch == 1:
        other = next((size for size in range(batch + 1, images + 1) if images % size != 1), batch)
        expected = f"a size that does not leave 1 of {images} images over"
        raise UsageError.expected(option.rstrip(" ="), expected, batch, f"{option}{other}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a stage is run. Seed, device, threads and precision change the weights and are part of the fingerprint."""

    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    threads: int = 0  # 0: one per available core
    precision: str = (
        "float32"  # or bfloat16: convolutions and matrix products in bfloat16, weights and losses in float32
    )
    resume: bool = False
    resume_inexact: bool = False  # resume even if the fingerprint changed
    tensorboard: bool = False
    measure_every: int = 0  # epochs between two measurements of the generator on held-out images; 0 for none
