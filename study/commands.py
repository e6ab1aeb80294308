"""The commands train and study: parse, call one function, print."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gan_denoise.data import sources
from gan_denoise.errors import InputError, UsageError, missing_extra
from gan_denoise.export import runtime
from gan_denoise.study.config import PRESETS, Config, config_sha256, to_json
from gan_denoise.study.experiments import EXPERIMENTS

if TYPE_CHECKING:
    from gan_denoise.study.stage import Options

train_app = typer.Typer(no_args_is_help=True)
study_app = typer.Typer(no_args_is_help=True)

ExperimentName = Enum("ExperimentName", {name: name for name in EXPERIMENTS})  # type: ignore[misc]
PresetName = Enum("PresetName", {name: name for name in PRESETS})  # type: ignore[misc]


class Device(StrEnum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """What convolutions compute in while training."""

    float32 = "float32"
    bfloat16 = "bfloat16"


SomeConfig = TypeVar("SomeConfig", bound=Config)

Preset = Annotated[
    PresetName,
    typer.Option(
        help="smoke, smoke-best: seconds, a test; quick: minutes; paper: the paper's networks and budget; best: ours."
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Default: the preset's.")]
Batch = Annotated[int | None, typer.Option(help="Images a step. Default: the preset's.")]
Seed = Annotated[int, typer.Option(min=0, max=runtime.MAX_SEED, help="Another seed, another run.")]
DeviceOption = Annotated[Device, typer.Option(help="auto takes a GPU when there is one.")]
Threads = Annotated[int, typer.Option(min=0, max=runtime.MAX_THREADS, help="0 means one a usable core.")]
PrecisionOption = Annotated[
    Precision, typer.Option(help="bfloat16 is twice as fast where the processor has it, and slow where not.")
]
Data = Annotated[Path | None, typer.Option(help="A folder that holds Fashion-MNIST. Default: the first one found.")]
Out = Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/PRESET.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier run in the folder stopped.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write event files too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")]


def _add_stage(stage: str, preset_name: str, text: str) -> None:
    """The command `train STAGE`; `text` is its help."""

    def command(
        preset: Preset = PresetName[preset_name],
        epochs: Epochs = None,
        batch: Batch = None,
        seed: Seed = 0,
        device: DeviceOption = Device.auto,
        threads: Threads = 0,
        precision: PrecisionOption = Precision.float32,
        data: Data = None,
        out: Out = None,
        resume: Resume = False,
        tensorboard: TensorBoard = False,
        dry_run: DryRun = False,
    ) -> None:
        config = _resolved(_config_of(preset, stage), epochs, batch)
        if not _printed(config, seed, dry_run):
            _need_torch()
            from gan_denoise.study.trainers import train

            options = _options(seed, device, threads, precision, resume, tensorboard)
            train(config, sources.load(data), _run_folder(out, preset), options)

    train_app.command(stage, help=text)(command)


_add_stage(
    "gan",
    "quick",
    """Train generator and discriminator.

    Example: gan-denoise train gan --preset quick --out runs/mine
    """,
)
_add_stage(
    "denoiser",
    "quick",
    """Train the denoiser.

    Example: gan-denoise train denoiser --preset quick --out runs/mine
    """,
)
_add_stage(
    "join",
    "best",
    """Train a finished generator and a finished denoiser as one system, in the same run.

    Example: gan-denoise train join --preset best --out runs/best
    """,
)
_add_stage(
    "features",
    "paper",
    """Train the classifier that FFD-1 is measured on. The shipped one is what `eval` uses.

    Example: gan-denoise train features --preset paper --out runs/features
    """,
)


@study_app.command("run")
def run_command(
    preset: Preset = PresetName["quick"],
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    threads: Threads = 0,
    precision: PrecisionOption = Precision.float32,
    data: Data = None,
    out: Out = None,
) -> None:
    """Do the whole study in order; what is finished is skipped, what is not goes on.

    Example: gan-denoise study run --preset quick --out runs/quick
    """
    _need_torch()
    from gan_denoise.study.pipeline import run_study

    report = run_study(
        preset.value, _run_folder(out, preset), data, _options(seed, device, threads, precision, True, False)
    )
    typer.echo(f"report: {report}")


@study_app.command("experiment")
def experiment_command(
    name: Annotated[ExperimentName, typer.Argument(help="What to find out; see study/experiments.py.")],
    seed: Seed = 0,
    device: DeviceOption = Device.auto,
    threads: Threads = 0,
    precision: PrecisionOption = Precision.float32,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="The folder of all experiments.")] = Path("runs/experiments"),
) -> None:
    """Train one of the experiments beside the study; what is finished is skipped, what is not goes on.

    Example: gan-denoise study experiment squared --seed 1
    """
    _need_torch()
    from gan_denoise.study.pipeline import run_experiment

    options = _options(seed, device, threads, precision, True, False)
    typer.echo(str(run_experiment(name.value, out, sources.load(data), options)))


@study_app.command("report")
def report_command(
    run: Annotated[Path, typer.Argument(help="A folder that `study run` made.")],
    data: Data = None,
) -> None:
    """Write report.md and report.html from what the study's folder holds.

    Example: gan-denoise study report runs/quick
    """
    _need_torch()
    from gan_denoise.study.report import write_report

    if not run.is_dir():
        raise InputError(f"{run}: no such folder, a study's folder wanted", "gan-denoise study run --out " + str(run))
    typer.echo(f"report: {write_report(run, sources.load(data).test.images)}")


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


def _printed(config: Config, seed: int, dry_run: bool) -> bool:
    """Print the configuration when that is all that was asked for."""
    if dry_run:
        description = {**to_json(config), "seed": seed, "config_sha256": config_sha256(config)}
        typer.echo(json.dumps(description, indent=1))
    return dry_run


def _run_folder(out: Path | None, preset: PresetName) -> Path:
    return out if out is not None else Path("runs") / str(preset.value)


def _options(seed: int, device: Device, threads: int, precision: Precision, resume: bool, tensorboard: bool) -> Options:
    from gan_denoise.study.stage import Options

    return Options(
        seed=seed,
        device=device.value,
        threads=threads,
        precision=precision.value,
        resume=resume,
        tensorboard=tensorboard,
    )


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_extra("torch", "train") from error
