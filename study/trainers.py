"""Which trainer a configuration is for, and whether it has finished."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.export import weights
from gan_denoise.study.config import (
    BlindDenoiserConfig,
    ConditionalGanConfig,
    Config,
    DenoiserConfig,
    FeaturesConfig,
    FullyConnectedGanConfig,
    GanConfig,
    JoinConfig,
    config_sha256,
)
from gan_denoise.study.identity import Options, read_identity, refuse_inexact
from gan_denoise.study.sizes import scaled
from gan_denoise.study.train_blind_denoiser import train_blind_denoiser
from gan_denoise.study.train_conditional_gan import train_conditional_gan
from gan_denoise.study.train_denoiser import train_denoiser
from gan_denoise.study.train_features import train_features
from gan_denoise.study.train_gan import train_gan
from gan_denoise.study.train_join import started_from, train_join


def train(config: Config, dataset: Dataset, run: Path, options: Options) -> None:
    """Train what `config` describes, on the scale of the pictures, in `run`. Raises what its trainer raises."""
    config = scaled(config, dataset.train.shape[-1])
    match config:
        case GanConfig() | FullyConnectedGanConfig():
            train_gan(config, dataset, run, options)
        case ConditionalGanConfig():
            train_conditional_gan(config, dataset, run, options)
        case DenoiserConfig():
            train_denoiser(config, dataset, run, options)
        case BlindDenoiserConfig():
            train_blind_denoiser(config, dataset, run, options)
        case JoinConfig():
            train_join(config, dataset, run, options)
        case FeaturesConfig():
            train_features(config, dataset, run, options)


def is_finished(config: Config, run: Path, options: Options) -> bool:
    """Whether this configuration and seed ended in `run` with whole weights; a join, from the weights of now.

    Raises InputError when the weights are damaged, or their training went on inexactly.
    """
    path = run / _last_file(config)
    if not path.exists() or not path.with_suffix(".json").exists():
        return False
    weights.read(path)
    refuse_inexact(path.parent)
    identity = read_identity(path.parent)
    if isinstance(config, JoinConfig) and identity.get("started_from") != started_from(config, run):
        return False
    return bool((identity["config_sha256"], identity["seed"]) == (config_sha256(config), options.seed))


def _last_file(config: Config) -> str:
    """What a stage writes last, below the run's folder."""
    match config:
        case GanConfig() | FullyConnectedGanConfig() | ConditionalGanConfig():
            return "gan/generator.safetensors"
        case DenoiserConfig() | BlindDenoiserConfig():
            return "denoiser/denoiser.safetensors"
        case JoinConfig():
            return "join/joined/denoiser/denoiser.safetensors"
        case FeaturesConfig():
            return "features/features.safetensors"
