"""The whole study in order: data, training, export, measuring, report. A finished stage is not run again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import typer

from gan_denoise.data import sources
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.eval.progress import tracked
from gan_denoise.eval.reports import bench_report, denoising_report, generation_report
from gan_denoise.eval.tables import Report, from_json, show, to_json
from gan_denoise.export.bundle import HASHES, export_run
from gan_denoise.files import write_atomic
from gan_denoise.study.config import PRESETS, Config, Preset, config_sha256
from gan_denoise.study.report import write_report
from gan_denoise.study.stage import Options
from gan_denoise.study.train_denoiser import train_denoiser
from gan_denoise.study.train_gan import train_gan


@dataclasses.dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: test images denoised, pictures generated, calls a batch size in the benchmark."""

    denoised: int = 500
    generated: int = 10_000
    repeats: int = 100


EFFORTS = {"smoke": Effort(denoised=8, generated=200, repeats=3)}


def run_study(preset_name: str, folder: Path, data: Path | None, options: Options) -> Path:
    """Do what is left of the study in `folder`, print its tables on stdout; returns the report's path.

    Progress goes to stderr. Raises what the stages raise; then what is finished stays finished.
    """
    preset, effort = PRESETS[preset_name], EFFORTS.get(preset_name, Effort())
    _say("data")
    sources.fetch(data, say=_say)
    dataset = sources.load(data)
    _describe(folder, preset_name, preset, options)

    if _is_left("gan", folder / "gan/generator.json", folder / "gan", preset.gan, options):
        train_gan(preset.gan, dataset, folder, options)
    if _is_left("denoiser", folder / "denoiser/denoiser.json", folder / "denoiser", preset.denoiser, options):
        train_denoiser(preset.denoiser, dataset, folder, options)
    exported = folder / "export"
    if not _is_exported(folder, exported):
        _say("export")
        export_run(folder, exported, force=True)

    for report in _measured(folder, exported, dataset, effort, options):
        show(report)
    _say("report")
    return write_report(folder, dataset.test.images)


def _measured(folder: Path, exported: Path, dataset: Dataset, effort: Effort, options: Options) -> list[Report]:
    """The three tables, those that an earlier run measured on the same graphs read from its files."""
    threads = options.threads

    def denoising() -> Report:
        return denoising_report(exported, dataset, effort.denoised, 0, threads, tracked("denoising"))

    def generation() -> Report:
        return generation_report(exported, dataset, effort.generated, 0, threads, tracked("generating"))

    def bench() -> Report:
        return bench_report(exported, effort.repeats, threads, tracked("timing"))

    measures = {"denoising": denoising, "generation": generation, "bench": bench}
    return [_once(folder / "results" / f"{name}.json", exported, measure) for name, measure in measures.items()]


def _once(path: Path, exported: Path, measure: Callable[[], Report]) -> Report:
    """What `measure` gives, kept in `path`; a kept one is taken if its model is still among the exported graphs."""
    hashes = json.loads((exported / HASHES).read_text()).values()
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = from_json(path.read_text())
        if kept.model_sha256 in hashes:
            return kept
    _say(f"measure {path.stem}")
    report = measure()
    write_atomic(path, to_json(report))
    return report


def _is_left(name: str, weights: Path, stage: Path, config: Config, options: Options) -> bool:
    """Whether a network is still to be trained: it is not when this configuration and seed ended with weights."""
    if weights.exists():
        identity = json.loads((stage / "meta.json").read_text())["identity"]
        if (identity["config_sha256"], identity["seed"]) == (config_sha256(config), options.seed):
            return False
    _say(f"train {name}")
    return True


def _is_exported(folder: Path, exported: Path) -> bool:
    """Whether the export was made from the weights that the run has now."""
    pairs = [(folder / "gan/generator.json", "generator.json"), (folder / "denoiser/denoiser.json", "denoiser.json")]
    if not (exported / HASHES).exists():
        return False
    return all((exported / name).read_bytes() == weights.read_bytes() for weights, name in pairs)


def _describe(folder: Path, preset_name: str, preset: Preset, options: Options) -> None:
    """Write `study.json`, from which the report knows what was asked for."""
    description = {"preset": preset_name, "seed": options.seed, "config": dataclasses.asdict(preset)}
    write_atomic(folder / "study.json", json.dumps(description, indent=1) + "\n")


def _say(line: str) -> None:
    typer.echo(f"study: {line}", err=True)
