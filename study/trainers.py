"""Which trainer a configuration is for."""

from __future__ import annotations

from pathlib import Path

from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.study.config import (
    BlindDenoiserConfig,
    ConditionalGanConfig,
    Config,
    DenoiserConfig,
    FeaturesConfig,
    GanConfig,
)
from gan_denoise.study.stage import Options
from gan_denoise.study.train_blind_denoiser import train_blind_denoiser
from gan_denoise.study.train_conditional_gan import train_conditional_gan
from gan_denoise.study.train_denoiser import train_denoiser
from gan_denoise.study.train_features import train_features
from gan_denoise.study.train_gan import train_gan


def train(config: Config, dataset: Dataset, run: Path, options: Options) -> None:
    """Train what `config` describes in `run`. Raises what its trainer raises."""
    match config:
        case GanConfig():
            train_gan(config, dataset, run, options)
        case ConditionalGanConfig():
            train_conditional_gan(config, dataset, run, options)
        case DenoiserConfig():
            train_denoiser(config, dataset, run, options)
        case BlindDenoiserConfig():
            train_blind_denoiser(config, dataset, run, options)
        case FeaturesConfig():
            train_features(config, dataset, run, options)
