"""The whole study in order: data, training, export, measuring, report. A finished stage is not run again."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from gan_denoise import __version__
from gan_denoise.console import print_status, tracked
from gan_denoise.data import sources
from gan_denoise.data.dataset import Dataset
from gan_denoise.errors import InputError
from gan_denoise.eval.bench.tables import bench_report
from gan_denoise.eval.denoising.filters import TUNED
from gan_denoise.eval.denoising.tables import denoising_report, side_by_side
from gan_denoise.eval.generation.tables import generation_report
from gan_denoise.eval.metrics import ffd
from gan_denoise.eval.result_table import ResultTable, from_json, print_table, to_csv, to_json
from gan_denoise.export import runtime
from gan_denoise.export.convert.bundle import HASHES, export_run
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT, RunFolder
from gan_denoise.files import write_atomic
from gan_denoise.study.config import Preset, RunOptions
from gan_denoise.study.experiments import EXPERIMENTS
from gan_denoise.study.presets import PRESETS
from gan_denoise.study.report.build import write_report
from gan_denoise.study.train.dispatch import is_finished, train


@dataclasses.dataclass(frozen=True, slots=True)
class EvalBudget:
    """How much is measured: test images denoised, images generated, calls a batch size in the benchmark."""

    denoised: int = 500
    generated: int = 10_000
    repeats: int = 100


TINY_BUDGET = EvalBudget(denoised=8, generated=200, repeats=3)
BUDGETS = {"smoke": TINY_BUDGET, "smoke-best": TINY_BUDGET, "quick": EvalBudget(denoised=200)}


def run_study(preset_name: str, folder: Path, data: Path | None, options: RunOptions, shown: bool = True) -> Path:
    """Do what is left of the study in `folder`, print its tables on stdout if `shown`; returns the report's path.

    Progress goes to stderr. Raises what the stages raise; then what is finished stays finished.
    """
    preset, effort = PRESETS[preset_name], BUDGETS.get(preset_name, EvalBudget())
    _say("data")
    sources.fetch_fashion_mnist(data, status=_say)
    dataset = sources.load_fashion_mnist(data)
    _describe(folder, preset_name, preset, options)

    for name, config in ((GAN, preset.gan), (DENOISER, preset.denoiser), (JOINT, preset.joint)):
        if config is not None and not is_finished(config, folder, options):
            _say(f"train {name}")
            train(config, dataset, folder, options)
    exported = RunFolder(folder).export
    if not _is_exported(RunFolder(folder).final, exported):
        _say("export")
        export_run(folder, exported, force=True)

    for report in _measured(folder, exported, dataset, effort, options):
        if shown:
            print_table(side_by_side(report) if report.command == "eval denoising" else report)
    _say("report")
    return write_report(folder, dataset.test.images)


def run_experiment(name: str, folder: Path, dataset: Dataset, options: RunOptions) -> Path:
    """Train what is left of an experiment and of the one that it goes on from; returns `folder`/NAME-SEED.

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
    for config in (experiment.gan, experiment.denoiser, experiment.joint):
        if config is not None and not is_finished(config, run, options):
            train(config, dataset, run, options)
    return run


def _measured(
    folder: Path, exported: Path, dataset: Dataset, effort: EvalBudget, options: RunOptions
) -> list[ResultTable]:
    """The three tables, those that an earlier run measured on the same graphs read from its files."""
    threads = options.threads

    def denoising() -> ResultTable:
        return denoising_report(exported, dataset, effort.denoised, 0, threads, tracked("denoising"))

    def generation() -> ResultTable:
        return generation_report(exported, dataset, effort.generated, 0, threads, tracked("generating"))

    def bench() -> ResultTable:
        return bench_report(exported, effort.repeats, threads, track=tracked("timing"))

    measures = {"denoising": denoising, "generation": generation, "bench": bench}
    inputs = _inputs_sha256(exported, dataset, effort)
    return [_once(RunFolder(folder).result(name), inputs, measure) for name, measure in measures.items()]


def _once(path: Path, inputs: str, measure: Callable[[], ResultTable]) -> ResultTable:
    """What `measure` gives, kept in `path`; a kept one is taken if it was measured on the same inputs."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = from_json(path.read_text())
        if kept.settings["inputs_sha256"] == inputs:
            return kept
    _say(f"measure {path.stem}")
    report = measure()
    report = dataclasses.replace(report, settings={**report.settings, "inputs_sha256": inputs})
    write_atomic(path.with_suffix(".csv"), to_csv(report))
    write_atomic(path, to_json(report))
    return report


def _inputs_sha256(exported: Path, dataset: Dataset, effort: EvalBudget) -> str:
    """One hash of all that the tables depend on: graphs, features, filters' parameters, data, effort, version."""
    files = (exported / HASHES, runtime.SHIPPED / runtime.FEATURES.file, ffd.FILE, TUNED)
    parts = [*(path.read_bytes() for path in files), f"{dataset.sha256} {effort} {__version__}".encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _is_exported(run: RunFolder, exported: Path) -> bool:
    """Whether the export is whole and made from the weights that the run has now."""
    weights = (run.gan.weights("generator"), run.denoiser.weights("denoiser"))
    pairs = {path.name: path for path in (file.with_suffix(".json") for file in weights)}
    try:
        hashes = json.loads((exported / HASHES).read_text())
        graphs = all(hashlib.sha256((exported / name).read_bytes()).hexdigest() == hashes[name] for name in hashes)
        return graphs and all((exported / name).read_bytes() == path.read_bytes() for name, path in pairs.items())
    except (OSError, ValueError):
        return False


def _describe(folder: Path, preset_name: str, preset: Preset, options: RunOptions) -> None:
    """Write `study.json`, from which the report knows what was asked for.

    Raises InputError when the folder holds a study of another preset or seed; then it stays as it is.
    """
    path = RunFolder(folder).study
    asked = {"preset": preset_name, "seed": options.seed}
    if path.exists():
        try:
            found = {name: json.loads(path.read_text())[name] for name in asked}
        except (ValueError, KeyError) as error:
            raise InputError(f"{path}: damaged, a study's description wanted", "another --out starts anew") from error
        if found != asked:
            raise InputError(f"{folder}: a study with {found} found, {asked} wanted", "another --out starts anew")
    write_atomic(path, json.dumps({**asked, "config": dataclasses.asdict(preset)}, indent=1) + "\n")


def _say(line: str) -> None:
    print_status(f"study: {line}")
