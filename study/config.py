"""What is trained and how: frozen dataclasses, and the presets as Python constants."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from gan_denoise.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class GanConfig:
    """Generator, discriminator and their training. The paper gives `epochs`, `batch` and the losses."""

    generator_widths: tuple[int, ...] = (64, 64, 16)  # channels after the dense layer and each doubling
    discriminator_widths: tuple[int, ...] = (32, 64, 128)  # channels after each halving
    dropout: float = 0.3  # probability, in the discriminator
    latent_size: int = 100  # entries of z
    learning_rate: float = 1e-3  # Adam's, for both networks
    beta1: float = 0.5  # Adam's
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
    """The denoiser and its training. The paper gives the noise's kind, `epochs`, `batch` and the loss."""

    widths: tuple[int, ...] = (64, 96)  # channels after each halving
    sigma_min: float = 0.0  # weakest and strongest noise, drawn per image, in units of [0, 1]
    sigma_max: float = 0.5
    clip_probability: float = 0.5  # share of images whose noise is clipped to [0, 1], as files hold it
    learning_rate: float = 3e-3  # Adam's
    beta1: float = 0.9  # Adam's
    max_gradient_norm: float = 1.0  # longer gradients are scaled down to it
    epochs: int = 20
    batch: int = 256  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_min", self.sigma_min, 0 <= self.sigma_min <= self.sigma_max, f"0 to {self.sigma_max}")
        _check("clip_probability", self.clip_probability, 0 <= self.clip_probability <= 1, "a share from 0 to 1")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnectedGanConfig:
    """The GAN of 2014 (models/mlp_gan.py), trained as the paper's is."""

    generator_widths: tuple[int, ...] = (1200, 1200)  # units of each hidden layer
    discriminator_widths: tuple[int, ...] = (240, 240)  # maxout units of each hidden layer
    dropout: float = 0.5  # probability, in the discriminator
    latent_size: int = 100  # entries of z
    learning_rate: float = 2e-4  # Adam's, for both networks
    beta1: float = 0.5  # Adam's
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
    """Our generator and discriminator (models/conditional_gan.py) and their training, within the paper's budget."""

    generator_widths: tuple[int, ...] = (64, 64, 16)  # channels after the dense layer and each doubling
    generator_blocks: tuple[int, ...] = (0, 1, 0)  # residual blocks at each of them
    discriminator_widths: tuple[int, ...] = (48, 96, 192)  # channels after each halving
    discriminator_blocks: tuple[int, ...] = (0, 0, 0)  # residual blocks at each of them
    latent_size: int = 100  # entries of z, the last ten of which choose the class
    learning_rate: float = 4e-4  # Adam's, for both networks
    beta1: float = 0.0  # Adam's
    beta2: float = 0.99
    lr_decay_fraction: float = 0.3  # share of the steps, the last ones, over which the rate falls to zero
    penalty: float = 0.2  # weight of the gradient penalties R1 and R2, per squared unit of [-1, 1]
    penalty_interval: int = 16  # steps
    ema_half_life_images: int = 10_000  # images after which a weight counts half in the averaged generator
    epochs: int = 20
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        for blocks, widths in (
            ("generator_blocks", "generator_widths"),
            ("discriminator_blocks", "discriminator_widths"),
        ):
            counts = getattr(self, blocks)
            _check(
                blocks, counts, len(counts) == len(getattr(self, widths)) and min(counts) >= 0, f"as many as {widths}"
            )
        _check("latent_size", self.latent_size, self.latent_size > 10, "more than the ten that choose the class")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")
        _check("beta2", self.beta2, 0 <= self.beta2 < 1, "a number from 0 to below 1")
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a share from 0 to 1")
        _check("penalty", self.penalty, self.penalty >= 0, "0 or more")
        _check("penalty_interval", self.penalty_interval, self.penalty_interval >= 1, "1 or more")
        _check("ema_half_life_images", self.ema_half_life_images, self.ema_half_life_images >= 1, "1 or more")


@dataclass(frozen=True, slots=True)
class UNetShape:
    """The sizes of models/unet.py."""

    widths: tuple[int, int] = (64, 96)  # channels at a half and at a quarter of the side
    blocks: tuple[int, int, int] = (2, 3, 2)  # residual blocks going down, at the bottom and going up


@dataclass(frozen=True, slots=True)
class DnCNNShape:
    """The sizes of models/dncnn.py; the defaults are its paper's."""

    width: int = 64  # channels
    depth: int = 17  # convolutions


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindDenoiserConfig:
    """A denoiser that is given noisy images, and its training: ours, and DnCNN to measure it against."""

    network: UNetShape | DnCNNShape = UNetShape()
    sigma_max: float = 0.6  # noise is sigma_max * u^2 with u uniform per image, in units of [0, 1]
    clip_probability: float = 0.5  # share of images whose noise is clipped to [0, 1], as files hold it
    noisy_targets: bool = False  # Noise2Noise: the target is a second noisy image, no clean one is seen
    learning_rate: float = 2e-3  # Adam's
    warmup_steps: int = 200  # steps
    lr_decay_fraction: float = 0.7  # share of the steps, the last ones, over which the rate falls to zero
    max_gradient_norm: float = 1.0  # longer gradients are scaled down to it
    epochs: int = 20
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_max", self.sigma_max, self.sigma_max > 0, "above 0")
        _check("clip_probability", self.clip_probability, 0 <= self.clip_probability <= 1, "a share from 0 to 1")
        _check("warmup_steps", self.warmup_steps, self.warmup_steps >= 0, "0 or more")
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a share from 0 to 1")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """Generator and denoiser trained as one system; what is not here is as in the preset's `gan` and `denoiser`."""

    gan: ConditionalGanConfig
    denoiser: BlindDenoiserConfig
    from_scratch: bool = False  # otherwise from the finished stages `gan` and `denoiser` of the run
    adversarial: bool = True  # the denoiser is trained to deceive a discriminator of its own
    squared_error: bool = True  # the denoiser is trained on noised real images
    backprop_through_denoiser: bool = True  # the generator is trained through the denoiser too
    adversarial_weight: float = 5.0  # of the denoiser's adversarial loss against its squared error
    error_floor: float = 1e-4  # a mean squared error that counts as none: 40 dB
    denoising_batch: int = 32  # real images a step that the denoiser restores
    generator_learning_rate: float = 1e-4  # Adam's, for the generator and both discriminators
    denoiser_learning_rate: float = 1e-4  # Adam's; a few times more, and the denoiser leaves the images behind (LOG.md)
    warmup_steps: int = 200  # steps
    lr_decay_fraction: float = 0.7  # share of the steps, the last ones, over which the rates fall to zero
    ema_half_life_images: int = 10_000  # images after which a weight counts half in both averaged networks
    epochs: int = 1
    batch: int = 64  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check("batch", self.batch, self.batch >= 2, "2 or more, for batch norm,")
        _check("images", self.images, self.batch <= self.images <= 60_000, "from the batch to 60000")
        _check("batch", self.batch, self.images % self.batch != 1, f"no remainder of 1 in {self.images} images")
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
        _check("lr_decay_fraction", self.lr_decay_fraction, 0 <= self.lr_decay_fraction <= 1, "a share from 0 to 1")
        _check("ema_half_life_images", self.ema_half_life_images, self.ema_half_life_images >= 1, "1 or more")
        _check("denoiser.network", self.denoiser.network, isinstance(self.denoiser.network, UNetShape), "a UNetShape")
        _check("losses", "none", self.adversarial or self.squared_error, "adversarial, squared_error or both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """The classifier behind the Fréchet distance. It never sees the last 10,000 training images."""

    widths: tuple[int, ...] = (24, 48, 96)  # channels of each stage; the last is the number of features
    learning_rate: float = 0.1  # the peak of SGD's one-cycle schedule
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    epochs: int = 12
    batch: int = 128  # images
    images: int = 50_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("images", self.images, self.images <= 50_000, "50000 or fewer, since the rest measures the floor,")


AnyGanConfig = GanConfig | FullyConnectedGanConfig | ConditionalGanConfig
AnyDenoiserConfig = DenoiserConfig | BlindDenoiserConfig
NetworkConfig = AnyGanConfig | AnyDenoiserConfig | ClassifierConfig
Config = NetworkConfig | JointConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """One configuration for each stage of the study; without `join` generator and denoiser know nothing of another."""

    gan: AnyGanConfig
    denoiser: AnyDenoiserConfig
    classifier: ClassifierConfig
    joint: JointConfig | None = None


def config_sha256(config: Config | Preset) -> str:
    """A hash of every field, so that two runs can be told apart and a published one recognised.

    A stage that a preset does not have is left out.
    """
    known = {name: value for name, value in asdict(config).items() if value is not None}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def to_json(config: Config) -> dict[str, Any]:
    """The fields as JSON would give them back: tuples are lists."""
    loaded: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return loaded


def _check_training(config: NetworkConfig) -> None:
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name.endswith("widths"):
            _check(field.name, value, len(value) > 0 and min(value) >= 1, "one or more numbers of 1 or more")
    _check("learning_rate", config.learning_rate, 0 < config.learning_rate < 1, "a number between 0 and 1")
    _check("epochs", config.epochs, config.epochs >= 1, "1 or more")
    _check("batch", config.batch, config.batch >= 2, "2 or more, for batch norm,")
    _check("images", config.images, config.batch <= config.images <= 60_000, "from the batch to 60000")
    # A last batch of one image would have no variance for batch norm.
    _check("batch", config.batch, config.images % config.batch != 1, f"no remainder of 1 in {config.images} images")


def _check(field: str, value: object, holds: bool, wanted: str) -> None:
    if not holds:
        raise UsageError(f"{field}: {value} found, {wanted} wanted")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a stage is run. What changes the result's bits (seed, device, threads) belongs to its fingerprint."""

    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    threads: int = 0  # 0 means one a usable core
    precision: str = "float32"  # or bfloat16: convolutions in half precision, weights and losses not
    resume: bool = False
    resume_inexact: bool = False  # go on although what belongs to the identity differs
    tensorboard: bool = False
