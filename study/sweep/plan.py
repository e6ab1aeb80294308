"""The runs of a sweep in the order of their start, the command of each, and the processors that it gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gan_denoise.errors import UsageError
from gan_denoise.study.experiments import EXPERIMENTS

MAX_SEEDS = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """One run: `arguments` of `gan-denoise`, without those of the place, and the name of a run to finish before."""

    kind: str  # the preset with its changes, or the experiment
    seed: int
    arguments: tuple[str, ...]
    after: str | None = None  # the run whose stages this one starts from

    @property
    def name(self) -> str:
        """The name of the run's folder; `study compare` takes run and seed from it."""
        return f"{self.kind}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker may use: threads, and a GPU by its number or identifier for CUDA_VISIBLE_DEVICES."""

    threads: int
    gpu: str | None = None

    def environment(self) -> dict[str, str]:
        """The variables that keep a process to this place.

        `--threads` sets the threads of torch and onnxruntime; the variables are for numpy, scipy and scikit-learn,
        whose pools would have a thread for each core in each worker.
        """
        pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        return dict.fromkeys(pools, str(self.threads)) | (
            {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        )

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return threads if self.gpu is None else f"{threads}, GPU {self.gpu}"


def parse_names(text: str | None, known: Sequence[str], option: str) -> list[str]:
    """The names that `text` lists, separated by commas. Raises UsageError for unknown names and for one given twice."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError.expected(option, f"names of {', '.join(known)}", name)
    if len(set(names)) < len(names):
        raise UsageError.expected(option, "each name once", text)
    return names


def make_tasks(
    seeds: Sequence[int],
    presets: Sequence[tuple[str, str]],
    experiments: Sequence[str],
    preset_options: Sequence[str],
    experiment_options: Sequence[str],
) -> list[Task]:
    """The runs: all of a seed before those of the next, so that what has finished can be compared.

    `presets` are names and the names with their changes. The bases of experiments come first, each of them once, even
    if they are not among `experiments`: two runs would otherwise train one base.
    """
    tasks: dict[str, Task] = {}
    for seed in seeds:
        for name in dict.fromkeys(base for experiment in experiments for base in _bases(experiment)):
            add = _experiment_task(name, seed, experiment_options)
            tasks[add.name] = add
    for seed in seeds:
        arguments = ("--seed", str(seed), *preset_options)
        for preset, kind in presets:
            task = Task(kind, seed, ("study", "run", "--preset", preset, *arguments))
            tasks[task.name] = task
        for name in experiments:
            task = _experiment_task(name, seed, experiment_options)
            tasks.setdefault(task.name, task)
    return list(tasks.values())


def by_kind(tasks: Sequence[Task], first: str) -> list[Task]:
    """The tasks with those of a kind together, the kind `first` before the others, which keep their order."""
    kinds = list(dict.fromkeys([first, *(task.kind for task in tasks)]))
    return sorted(tasks, key=lambda task: kinds.index(task.kind))


def make_places(cores: int, gpus: Sequence[str], workers: int | None, threads: int) -> list[Place]:
    """A place for each worker: by default one for each GPU, or one; `threads` 0 divides the cores by the workers.

    More workers than GPUs share them in turn.
    """
    count = workers or max(1, len(gpus))
    each = threads or max(1, cores // count)
    return [Place(each, gpus[i % len(gpus)] if gpus else None) for i in range(count)]


def _bases(experiment: str) -> Iterator[str]:
    """The experiments that one starts from, the first of all first."""
    if base := EXPERIMENTS[experiment].base:
        yield from _bases(base)
        yield base


def _experiment_task(name: str, seed: int, options: Sequence[str]) -> Task:
    base = EXPERIMENTS[name].base
    arguments = ("study", "experiment", name, "--seed", str(seed), *options)
    return Task(name, seed, arguments, f"{base}-{seed}" if base else None)
