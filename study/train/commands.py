"""The commands `train gan`, `denoiser`, `joint` and `classifier`: parse, call one function, print."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TypeVar

import typer

from gan_denoise.console import print_result, print_status
from gan_denoise.data.dataset_options import FASHION_MNIST, PHOTOS, DatasetOptions
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.run_folder import CLASSIFIER, DENOISER, GAN, JOINT, RunFolder, StageFolder
from gan_denoise.options import (
    ChannelsOption,
    Crop,
    CropOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    FlipOption,
    JsonOption,
    LabelsOption,
    QuietOption,
    SizeOption,
    TestImagesOption,
    ThreadsOption,
)
from gan_denoise.study.config import (
    BlindDenoiserConfig,
    Config,
    JointConfig,
    Preset,
    RunOptions,
    check_batch,
    config_sha256,
    to_json,
)
from gan_denoise.study.options import (
    BatchOption,
    ConfigOption,
    Device,
    DeviceOption,
    DryRunOption,
    EpochsOption,
    MeasureEveryOption,
    OutOption,
    PairsOption,
    Precision,
    PrecisionOption,
    PresetName,
    PresetOption,
    ResumeInexactOption,
    ResumeOption,
    SeedOrConfigOption,
    SetOption,
    TensorBoardOption,
    check_torch,
    run_folder,
    run_options,
    without_options,
)
from gan_denoise.study.overrides import changed_fields, read_config, set_fields, with_trained_sizes
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.rows import HELD_OUT_DISTANCE
from gan_denoise.study.run.log import read_log
from gan_denoise.study.train.photo_command import photo

app = typer.Typer(
    no_args_is_help=True,
    help="Train one network.\n\nExample: gan-denoise train gan --preset quick --out runs/mine",
)

SomeConfig = TypeVar("SomeConfig", bound=Config)
FASHION_MNIST_SIDE = 28  # pixels
Pairs = tuple[Path, Path] | None  # the folders of --pairs


def _add_stage(stage: str, preset_name: str, text: str, *absent: str) -> None:
    """The command `train STAGE` with the help `text`, without the options `absent`."""

    def command(
        preset: PresetOption = PresetName[preset_name],
        epochs: EpochsOption = None,
        batch: BatchOption = None,
        assignments: SetOption = None,
        config_file: ConfigOption = None,
        seed: SeedOrConfigOption = None,
        device: DeviceOption = Device.auto,
        threads: ThreadsOption = 0,
        precision: PrecisionOption = Precision.float32,
        dataset: DatasetOption = DatasetName.fashion_mnist,
        data: DatasetPathOption = None,
        size: SizeOption = None,
        channels: ChannelsOption = None,
        crop: CropOption = Crop.centre,
        flip: FlipOption = False,
        test: TestImagesOption = None,
        labels: LabelsOption = None,
        pairs: PairsOption = None,
        out: OutOption = None,
        resume: ResumeOption = False,
        resume_inexact: ResumeInexactOption = False,
        measure_every: MeasureEveryOption = 0,
        tensorboard: TensorBoardOption = False,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
        quiet: QuietOption = False,
    ) -> None:
        base = _config_of(preset, stage)
        if isinstance(base, JointConfig) and out is not None:
            base = with_trained_sizes(base, RunFolder(out))
        config, file_seed = (base, None) if config_file is None else read_config(config_file, base)
        config = _with_option(_with_option(set_fields(config, assignments or ()), "epochs", epochs), "batch", batch)
        seed = seed if seed is not None else file_seed or 0
        images = DatasetOptions(dataset.value, data, size, channels, crop.value, flip, test, labels)
        scaled = _check(config, images, pairs)
        settings = {**to_json(scaled), "seed": seed, "config_sha256": config_sha256(scaled)}
        if dry_run:
            typer.echo(json.dumps(settings, indent=1))
            return
        check_torch()
        run = run_folder(out, preset, changed_fields(base, config))
        options = run_options(seed, device, threads, precision, resume, tensorboard, resume_inexact, measure_every)
        _train(config, images, pairs, run, options)
        settings |= {"device": device, "threads": threads, "precision": precision}
        _print_best_epoch(RunFolder(run).stage(stage))
        following = _next_command(preset, PRESETS[preset.value], RunFolder(run), images, pairs)
        print_result(f"train {stage}", [run / stage], as_json, following, settings=settings, written=[run / stage])

    app.command(stage, help=text)(without_options(command, absent))


_add_stage(
    GAN,
    "quick",
    """Train generator and discriminator.

    Example: gan-denoise train gan --preset quick --out runs/mine
    Example: gan-denoise train gan --dataset folder --data photos --size 64 --channels 3 --out runs/photos
    """,
    "pairs",
)
_add_stage(
    DENOISER,
    "quick",
    """Train the denoiser.

    Example: gan-denoise train denoiser --preset quick --out runs/mine
    Example: gan-denoise train denoiser --preset best --pairs noisy clean --size 64 --channels 3 --out runs/camera
    """,
    "measure_every",
)
_add_stage(
    JOINT,
    "best",
    """Train a run's finished generator and denoiser jointly, with the network sizes of their stages.

    Example: gan-denoise train joint --preset best --out runs/best
    """,
    "pairs",
)
_add_stage(
    CLASSIFIER,
    "paper",
    """Train a classifier of the classes: a feature network for `eval`, which uses the shipped one for Fashion-MNIST.

    Example: gan-denoise train classifier --dataset folder --data photos --size 64 --channels 3 --out runs/photos
    """,
    *("pairs", "measure_every"),
)


def _config_of(preset: PresetName, stage: str) -> Config:
    config: Config | None = getattr(PRESETS[preset.value], stage)
    if config is None:
        raise UsageError.expected("--preset", f"one with the stage {stage}", preset.value, "--preset best")
    return config


def _with_option(config: SomeConfig, field: str, value: int | None) -> SomeConfig:
    """The configuration with the value of the option `--FIELD`, if given. Raises UsageError, which names the option."""
    if value is None:
        return config
    try:
        return dataclasses.replace(config, **{field: value})  # type: ignore[arg-type]
    except UsageError as error:
        refused, _, reason = error.message.partition(": ")
        message = f"--{field}: {reason}" if refused == field else f"--{field} {value}: {error.message}"
        raise UsageError(message, error.hint) from error


def _check(config: Config, images: DatasetOptions, pairs: Pairs) -> Config:
    """The configuration scaled to the images.

    Raises UsageError, or InputError for missing or unfit files, for what training would refuse before it reads pixels.
    """
    from gan_denoise.data.datasets import SIZE_LIST, check_dataset_options, check_source
    from gan_denoise.study.train.image_shape import FASHION_MNIST_IMAGES, check_size, scale_config

    is_fashion_mnist = images.name == FASHION_MNIST
    if pairs is not None:
        if not isinstance(config, BlindDenoiserConfig):
            hint = "gan-denoise train denoiser --preset best"
            raise UsageError.expected("--pairs", "a preset with a blind denoiser", type(config).__name__, hint)
        if dataclasses.replace(images, size=None, channels=None) != DatasetOptions():
            raise UsageError.expected("--pairs", "no --dataset and no --data", "one of them")
    if images.name == PHOTOS and not isinstance(config, BlindDenoiserConfig):
        hint = "gan-denoise train photo"
        raise UsageError.expected("--dataset", f"images of {SIZE_LIST} pixels a side", images.name, hint)
    check_dataset_options(images)
    if is_fashion_mnist and pairs is None:
        check_batch(config.batch, min(config.images, FASHION_MNIST_IMAGES))
    side = check_source(images)  # known of arrays; that of files is FASHION_MNIST_SIDE unless --size says otherwise
    size = images.size or side or FASHION_MNIST_SIDE
    scaled = scale_config(config, size)
    if images.size or side or is_fashion_mnist:
        check_size(scaled, size)
    return scaled


def _train(config: Config, images: DatasetOptions, pairs: Pairs, run: Path, options: RunOptions) -> None:
    from gan_denoise.data.datasets import load_images
    from gan_denoise.data.paired_images import read_image_pairs
    from gan_denoise.study.run import ranks
    from gan_denoise.study.train.dispatch import train

    with ranks.joined(options.device):
        if pairs is None:
            dataset = load_images(images)
        else:
            dataset = read_image_pairs(*pairs, images.size or FASHION_MNIST_SIDE, images.channels or 1)
        train(config, dataset, run, options)


def _next_command(
    preset_name: PresetName, preset: Preset, run: RunFolder, images: DatasetOptions, pairs: Pairs
) -> tuple[object, ...]:
    """The command that can follow: the next stage on the same images, or the export."""
    has_gan, has_denoiser = run.gan.weights("generator").exists(), run.denoiser.weights("denoiser").exists()
    if has_denoiser and not run.gan.path.exists():
        return ("export", run.path, "--out", "exported")  # the denoiser alone
    if not has_gan:
        stage = GAN
    elif not has_denoiser:
        stage = DENOISER
    elif preset.joint and not pairs and _can_join(preset.joint, run):
        stage = JOINT
    else:
        return ("export", run.path, "--out", "exported")
    resume = ["--resume"] if run.stage(stage).path.exists() else []
    return ("train", stage, "--preset", preset_name.value, *images.arguments(), "--out", run.path, *resume)


def _print_best_epoch(stage: StageFolder) -> None:
    """Say on stderr after which epoch the distance to held-out images was smallest, if it was measured."""
    events = [event for event in read_log(stage.log) if HELD_OUT_DISTANCE in event]
    if events:
        best = min(events, key=lambda event: float(event[HELD_OUT_DISTANCE]))
        distance = f"{best[HELD_OUT_DISTANCE]:.4g}"
        print_status(f"smallest distance to held-out images: {distance} after epoch {best['epoch']}")


def _can_join(config: JointConfig, run: RunFolder) -> bool:
    """Whether joint training is not done yet and could start from the run's finished stages."""
    from gan_denoise.study.train.image_shape import scale_config
    from gan_denoise.study.train.joint import check_network_sizes

    if run.joint.final.denoiser.weights("denoiser").exists() or not run.gan.weights("discriminator").exists():
        return False
    shape = run.gan.read_fingerprint().get("image_shape", [1, FASHION_MNIST_SIDE, FASHION_MNIST_SIDE])
    with contextlib.suppress(InputError):
        check_network_sizes(scale_config(with_trained_sizes(config, run), shape[-1]), run)
        return True
    return False


app.command()(photo)
