"""A whole sweep: the folder's lock and record, the runs, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gan_denoise.console import print_status, print_warning, tracked
from gan_denoise.data import sources
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.errors import GanDenoiseError, InputError
from gan_denoise.eval.result_table import ResultTable, to_json
from gan_denoise.files import write_atomic
from gan_denoise.locks import exclusive_lock
from gan_denoise.machine import usable_cores
from gan_denoise.study.compare.measure import compare_runs, find_run_dataset
from gan_denoise.study.compare.snapshots import trained_stages
from gan_denoise.study.compare.tables import with_statistics
from gan_denoise.study.sweep.plan import Place, Task, by_kind
from gan_denoise.study.sweep.process import start_process
from gan_denoise.study.sweep.ray_process import start_task
from gan_denoise.study.sweep.workers import run_tasks
from gan_denoise.study.sweep_folder import Outcome, SweepFolder, SweepRecord

THREADS = "threads"  # the option that is recorded although it may be left out of the command


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one `study sweep` does."""

    folder: SweepFolder
    tasks: Sequence[Task]
    places: Sequence[Place]
    options: Mapping[str, Any]  # that all runs of the folder must share, with the threads of a worker
    images: DatasetOptions
    n: int  # images of each generator, for the comparison
    first: str  # the preset or experiment that the others are compared with
    cores: int  # of this machine or of the cluster
    on_cluster: bool = False  # of Ray, which is connected


def recorded_threads(folder: SweepFolder) -> int:
    """The threads of a worker that earlier runs in the folder had; 0 without any."""
    record = folder.read()
    return 0 if record is None else int(record.options.get(THREADS, 0))


def check_options(folder: SweepFolder, options: Mapping[str, Any]) -> None:
    """Raises InputError if the folder holds a sweep with other options."""
    record = folder.read()
    if record is not None:
        names = [name for name in {**record.options, **options} if record.options.get(name) != options.get(name)]
        if names:
            before, now = ({name: values.get(name) for name in names} for values in (record.options, options))
            raise InputError.expected(folder.path, f"a sweep with {now}", before, "choose another --out")


def finished_outcomes(folder: SweepFolder, tasks: Sequence[Task]) -> dict[str, Outcome]:
    """The outcomes of the tasks that an earlier command finished, by the name of the run, whose folder is there."""
    record = folder.read()
    runs = {} if record is None else record.runs
    return {
        task.name: outcome
        for task in tasks
        if (outcome := runs.get(task.name)) is not None
        and (outcome.exit_code, outcome.arguments) == (0, task.arguments)
        and folder.run(task.name).is_dir()
    }


def run_sweep(sweep: Sweep) -> tuple[ResultTable | None, dict[str, Outcome]]:
    """Run the tasks that are not finished, then compare the finished runs; returns the table and the failed runs.

    The table, with its statistics, is also written to the folder; there is none without a run that can be compared.
    Raises LockedError if another sweep uses the folder, InputError if that has other options, Interrupted after a
    signal.
    """
    with exclusive_lock(sweep.folder.path, SweepFolder.LOCK):
        check_options(sweep.folder, sweep.options)
        if sweep.images.name == FASHION_MNIST:
            sources.fetch_fashion_mnist(sweep.images.path, status=lambda text: print_status(f"sweep: {text}"))
        outcomes = _run(sweep)
        failed = {name: outcome for name, outcome in outcomes.items() if outcome.exit_code}
        table = _compare(sweep, failed)
        if table is not None:
            write_atomic(sweep.folder.compare, to_json(table))
    return table, failed


def failure(failed: Mapping[str, Outcome]) -> GanDenoiseError:
    """The error that ends a sweep with failed runs: it names each, and has the exit code of the first."""
    parts = [f"{name} (exit code {outcome.exit_code}): {outcome.error}" for name, outcome in failed.items()]
    runs = f"{len(parts)} run{'s' * (len(parts) > 1)}"
    error = GanDenoiseError(
        f"{runs} failed: {'; '.join(parts)}", "logs/NAME.log has all of it; the same command tries again"
    )
    error.exit_code = next(iter(failed.values())).exit_code
    return error


def _run(sweep: Sweep) -> dict[str, Outcome]:
    """Run the tasks; returns their outcomes by the name of the run, in the order of the tasks."""
    record = sweep.folder.read()
    runs = {} if record is None else dict(record.runs)
    sweep.folder.write(SweepRecord(sweep.options, runs))

    def write(task: Task, outcome: Outcome) -> None:
        runs[task.name] = outcome
        sweep.folder.write(SweepRecord(sweep.options, runs))

    finished = finished_outcomes(sweep.folder, sweep.tasks)
    print_status(f"sweep: {describe_work(sweep, len(finished))}")
    start = start_task if sweep.on_cluster else start_process
    outcomes = run_tasks(sweep.tasks, sweep.places, sweep.folder, finished, write, start)
    return {task.name: outcomes[task.name] for task in sweep.tasks}


def describe_work(sweep: Sweep, finished: int) -> str:
    """How many runs there are, and where they run; warns if the workers have more threads than there are cores."""
    places = list(dict.fromkeys(map(str, sweep.places)))
    threads = sum(place.threads for place in sweep.places)
    if threads > sweep.cores and not sweep.on_cluster:  # where runs wait for processors
        print_warning(
            f"warning: {threads} threads on {sweep.cores} cores; fewer --workers, or --threads, would be faster"
        )
    workers = f"{len(sweep.places)} worker{'s' * (len(sweep.places) > 1)} ({' or '.join(places)} each)"
    return f"{len(sweep.tasks)} runs, {finished} of them finished, {workers}"


def _compare(sweep: Sweep, failed: Mapping[str, Outcome]) -> ResultTable | None:
    """The comparison of the finished runs, those of a kind together, `first` first; None without one."""
    finished = [task for task in by_kind(sweep.tasks, sweep.first) if task.name not in failed]
    folders = [path for task in finished if trained_stages([path := sweep.folder.run(task.name)])]
    if not folders:
        return None
    print_status(f"sweep: comparing {len(folders)} runs")
    threads = min(usable_cores(), sum(place.threads for place in sweep.places))
    dataset = find_run_dataset(folders, path=sweep.images.path)
    table = compare_runs(folders, dataset, sweep.n, 0, threads, track=tracked("comparing"))
    errors = {name: outcome.error for name, outcome in failed.items()}
    return with_statistics(replace(table, skipped={**table.skipped, **errors}))
