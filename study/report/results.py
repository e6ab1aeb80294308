"""What a study's folder holds, read once, and where its numbers come from; what is missing is empty."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_denoise.errors import InputError
from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.export.run_folder import DENOISER, GAN, JOINT, RunFolder
from gan_denoise.markdown import code, escape_markdown, one_line
from gan_denoise.study.report.training_text import PAPER
from gan_denoise.study.rows import Rows, number
from gan_denoise.study.run.log import read_log

KEPT_RESULTS = Path(__file__).parent / "paper.json"  # the figures of preset `paper`

STAGES = {GAN: "GAN", DENOISER: "denoiser", JOINT: "joint training"}
COMPARE = "compare"  # what `study compare --json` printed
CONTROLS = "controls"  # measured apart from the study: it takes minutes
TABLES = ("denoising", "generation", CONTROLS, "bench")

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """A finished or unfinished study. `kept` has the results of preset `paper`, unless this is one."""

    folder: Path
    preset: str | None
    meta: dict[str, Content]  # by stage: gan, denoiser, join
    layers: dict[str, list[Content]]  # by network: generator, discriminator, denoiser
    logs: dict[str, Rows]  # by stage
    results: dict[str, Content]  # by table: denoising, generation, controls, bench
    compare: Content  # what `study compare --json` printed
    kept: Content
    test_images: NDArray[np.uint8] | None  # (N, 28, 28)

    @property
    def run(self) -> RunFolder:
        """The folder's layout."""
        return RunFolder(self.folder)

    def stages(self) -> dict[str, str]:
        """What the stages of this study are called; the join is none where the study has not begun it."""
        return {stage: name for stage, name in STAGES.items() if stage != JOINT or self.meta[JOINT] or self.logs[JOINT]}

    def config(self, stage: str) -> Content:
        """What a stage was trained with."""
        return dict(self.fingerprint(stage).get("config", {}))

    def fingerprint(self, stage: str) -> Content:
        """What decides a stage's weights: config, seed, data, device, threads."""
        return dict(self.meta[stage].get("fingerprint", {}))

    def changes(self, stage: str) -> Rows:
        """What --resume-inexact changed on the way, by step."""
        return list(self.meta[stage].get("inexact_resumes", []))

    def rows(self, table: str) -> Rows:
        """The rows of one of this study's tables."""
        return list(self.results[table].get("rows", []))

    def compared(self) -> Rows:
        """The rows of the runs that were compared."""
        return list(self.compare.get("rows", []))

    def kept_rows(self, table: str) -> Rows:
        """The rows of the same table of preset `paper`."""
        return list(self.kept.get(table, {}).get("rows", []))

    def measuring_command(self, table: str) -> str:
        """The command line that measures a table of this study again."""
        result = self.results[table]
        command = "bench" if table == "bench" else f"eval {table}"
        options = {"--model": self.run.export, "--threads": result.get("machine", {}).get("threads")}
        settings = result.get("settings", {})
        options |= {"--seed": settings.get("seed"), "--repeats": settings.get("repeats")}
        options |= {"-n": None if table == "bench" or not self.rows(table) else self.rows(table)[0].get("n")}
        return _command(command, options)

    def controls_command(self) -> str:
        """The command line that measures the controls again, for `study report` to show."""
        return f"{self.measuring_command(CONTROLS)} --json > {shlex.quote(str(self.run.result(CONTROLS)))}"

    def comparing_command(self) -> str:
        """The command line that compares the runs again."""
        settings = self.compare.get("settings", {})
        options = {"--epochs": "" if settings.get("epochs") == "all" else None}
        options |= {"--test": "" if "test images" in str(settings.get("reference")) else None}
        counts = [count for row in self.compared() if (count := number(row, "n")) is not None]
        options |= {"-n": f"{max(counts):.0f}" if counts else None, "--seed": settings.get("seed"), "--json": ""}
        results = shlex.quote(str(self.run.result(COMPARE)))
        return one_line(f"{_command('study compare', options)} {settings.get('folders', '')} > {results}")

    def run_command(self) -> str:
        """The command line that runs this study again."""
        fingerprint = self.fingerprint("gan")
        options = {f"--{name}": fingerprint.get(name) for name in ("seed", "device", "threads", "precision")}
        return _command("study run", {"--preset": self.preset, **options, "--out": self.folder})

    def dry_run_command(self, stage: str) -> str:
        """The command line that prints a stage's configuration."""
        return _command(f"train {stage}", {"--preset": self.preset, "--dry-run": ""})

    def report_command(self) -> str:
        """The command line that makes this report again."""
        return _command("study report", {"": self.folder})


def load_study(folder: Path, test_images: NDArray[np.uint8] | None, kept: Path = KEPT_RESULTS) -> Study:
    """The study in `folder`. Raises InputError when a file in it is damaged; a missing one is no error."""
    run = RunFolder(folder)
    described = _read(run.study)
    preset = described.get("preset")
    meta = {stage: _meta(run.stage(stage).meta) for stage in STAGES}
    layers: dict[str, list[Content]] = {}
    for stage in STAGES:
        layers |= dict(_read(run.stage(stage).architecture))
    return Study(
        folder=folder,
        preset=str(preset) if preset else None,
        meta=meta,
        layers=layers,
        logs={stage: _log(run.stage(stage).log) for stage in STAGES},
        results={table: _read(run.result(table)) for table in TABLES},
        compare=_read(run.result(COMPARE)),
        kept={} if preset == PAPER else _read(kept),
        test_images=test_images,
    )


def source_line(study: Study, table: str) -> str:
    """What stands below a table: its command, n, machine and model, and where the kept lines come from."""
    result, rows = study.results[table], study.rows(table)
    count = number(rows[0], "n") if rows else None
    parts = [f"Command: {code(study.measuring_command(table))}", _machine(result.get("machine"))]
    parts += [f"n = {count:,.0f}"] if count is not None else []
    parts += [f"model {code(str(result['model_sha256'])[:12])}"] if result.get("model_sha256") else []
    line = "; ".join(parts) + "."
    if study.kept_rows(table):
        training = dict(study.kept.get("training", {}))
        hours = number(training, "hours")
        spent = "" if hours is None else f" in {hours:.1f} h"
        where = f" on {escape_markdown(training['machine'])}" if training.get("machine") else ""
        line += f" Kept lines: preset `{PAPER}`, trained{spent}{where}; "
        line += f"measured on {_machine(study.kept[table].get('machine'))}."
    return line


def trained_with(study: Study) -> list[str]:
    """A line a stage: seed, device, threads, torch, machine and commit."""
    lines = []
    for stage, name in study.stages().items():
        meta, fingerprint = study.meta[stage], study.fingerprint(stage)
        known = [f"seed {fingerprint.get('seed')}", fingerprint.get("device"), _threads(fingerprint.get("threads"))]
        known += [f"torch {fingerprint.get('torch')}", meta.get("machine"), f"commit {str(meta.get('commit'))[:12]}"]
        about = ", ".join(str(part) for part in known) if fingerprint else f"machine and seed {NOT_MEASURED}"
        lines.append(f"{name}: {escape_markdown(about)}.")
    return lines


def _machine(machine: object) -> str:
    """A machine in a few words, from what the tables' files say about it."""
    if not isinstance(machine, dict):
        return escape_markdown(machine or "an unknown machine")
    parts = [str(machine.get("cpu", "an unknown CPU")), _threads(machine.get("threads"))]
    version = dict(machine.get("versions", {})).get("onnxruntime")
    return escape_markdown(", ".join(parts + ([f"onnxruntime {version}"] if version else [])))


def _threads(count: object) -> str:
    return "1 thread" if count == 1 else f"{'unknown' if count is None else count} threads"


def _log(path: Path) -> Rows:
    try:
        return [event for event in read_log(path) if number(event, "epoch") is not None]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: unreadable ({error}), a training log wanted", "train that stage again") from error


def _meta(path: Path) -> Content:
    content = _read(path)
    fingerprint = content.get("fingerprint", {})
    whole = isinstance(fingerprint, dict) and isinstance(fingerprint.get("config", {}), dict)
    if not whole or not isinstance(content.get("inexact_resumes", []), list):
        raise InputError(f"{path}: damaged, a training's description wanted", "train that stage again")
    return content


def _read(path: Path) -> Content:
    try:
        content = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: unreadable ({error}), a JSON file wanted", "delete it; study run") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} found, a JSON object wanted", "delete it; study run")
    return content


def _command(command: str, options: Mapping[str, object]) -> str:
    given = [
        f"{name} {shlex.quote(str(value)) if value != '' else ''}".strip()
        for name, value in options.items()
        if value is not None
    ]
    return one_line(" ".join(["gan-denoise", command, *given]))
