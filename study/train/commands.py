"""The commands of train: parse, call one function, print."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import typer

from gan_denoise.console import print_result
from gan_denoise.errors import UsageError
from gan_denoise.options import (
    ChannelsOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    JsonOption,
    QuietOption,
    SeedOption,
    SizeOption,
    ThreadsOption,
)
from gan_denoise.study.config import BlindDenoiserConfig, Config, config_sha256, to_json
from gan_denoise.study.options import (
    BatchOption,
    Device,
    DeviceOption,
    DryRunOption,
    EpochsOption,
    OutOption,
    PairsOption,
    Precision,
    PrecisionOption,
    PresetName,
    PresetOption,
    ResumeInexactOption,
    ResumeOption,
    TensorBoardOption,
    check_torch,
    run_folder,
    run_options,
)
from gan_denoise.study.presets import PRESETS

app = typer.Typer(
    no_args_is_help=True,
    help="Train one network.\n\nExample: gan-denoise train gan --preset quick --out runs/mine",
)

SomeConfig = TypeVar("SomeConfig", bound=Config)


def _add_stage(stage: str, preset_name: str, text: str) -> None:
    """The command `train STAGE`; `text` is its help."""

    def command(
        preset: PresetOption = PresetName[preset_name],
        epochs: EpochsOption = None,
        batch: BatchOption = None,
        seed: SeedOption = 0,
        device: DeviceOption = Device.auto,
        threads: ThreadsOption = 0,
        precision: PrecisionOption = Precision.float32,
        dataset: DatasetOption = DatasetName.fashion_mnist,
        data: DatasetPathOption = None,
        size: SizeOption = None,
        channels: ChannelsOption = None,
        pairs: PairsOption = None,
        out: OutOption = None,
        resume: ResumeOption = False,
        resume_inexact: ResumeInexactOption = False,
        tensorboard: TensorBoardOption = False,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
    ) -> None:
        config = _resolved(_config_of(preset, stage), epochs, batch)
        _refuse_data(stage, config, dataset, data, size, channels, pairs)
        if not _printed(config, size, seed, dry_run):
            check_torch()
            from gan_denoise.data import datasets
            from gan_denoise.data.paired_images import read_image_pairs
            from gan_denoise.study.train.dispatch import train

            options = run_options(seed, device, threads, precision, resume, tensorboard, resume_inexact)
            if pairs is None:
                loaded = datasets.load_dataset(dataset.value, data, size, channels)
            else:
                loaded = read_image_pairs(*pairs, size or 28, channels or 1)
            run = run_folder(out, preset)
            train(config, loaded, run, options)
            settings = {**_described(config, size, seed), "device": device, "threads": threads, "precision": precision}
            facts = {"settings": settings, "written": [run / stage]}
            chosen = {"--dataset": dataset.value, "--data": data, "--size": size, "--channels": channels}
            next_stage = None if pairs else _after(stage, preset)
            print_result(f"train {stage}", [run / stage], as_json, _then(next_stage, preset, chosen, run), **facts)

    app.command(stage, help=text)(command)


_add_stage(
    "gan",
    "quick",
    """Train generator and discriminator.

    Example: gan-denoise train gan --preset quick --out runs/mine
    Example: gan-denoise train gan --dataset folder --data photos --size 64 --channels 3 --out runs/photos
    """,
)
_add_stage(
    "denoiser",
    "quick",
    """Train the denoiser.

    Example: gan-denoise train denoiser --preset quick --out runs/mine
    Example: gan-denoise train denoiser --preset best --pairs noisy clean --size 64 --channels 3 --out runs/camera
    """,
)
_add_stage(
    "joint",
    "best",
    """Train a finished generator and a finished denoiser as one system, in the same run.

    Example: gan-denoise train joint --preset best --out runs/best
    """,
)
_add_stage(
    "classifier",
    "paper",
    """Train the classifier that FFD-1 is measured on. The shipped one is what `eval` uses.

    Example: gan-denoise train classifier --preset paper --out runs/features
    """,
)


def _config_of(preset: PresetName, stage: str) -> Config:
    config: Config | None = getattr(PRESETS[preset.value], stage)
    if config is None:
        raise UsageError(f"--preset: {preset.value} found, which has no stage {stage}", "--preset best has it")
    return config


def _resolved(config: SomeConfig, epochs: int | None, batch: int | None) -> SomeConfig:
    return dataclasses.replace(
        config,
        epochs=config.epochs if epochs is None else epochs,
        batch=config.batch if batch is None else batch,
    )


def _refuse_data(
    stage: str,
    config: Config,
    dataset: DatasetName,
    data: Path | None,
    size: int | None,
    channels: int | None,
    pairs: tuple[Path, Path] | None,
) -> None:
    """Raises UsageError for images that the stage is not trained on."""
    if stage == "classifier" and (dataset != DatasetName.fashion_mnist or size or channels):
        raise UsageError("--dataset --size --channels: found, none wanted: FFD-1 is measured on Fashion-MNIST as it is")
    if pairs is None:
        return
    if not isinstance(config, BlindDenoiserConfig):
        hint = "gan-denoise train denoiser --preset best"
        raise UsageError(f"--pairs: found with the {stage} of a preset that has no blind denoiser, one wanted", hint)
    if data is not None or dataset != DatasetName.fashion_mnist:
        raise UsageError("--pairs --dataset --data: both found, one wanted")


def _printed(config: Config, size: int | None, seed: int, dry_run: bool) -> bool:
    """Print the configuration when that is all that was asked for."""
    if dry_run:
        typer.echo(json.dumps(_described(config, size, seed), indent=1))
    return dry_run


def _described(config: Config, size: int | None, seed: int) -> dict[str, object]:
    from gan_denoise.study.train.image_shape import scale_config

    config = scale_config(config, size or 28)
    return {**to_json(config), "seed": seed, "config_sha256": config_sha256(config)}


def _after(stage: str, preset: PresetName) -> str | None:
    """The stage that comes after this one in the preset."""
    joins = PRESETS[preset.value].joint is not None
    return {"gan": "denoiser", "denoiser": "joint" if joins else None}.get(stage)


def _then(stage: str | None, preset: PresetName, chosen: Mapping[str, object], run: Path) -> tuple[object, ...]:
    """The command that trains `stage` on the same images, or without one the export."""
    if stage is None:
        return ("export", run, "--out", "exported")
    of_default = (None, DatasetName.fashion_mnist.value)
    images = [part for name, value in chosen.items() if value not in of_default for part in (name, value)]
    return ("train", stage, "--preset", preset.value, *images, "--out", run)
