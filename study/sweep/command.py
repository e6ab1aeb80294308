"""The command `study sweep`: parse, plan, run, print."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gan_denoise.console import print_result
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.errors import UsageError
from gan_denoise.machine import usable_cores
from gan_denoise.options import (
    MACHINE,
    MAX_THREADS,
    OUTPUT,
    ChannelsOption,
    Crop,
    CropOption,
    DatasetName,
    DatasetOption,
    DatasetPathOption,
    FlipOption,
    FormatOption,
    JsonOption,
    LabelsOption,
    OnOption,
    QuietOption,
    SizeOption,
    TableFormat,
    TestImagesOption,
)
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.options import (
    Device,
    DeviceOption,
    Precision,
    PrecisionOption,
    SetStageOption,
    TrainOnlyOption,
    check_torch,
)
from gan_denoise.study.overrides import changed_fields, run_name, set_preset_fields
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.sweep.plan import MAX_SEEDS, Place, Task, make_places, make_tasks, parse_names
from gan_denoise.study.sweep.process import command_line
from gan_denoise.study.sweep_folder import SweepFolder

if TYPE_CHECKING:
    from gan_denoise.ray_cluster import Cluster
    from gan_denoise.study.sweep.run import Sweep

GPU_BY_RAY = "by Ray"  # in place of its number


def sweep(
    seeds: Annotated[str, typer.Option(metavar="LIST", help="Seeds of each preset, as 0-9 or 0-3,7.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the runs, PRESET-SEED.", rich_help_panel=OUTPUT)
    ],
    presets: Annotated[
        str | None, typer.Option(metavar="LIST", help="Presets, as paper,best; the others are compared with the first.")
    ] = None,
    experiments: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Experiments of `study experiment`; what they start from is trained once."),
    ] = None,
    assignments: SetStageOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_THREADS,
            help="Runs at a time, each in a process of its own.",
            show_default="one for each GPU; 1 without; with --on as many as there are processors for",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            min=0,
            max=MAX_THREADS,
            help="Threads of each worker; 0 = as when the folder was begun, else the cores divided by --workers, or 1 "
            "with --on.",
            rich_help_panel=MACHINE,
        ),
    ] = 0,
    on: OnOption = None,
    device: DeviceOption = Device.auto,
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
    n: Annotated[int, typer.Option("-n", min=97, max=10_000, help="Images of each generator, to compare.")] = 10_000,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would run, and where, and exit.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: JsonOption = False,
    table_format: FormatOption = TableFormat.table,
    quiet: QuietOption = False,
) -> None:
    """Run `study run` for many seeds and presets, several at a time, and compare the runs over their seeds.

    After a signal, a kill or an error the same command resumes; it also takes more seeds and presets. A run whose
    process is lost resumes from its checkpoint. A failed run stops no other; it is named at the end.
    Example: gan-denoise study sweep --seeds 0-9 --presets paper,best --workers 2 --out runs/sweep
    Example: gan-denoise study sweep --seeds 0-3 --presets smoke --train-only -n 100 --out runs/smoke
    Example: gan-denoise study sweep --seeds 0-9 --presets paper --on ray://head:10001 --out /shared/sweep
    Example: gan-denoise study sweep --seeds 0-2 --experiments quarter,joint-l2-only --out runs/ablation
    """
    check_torch()
    from gan_denoise.data.datasets import check_dataset_options
    from gan_denoise.ray_cluster import connect
    from gan_denoise.study.compare.tables import print_comparison
    from gan_denoise.study.sweep.run import Sweep, check_options, failure, recorded_threads, run_sweep

    images = DatasetOptions(dataset.value, data, size, channels, crop.value, flip, test, labels)
    check_dataset_options(images)
    folder = SweepFolder(out)
    common = ("--device", device.value, "--precision", precision.value)
    first, tasks = _plan(seeds, presets, experiments, assignments or [], images, common, train_only)
    connection: AbstractContextManager[Cluster | None] = nullcontext() if on is None else connect(on)
    with connection as cluster:
        cores, places = _find_places(cluster, device, workers, threads or recorded_threads(folder))
        shared = _shared_options(places, device, precision, images)
        plan = Sweep(folder, tasks, places, shared, images, n, first, cores, on_cluster=cluster is not None)
        table, failed = (None, {}) if dry_run else run_sweep(plan)
    if dry_run:
        check_options(folder, plan.options)
        _print_plan(plan, as_json)
    if table is not None:
        print_comparison(table, as_json, table_format, ("study", "compare", out, "--epochs"))
    if failed:
        raise failure(failed)


def _find_places(cluster: Cluster | None, device: Device, workers: int | None, threads: int) -> tuple[int, list[Place]]:
    """The processors of this machine or of the cluster, and the places of the workers; `threads` may be 0."""
    from gan_denoise.study.run.device import usable_gpus

    if cluster is None:
        cores = usable_cores()
        return cores, make_places(cores, usable_gpus(device.value), workers, threads)
    cores, each = sum(cluster.cpus), threads or 1
    gpus = [] if device is Device.cpu else [GPU_BY_RAY] * cluster.gpus
    return cores, make_places(cores, gpus, workers or len(gpus) or cluster.tasks(each), each)


def _plan(
    seeds: str,
    presets: str | None,
    experiments: str | None,
    assignments: list[str],
    images: DatasetOptions,
    common: tuple[str, ...],
    train_only: bool,
) -> tuple[str, list[Task]]:
    """The preset or experiment that is named first, and the runs that the options ask for. Raises UsageError."""
    from gan_denoise.export.generate import parse_seeds
    from gan_denoise.study.train.image_shape import check_preset

    numbers = parse_seeds(seeds, MAX_SEEDS, "several sweeps can share a folder, one after the other")
    names = parse_names(presets, list(PRESETS), "--presets")
    others = parse_names(experiments, list(EXPERIMENTS), "--experiments")
    if not names and not others:
        raise UsageError.expected("--presets", "presets, or --experiments", "neither", "--presets quick")
    if both := [name for name in names if name in others]:
        raise UsageError.expected("--experiments", "other names than --presets has", both[0], "take two folders")
    if others and (assignments or set(images.values()) - {"--data"}):
        hint = "leave out --set and the options of other data, or --experiments"
        raise UsageError.expected("--experiments", "the data and the configuration of the experiments", "others", hint)
    kinds = []
    for name in names:
        configs = set_preset_fields(PRESETS[name], assignments)
        if images.name == FASHION_MNIST and images.size is None:
            check_preset(configs)
        kinds.append((name, run_name(name, changed_fields(PRESETS[name], configs))))
    changes = [word for assignment in assignments for word in ("--set", assignment)]
    arguments = [*changes, *common, *images.arguments(), *(["--train-only"] if train_only else [])]
    tasks = make_tasks(numbers, kinds, others, arguments, [*common, *images.arguments()])
    return [*(kind for _, kind in kinds), *others][0], tasks


def _shared_options(
    places: list[Place], device: Device, precision: Precision, images: DatasetOptions
) -> dict[str, Any]:
    """What all runs of a folder share. Fashion-MNIST is the same wherever it is; its hash is checked."""
    chosen = dataclasses.replace(images, path=None) if images.name == FASHION_MNIST else images
    options = {"threads": places[0].threads, "device": device.value, "precision": precision.value}
    return {**options, "images": chosen.to_json()}


def _print_plan(plan: Sweep, as_json: bool) -> None:
    """Print the runs with their state, the command of each, and the places of the workers."""
    from gan_denoise.study.sweep.run import describe_work, finished_outcomes

    finished = finished_outcomes(plan.folder, plan.tasks)

    def state(task: Task) -> str:
        started = plan.folder.run(task.name).is_dir()
        return "finished" if task.name in finished else "resumes" if started else "new"

    rows = [
        {
            "run": task.name,
            "state": state(task),
            "after": task.after,
            "command": command_line(task, plan.places[0], plan.folder.run(task.name)),
        }
        for task in plan.tasks
    ]
    lines = [describe_work(plan, len(finished)), *(f"{row['run']}  {row['state']}  {row['command']}" for row in rows)]
    places = [{"threads": place.threads, "gpu": place.gpu} for place in plan.places]
    print_result("study sweep", lines, as_json, (), settings=dict(plan.options), workers=places, runs=rows)
