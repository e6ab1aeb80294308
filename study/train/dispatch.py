"""Choose the trainer of a configuration, and check whether a stage is finished."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from gan_denoise.data.dataset import Dataset
from gan_denoise.export.convert import weights
from gan_denoise.export.run_folder import RunFolder, StageFolder
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
    ResidualClassifierConfig,
    RunOptions,
    config_sha256,
)
from gan_denoise.study.run.metadata import check_exact
from gan_denoise.study.train.autoencoder import train_autoencoder
from gan_denoise.study.train.blind_denoiser import train_blind_denoiser
from gan_denoise.study.train.classifier import train_classifier
from gan_denoise.study.train.conditional_gan import train_conditional_gan
from gan_denoise.study.train.gan import train_gan
from gan_denoise.study.train.image_shape import check_size, scale_config
from gan_denoise.study.train.joint import started_from, train_joint
from gan_denoise.study.train.photo_denoiser import train_photo_denoiser


def train(config: Config, dataset: Dataset, run: Path, options: RunOptions) -> None:
    """Train `config`, scaled to the size of the images, in `run`. Raises what the trainer raises.

    Raises UsageError if the networks do not fit the size of the images.
    """
    size = dataset.train.shape[-1]
    config = scale_config(config, size)
    check_size(config, size)
    match config:
        case GanConfig() | FullyConnectedGanConfig():
            train_gan(config, dataset, run, options)
        case ConditionalGanConfig():
            train_conditional_gan(config, dataset, run, options)
        case DenoiserConfig():
            train_autoencoder(config, dataset, run, options)
        case BlindDenoiserConfig():
            train_blind_denoiser(config, dataset, run, options)
        case PhotoDenoiserConfig():
            train_photo_denoiser(config, dataset, run, options)
        case JointConfig():
            train_joint(config, dataset, run, options)
        case ClassifierConfig() | ResidualClassifierConfig():
            train_classifier(config, dataset, run, options)
        case _:
            assert_never(config)


def is_finished(config: Config, run: Path, options: RunOptions) -> bool:
    """Whether `run` holds the final weights of this configuration and seed.

    Joint training counts as finished only if it started from the current weights of `gan` and `denoiser`. Raises
    InputError if the weights are damaged, or the training was resumed inexactly.
    """
    path = _last_file(config, RunFolder(run))
    if not path.exists() or not path.with_suffix(".json").exists():
        return False
    weights.read_weights(path)
    stage = StageFolder(path.parent)
    check_exact(stage)
    fingerprint = stage.read_fingerprint()
    if isinstance(config, JointConfig) and fingerprint.get("started_from") != started_from(config, run):
        return False
    return bool((fingerprint["config_sha256"], fingerprint["seed"]) == (config_sha256(config), options.seed))


def _last_file(config: Config, run: RunFolder) -> Path:
    """The file that a stage writes last."""
    match config:
        case GanConfig() | FullyConnectedGanConfig() | ConditionalGanConfig():
            return run.gan.weights("generator")
        case DenoiserConfig() | BlindDenoiserConfig() | PhotoDenoiserConfig():
            return run.denoiser.weights("denoiser")
        case JointConfig():
            return run.joint.final.denoiser.weights("denoiser")
        case ClassifierConfig() | ResidualClassifierConfig():
            return run.classifier.weights("classifier")
        case _:
            assert_never(config)
