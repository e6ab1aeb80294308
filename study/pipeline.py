"""The whole study in order: data, training, export, evaluation, report. Finished stages are skipped."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from gan_denoise import __version__
from gan_denoise.console import print_status, tracked
from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset, split_holdout
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.datasets import load_images
from gan_denoise.errors import InputError
from gan_denoise.eval.bench.tables import bench_report
from gan_denoise.eval.bench.timing import PAUSE_S
from gan_denoise.eval.denoising.filters import TUNED
from gan_denoise.eval.denoising.tables import denoising_report, side_by_side
from gan_denoise.eval.generation.features import IMAGENET_PACKAGE, has_imagenet, list_features, own_accuracy
from gan_denoise.eval.generation.reference import MIN_COMPARED
from gan_denoise.eval.generation.tables import features_report, generation_report, subsets_report
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.result_table import ResultTable, from_json, print_table, to_csv, to_json
from gan_denoise.export import runtime
from gan_denoise.export.convert.bundle import HASHES, convert_generator, export_run
from gan_denoise.export.run_folder import CLASSIFIER, DENOISER, GAN, JOINT, RunFolder
from gan_denoise.files import write_atomic
from gan_denoise.models import efficientnet_lite
from gan_denoise.options import FEATURES, IMAGENET, OWN_CLASSIFIER
from gan_denoise.study.compare.measure import compare_runs
from gan_denoise.study.compare.snapshots import Selection
from gan_denoise.study.config import Preset, RunOptions
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.overrides import changed_fields, run_name
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.build import write_report
from gan_denoise.study.rows import GAUSSIAN
from gan_denoise.study.run.stage import report_interval
from gan_denoise.study.train.dispatch import is_finished, train
from gan_denoise.study.train.image_shape import fit_preset


@dataclasses.dataclass(frozen=True, slots=True)
class EvalBudget:
    """The amount of evaluation: test images to denoise, images to generate, timed calls per batch size."""

    denoised: int = 500
    generated: int = 10_000
    repeats: int = 100
    compared: int = 3_000  # images of each feature network, and of each epoch
    features: tuple[str, ...] = FEATURES
    epochs: tuple[int, ...] = ()  # of the generator, to compare; empty for all
    pause_s: float = dataclasses.field(default=PAUSE_S, repr=False)  # not a part of the hash of the inputs


SMALLEST_STUDY = 264  # images: a twelfth is for testing, and a twelfth of the others is held out
COMPARED_EPOCHS = 10  # of a study of other images than Fashion-MNIST
OWN_DENOISED = 200  # test images of such a study: BM3D and support-vector regression take a second an image
QUICK_FEATURES = tuple(name for name in FEATURES if name != IMAGENET)  # whose network takes minutes
TINY_BUDGET = EvalBudget(denoised=4, generated=100, repeats=3, compared=100, features=QUICK_FEATURES, pause_s=0)
BUDGETS = {
    "smoke": TINY_BUDGET,
    "smoke-best": TINY_BUDGET,
    "quick": EvalBudget(denoised=200, compared=2_000, features=QUICK_FEATURES),
}


def run_study(
    preset_name: str,
    folder: Path,
    images: DatasetOptions,
    options: RunOptions,
    preset: Preset | None = None,
    print_tables: bool = True,
    train_only: bool = False,
    chosen: Collection[str] = (),
) -> Path:
    """Run the stages of the study in `folder` that are not finished; returns the path of the report.

    With `train_only` it ends after the training and returns `folder`; a later call without it does the rest.

    `preset` replaces the configurations of the preset `preset_name`; `chosen` names its fields that the user set. Other
    images than Fashion-MNIST get networks for their size, as many training images in all unless the epochs were chosen,
    and where they have classes a classifier of these. Progress goes to stderr, tables to stdout. Raises what the stages
    raise; finished stages stay finished.
    """
    changes = changed_fields(PRESETS[preset_name], preset or PRESETS[preset_name])
    _print_stage("data")
    dataset = _load(images)
    is_own = not dataset.is_fashion_mnist
    if is_own:
        _check_measurable(dataset)
    preset = fit_preset(preset or PRESETS[preset_name], dataset, chosen)
    budget = _budget(preset_name, dataset, preset)
    _write_study(folder, preset_name, preset, changes, dataset, options)

    classifier = preset.classifier if is_own and len(dataset.classes) > 1 else None
    stages = ((CLASSIFIER, classifier), (GAN, preset.gan), (DENOISER, preset.denoiser), (JOINT, preset.joint))
    for name, config in stages:
        if config is not None and not is_finished(config, folder, options):
            _print_stage(f"train {name}")
            train(config, dataset, folder, options)
    if train_only:
        return folder
    exported = RunFolder(folder).export
    if not _is_exported(RunFolder(folder).final, exported):
        _print_stage("export")
        export_run(folder, exported, force=True)

    for table in _measure(folder, exported, dataset, budget, options):
        if print_tables:
            print_table(side_by_side(table) if table.command == "eval denoising" else table)
    _print_stage("report")
    return write_report(folder, dataset)


def _load(images: DatasetOptions) -> Dataset:
    """The images; Fashion-MNIST is fetched if need be."""
    if images.name == FASHION_MNIST:
        sources.fetch_fashion_mnist(images.path, status=_print_stage)
    return load_images(images)


def _check_measurable(dataset: Dataset) -> None:
    """Raise InputError for too few images to measure a study on, before anything is trained."""
    held_out = split_holdout(dataset.train)[1]
    for what, count in (("test images", len(dataset.test)), ("held-out training images", len(held_out))):
        if count < MIN_COMPARED:
            hint = f"a study needs {SMALLEST_STUDY} images or more; `train`, `export` and `generate` take fewer"
            raise InputError.expected(f"{dataset.source}, {what}", f"{MIN_COMPARED} or more", count, hint)


def _budget(preset_name: str, dataset: Dataset, preset: Preset) -> EvalBudget:
    """The amount of evaluation: other images than Fashion-MNIST have slower features, and may have many epochs."""
    budget = BUDGETS.get(preset_name, EvalBudget())
    if dataset.is_fashion_mnist:
        return budget
    last, every = preset.gan.epochs, report_interval(preset.gan.epochs)
    saved = [*range(every, last, every), last]
    steps = range(1, COMPARED_EPOCHS + 1)
    epochs = tuple(sorted({saved[max(0, round(len(saved) * i / COMPARED_EPOCHS) - 1)] for i in steps}))
    denoised, generated = min(budget.denoised, OWN_DENOISED), min(budget.generated, budget.compared)
    return dataclasses.replace(budget, denoised=denoised, generated=generated, epochs=epochs)


def _epoch_images(dataset: Dataset, budget: EvalBudget) -> int:
    """How many images of each epoch to compare: fewer of data without classes, whose ImageNet features are slow.

    They are more than these features where there are enough real images for a Fréchet distance.
    """
    if dataset.is_fashion_mnist or len(dataset.classes) > 1:
        return budget.compared
    has_distance = len(split_holdout(dataset.train)[1]) > efficientnet_lite.WIDTH
    return min(budget.compared, 1_500 if has_distance else 500)


def run_experiment(name: str, folder: Path, dataset: Dataset, options: RunOptions) -> Path:
    """Train the unfinished stages of an experiment and of its base; returns `folder`/NAME-SEED.

    Raises what the stages raise.
    """
    experiment = EXPERIMENTS[name]
    run = folder / f"{name}-{options.seed}"
    run.mkdir(parents=True, exist_ok=True)
    write_atomic(RunFolder(run).experiment, json.dumps(dataclasses.asdict(experiment), indent=1) + "\n")
    if experiment.base:
        source = run_experiment(experiment.base, folder, dataset, options)
        for stage in (GAN, DENOISER):
            if not (run / stage).exists():
                (run / stage).symlink_to(Path("..") / source.name / stage)
    for config in (experiment.gan, experiment.denoiser, experiment.joint, experiment.classifier):
        if config is not None and not is_finished(config, run, options):
            train(config, dataset, run, options)
    return run


def _measure(
    folder: Path, exported: Path, dataset: Dataset, budget: EvalBudget, options: RunOptions
) -> list[ResultTable]:
    """The tables, read from their files if these were measured on the same inputs."""
    threads = options.threads

    def denoising() -> ResultTable:
        accuracy = own_accuracy(dataset, exported, threads)
        return denoising_report(exported, dataset, budget.denoised, 0, threads, tracked("denoising"), accuracy=accuracy)

    def generation() -> ResultTable:
        return generation_report(exported, dataset, budget.generated, 0, threads, tracked("generating"))

    def subsets() -> ResultTable:
        return subsets_report(exported, dataset, budget.generated, 0, threads, tracked("comparing subsets"))

    def bench() -> ResultTable:
        return bench_report(exported, budget.repeats, threads, track=tracked("timing"), pause_s=budget.pause_s)

    def features() -> ResultTable:
        """Without the weights of the ImageNet features by the others: a finished training is not held up by them."""
        fitting = [name for name in list_features(dataset, exported) if name != IMAGENET or has_imagenet()]
        names = [name for name in fitting if name in (OWN_CLASSIFIER, *budget.features)]
        joint = RunFolder(folder).joint.path.exists()
        table = features_report(
            names,
            exported,
            dataset,
            budget.compared,
            0,
            threads,
            tracked("comparing features"),
            alone=convert_generator(RunFolder(folder).gan.path) if joint else None,
        )
        skipped = {IMAGENET: f"{IMAGENET_PACKAGE}: not installed"} if not has_imagenet() else {}
        skipped = skipped if IMAGENET in budget.features else {}
        return dataclasses.replace(table, skipped={**table.skipped, **skipped})

    def crossover() -> ResultTable:
        selection = Selection(every_epoch=True, epochs=budget.epochs, extra=(GAUSSIAN,))
        n = _epoch_images(dataset, budget)
        return compare_runs([folder], dataset, n, 0, threads, selection, track=tracked("comparing epochs"))

    measures = {
        "denoising": denoising,
        "generation": generation,
        "features": features,
        "subsets": subsets,
        "crossover": crossover,
        "bench": bench,
    }
    inputs = _inputs_sha256(exported, dataset, budget)
    return [_cached(RunFolder(folder).result(name), inputs, measure) for name, measure in measures.items()]


def _cached(path: Path, inputs: str, measure: Callable[[], ResultTable]) -> ResultTable:
    """The table in the file `path` if it was measured on the same inputs, else a new one, which is written there."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        table = from_json(path.read_text())
        if table.settings["inputs_sha256"] == inputs:
            return table
    _print_stage(f"measure {path.stem}")
    table = measure()
    table = dataclasses.replace(table, settings={**table.settings, "inputs_sha256": inputs})
    write_atomic(path.with_suffix(".csv"), to_csv(table))
    write_atomic(path, to_json(table))
    return table


def _inputs_sha256(exported: Path, dataset: Dataset, budget: EvalBudget) -> str:
    """SHA-256 of all that the tables depend on: graphs, features, filter parameters, data, budget, version."""
    files = (exported / HASHES, runtime.SHIPPED / runtime.FEATURES.file, ffd.FILE, TUNED)
    parts = [*(path.read_bytes() for path in files), f"{dataset.sha256} {budget} {__version__}".encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _is_exported(run: RunFolder, exported: Path) -> bool:
    """Whether the export is complete and was made from the run's current weights."""
    weights = (run.gan.weights("generator"), run.denoiser.weights("denoiser"))
    pairs = {path.name: path for path in (file.with_suffix(".json") for file in weights)}
    try:
        hashes = json.loads((exported / HASHES).read_text())
        graphs = all(hashlib.sha256((exported / name).read_bytes()).hexdigest() == hashes[name] for name in hashes)
        return graphs and all((exported / name).read_bytes() == path.read_bytes() for name, path in pairs.items())
    except (OSError, ValueError):
        return False


def _write_study(
    folder: Path, preset_name: str, preset: Preset, changes: dict[str, str], dataset: Dataset, options: RunOptions
) -> None:
    """Write `study.json`: the study's name, preset, seed, changed fields, images and configurations.

    Raises InputError if the folder holds a study of another preset, seed, configuration or data, which stays unchanged.
    """
    path = RunFolder(folder).study
    study: dict[str, Any] = {"preset": preset_name, "seed": options.seed, "changes": changes}
    if not dataset.is_fashion_mnist:
        study["data_sha256"] = dataset.sha256
    if path.exists():
        hint = "choose another --out"
        try:
            content = json.loads(path.read_text())
            existing = {"preset": content["preset"], "seed": content["seed"], "changes": content.get("changes", {})}
            existing |= {"data_sha256": content["data_sha256"]} if "data_sha256" in content else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: damaged", hint) from error
        if existing != study:
            raise InputError.expected(folder, f"a study with {study}", existing, hint)
    content = {"name": run_name(preset_name, changes), **study, "config": dataclasses.asdict(preset)}
    write_atomic(path, json.dumps(content, indent=1) + "\n")


def _print_stage(stage: str) -> None:
    print_status(f"study: {stage}")
