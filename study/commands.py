"""The commands train and study: parse, call one function, print."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from gan_denoise.errors import InputError, UsageError
from gan_denoise.eval.commands import AsJson, AsMarkdown, one_format
from gan_denoise.limits import MAX_SEED
from gan_denoise.study.arguments import (
    Batch,
    Data,
    Device,
    DeviceOption,
    DryRun,
    Epochs,
    Out,
    Precision,
    PrecisionOption,
    Preset,
    PresetName,
    Resume,
    Seed,
    TensorBoard,
    Threads,
    need_torch,
    options_of,
    run_folder,
)
from gan_denoise.study.config import PRESETS, Config, config_sha256, to_json
from gan_denoise.study.experiments import EXPERIMENTS

train_app = typer.Typer(no_args_is_help=True)
study_app = typer.Typer(no_args_is_help=True)

SomeConfig = TypeVar("SomeConfig", bound=Config)

ExperimentName = Enum("ExperimentName", {name: name for name in EXPERIMENTS})  # type: ignore[misc]
EXPERIMENT_HELP = "; ".join(f"{name}: {experiment.asks}" for name, experiment in EXPERIMENTS.items())


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
            need_torch()
            from gan_denoise.data import sources
            from gan_denoise.study.trainers import train

            options = options_of(seed, device, threads, precision, resume, tensorboard)
            train(config, sources.load(data), run_folder(out, preset), options)

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
    need_torch()
    from gan_denoise.study.pipeline import run_study

    report = run_study(
        preset.value, run_folder(out, preset), data, options_of(seed, device, threads, precision, True, False)
    )
    typer.echo(f"report: {report}")


@study_app.command("experiment")
def experiment_command(
    name: Annotated[ExperimentName, typer.Argument(metavar="NAME", help=EXPERIMENT_HELP)],
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
    need_torch()
    from gan_denoise.data import sources
    from gan_denoise.study.pipeline import run_experiment

    options = options_of(seed, device, threads, precision, True, False)
    typer.echo(str(run_experiment(name.value, out, sources.load(data), options)))


@study_app.command("compare")
def compare_command(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Runs, with any of the stages.")],
    every_epoch: Annotated[
        bool, typer.Option("--epochs", help="Compare all saved epochs, not the last alone.")
    ] = False,
    on_test: Annotated[bool, typer.Option("--test", help="Against the test images: for published figures.")] = False,
    n: Annotated[int, typer.Option("-n", min=97, max=10_000, help="How many pictures of each generator.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the latents.")] = 0,
    threads: Threads = 0,
    data: Data = None,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Measure trained runs side by side, on held-out training images, and sum up their seeds.

    Example: gan-denoise study compare runs/best runs/experiments/*-0 --epochs --json > compare.json
    """
    need_torch()
    from gan_denoise.data import sources
    from gan_denoise.eval.tables import show
    from gan_denoise.progress import tracked
    from gan_denoise.study.compare import compare_report
    from gan_denoise.study.summary import summary_report

    one_format(as_json, as_markdown)
    report = compare_report(folders, sources.load(data), n, seed, threads, every_epoch, on_test, tracked("comparing"))
    summary = summary_report(report)
    if as_json:
        report = dataclasses.replace(report, settings={**report.settings, "summary": summary.rows})
    show(report, as_json=as_json, as_markdown=as_markdown)
    if not as_json:
        typer.echo()
        show(summary, as_markdown=as_markdown)


@study_app.command("check")
def check_command(
    run: Annotated[Path, typer.Argument(help="A finished study of preset best.")],
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Hold a study's figures against the shipped model's; exit 7 when one is further off than its tolerance.

    Example: gan-denoise study check runs/reproduce
    """
    from gan_denoise.eval.tables import show
    from gan_denoise.study.reproduction import compare, require_agreement

    report = compare(run)
    show(report, as_json=as_json, as_markdown=as_markdown)
    require_agreement(report)


@study_app.command("report")
def report_command(
    run: Annotated[Path, typer.Argument(help="A folder that `study run` made.")],
    data: Data = None,
) -> None:
    """Write report.md and report.html from what the study's folder holds.

    Example: gan-denoise study report runs/quick
    """
    need_torch()
    from gan_denoise.data import sources
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
