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
    clipped: float = 0.5  # share of images whose noise is clipped to [0, 1], as files hold it
    learning_rate: float = 3e-3  # Adam's
    beta1: float = 0.9  # Adam's
    max_gradient_norm: float = 1.0  # longer gradients are scaled down to it
    epochs: int = 20
    batch: int = 256  # images
    images: int = 60_000  # training images used, from the first

    def __post_init__(self) -> None:
        _check_training(self)
        _check("sigma_min", self.sigma_min, 0 <= self.sigma_min <= self.sigma_max, f"0 to {self.sigma_max}")
        _check("clipped", self.clipped, 0 <= self.clipped <= 1, "a share from 0 to 1")
        _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")
        _check("beta1", self.beta1, 0 <= self.beta1 < 1, "a number from 0 to below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesConfig:
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


Config = GanConfig | DenoiserConfig | FeaturesConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """One configuration for each network of the study."""

    gan: GanConfig
    denoiser: DenoiserConfig
    features: FeaturesConfig


def config_sha256(config: Config | Preset) -> str:
    """A hash of every field, so that two runs can be told apart and a published one recognised."""
    return hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()


def to_json(config: Config) -> dict[str, Any]:
    """The fields as JSON would give them back: tuples are lists."""
    loaded: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return loaded


def _check_training(config: Config) -> None:
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


PRESETS = {
    "smoke": Preset(  # seconds, for tests: shows that it runs, not that it works
        GanConfig(generator_widths=(8, 8, 4), discriminator_widths=(8, 8), epochs=2, batch=32, images=256),
        DenoiserConfig(widths=(8, 8), epochs=2, batch=32, images=256),
        FeaturesConfig(widths=(8, 8, 64), epochs=1, batch=32, images=256),
    ),
    "quick": Preset(  # minutes: narrow networks and few epochs, every training image seen
        GanConfig(generator_widths=(48, 32, 16), discriminator_widths=(24, 48, 96), epochs=3),
        DenoiserConfig(widths=(32, 64), epochs=3),
        FeaturesConfig(epochs=2),
    ),
    "paper": Preset(GanConfig(), DenoiserConfig(), FeaturesConfig()),
}
