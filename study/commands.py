"""The commands of `study`: parse, call one function, print."""

from __future__ import annotations

from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gan_denoise.console import print_result
from gan_denoise.data.dataset_options import DatasetOptions
from gan_denoise.errors import InputError, UsageError
from gan_denoise.export.run_folder import RunFolder
from gan_denoise.options import (
    MAX_SEED,
    OUTPUT,
    ChannelsOption,
    Crop,
    CropOption,
    DataOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    FlipOption,
    FormatOption,
    JsonOption,
    LabelsOption,
    MeasuredDatasetOption,
    MeasuredPathOption,
    OtherDataOption,
    QuietOption,
    SeedOption,
    SizeOption,
    TableFormat,
    TestImagesOption,
    ThreadsOption,
)
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.options import (
    Device,
    DeviceOption,
    OutOption,
    Precision,
    PrecisionOption,
    PresetName,
    PresetOption,
    SetStageOption,
    TrainOnlyOption,
    check_torch,
    run_folder,
    run_options,
)
from gan_denoise.study.overrides import changed_fields, set_preset_fields
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.rows import GAUSSIAN, NLM, SAMPLE
from gan_denoise.study.sweep import command as sweep_command
from gan_denoise.study.sweep_folder import expand_sweeps

study_app = typer.Typer(
    no_args_is_help=True,
    help="Run the study, experiments, comparisons and the report.\n\nExample: gan-denoise study run --preset quick",
)


class Extra(StrEnum):
    """Denoisers beside the trained one."""

    gaussian = GAUSSIAN
    nlm = NLM
    sample = SAMPLE


def parse_epochs(text: str | None) -> tuple[int, ...]:
    """The numbers of `--at`; empty without. Raises UsageError for anything else than numbers of 1 or more."""
    parts = [] if text is None else text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError.expected("--at", "epochs such as 1,5,20", text)
    return tuple(sorted({int(part) for part in parts}))


ExperimentName = Enum("ExperimentName", {name: name for name in EXPERIMENTS})  # type: ignore[misc]
EXPERIMENT_HELP = "; ".join(f"{name}: {experiment.description}" for name, experiment in EXPERIMENTS.items())


@study_app.command("run")
def run_command(
    preset: PresetOption = PresetName["quick"],
    assignments: SetStageOption = None,
    seed: SeedOption = 0,
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
    train_only: TrainOnlyOption = False,
    out: OutOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run all stages; finished ones are skipped, interrupted ones resume.

    Example: gan-denoise study run --preset quick --out runs/quick
    Example: gan-denoise study run --dataset folder --data photos --size 64 --channels 3 --out runs/photos
    """
    check_torch()
    from gan_denoise.data.datasets import check_dataset_options
    from gan_denoise.study.pipeline import run_study
    from gan_denoise.study.train.image_shape import check_preset

    original = PRESETS[preset.value]
    configs = set_preset_fields(original, assignments or ())
    images = DatasetOptions(dataset.value, data, size, channels, crop.value, flip, test, labels)
    check_dataset_options(images)
    if dataset == DatasetName.fashion_mnist and size is None:
        check_preset(configs)
    changes = changed_fields(original, configs)
    run, options = run_folder(out, preset, changes), run_options(seed, device, threads, precision, True, False)
    chosen = [assignment.partition("=")[0].strip() for assignment in assignments or ()]
    written = run_study(preset.value, run, images, options, configs, not as_json, train_only, chosen)
    settings = {
        "preset": preset.value,
        "changes": changes,
        "seed": seed,
        "device": device,
        "threads": threads,
        "precision": precision,
    }
    if train_only:
        compare = ("study", "compare", run)
        print_result("study run", [f"trained: {run}"], as_json, compare, settings=settings, written=[run])
        return
    files = [written, written.with_suffix(".md"), RunFolder(run).export, *sorted(RunFolder(run).results.iterdir())]
    then = ("generate", "--model", RunFolder(run).export, "--out", "grid.png")
    print_result("study run", [f"report: {written}"], as_json, then, settings=settings, written=files)


study_app.command("sweep")(sweep_command.sweep)


@study_app.command("experiment")
def experiment_command(
    name: Annotated[ExperimentName, typer.Argument(metavar="NAME", help=EXPERIMENT_HELP)],
    seed: SeedOption = 0,
    device: DeviceOption = Device.auto,
    threads: ThreadsOption = 0,
    precision: PrecisionOption = Precision.float32,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Folder of all experiments.", rich_help_panel=OUTPUT)] = Path(
        "runs/experiments"
    ),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train an experiment; finished stages are skipped, interrupted ones resume.

    Example: gan-denoise study experiment joint-l2-only --seed 1
    """
    check_torch()
    from gan_denoise.data import sources
    from gan_denoise.study.pipeline import run_experiment

    options = run_options(seed, device, threads, precision, True, False)
    run = run_experiment(name.value, out, sources.load_fashion_mnist(data), options)
    settings = {"name": name.value, "seed": seed, "device": device, "threads": threads, "precision": precision}
    print_result("study experiment", [run], as_json, ("study", "compare", run), settings=settings, written=[run])


@study_app.command("compare")
def compare_command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Run folders, with any of the stages, or those of sweeps.")
    ],
    every_epoch: Annotated[
        bool, typer.Option("--epochs", help="Compare all saved epochs instead of the last.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(metavar="EPOCH,...", help="Compare these epochs, such as 1,5,20.", show_default="the last"),
    ] = None,
    extra: Annotated[
        list[Extra] | None,
        typer.Option(
            "--with",
            help="Also denoise by a filter that is tuned on held-out images, or by stochastic sampling; repeatable.",
            show_default="nothing",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Features of the distances, as in `eval generation`.",
            show_default="what fits the images",
        ),
    ] = None,
    on_test: Annotated[bool, typer.Option("--test", help="Use the test images, for published figures.")] = False,
    n: Annotated[int, typer.Option("-n", min=97, max=10_000, help="Images of each generator.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the latents.")] = 0,
    threads: ThreadsOption = 0,
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    other_data: OtherDataOption = False,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare trained runs on held-out training images, with mean and spread over seeds.

    Where runs share seeds, each is compared with the first run, paired by seed.
    Example: gan-denoise study compare runs/best runs/experiments/*-0 --epochs --json > compare.json
    """
    check_torch()
    from gan_denoise.console import tracked
    from gan_denoise.study.compare.measure import compare_runs, find_run_dataset
    from gan_denoise.study.compare.snapshots import Selection
    from gan_denoise.study.compare.tables import print_comparison

    folders, epochs = expand_sweeps(folders), parse_epochs(at)
    selection = Selection(every_epoch or bool(epochs), epochs, tuple(name.value for name in dict.fromkeys(extra or ())))
    report = compare_runs(
        folders,
        find_run_dataset(folders, dataset, data),
        n,
        seed,
        threads,
        selection,
        on_test,
        features,
        tracked("comparing"),
        other_data,
    )
    print_comparison(report, as_json, table_format, next_command=("export", folders[0], "--out", "exported"))


@study_app.command("check")
def check_command(
    run: Annotated[Path, typer.Argument(help="A finished study of preset best.")],
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Compare a study's metrics with the shipped model's; exit 7 outside tolerance.

    Example: gan-denoise study check runs/reproduce
    """
    from gan_denoise.eval.result_table import print_table
    from gan_denoise.study.compare.reproduction import compare_with_shipped, require_agreement

    report = compare_with_shipped(run)
    print_table(report, as_json=as_json, table_format=table_format, next_command=("study", "report", run))
    require_agreement(report)


@study_app.command("report")
def report_command(
    run: Annotated[Path, typer.Argument(help="Folder of a study.")],
    dataset: MeasuredDatasetOption = None,
    data: MeasuredPathOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write report.md and report.html from the study's results.

    From other commands' JSON, in its folder results: crossover.json and crossover_imagenet.json (`study compare
    --epochs`, and with `--features imagenet`), features-SEED.json (`eval generation --features all` of another
    training), controls.json, compare.json.
    Example: gan-denoise study report runs/quick
    """
    check_torch()
    from gan_denoise.study.compare.measure import find_run_dataset
    from gan_denoise.study.report.build import write_report

    if not run.is_dir():
        raise InputError(f"{run}: not found", f"gan-denoise study run --out {run}")
    report = write_report(run, find_run_dataset([run], dataset, data))
    then = ("generate", "--model", RunFolder(run).export, "--out", "grid.png")
    print_result("study report", [f"report: {report}"], as_json, then, written=[report, report.with_suffix(".md")])
