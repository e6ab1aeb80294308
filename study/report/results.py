"""Read a study's folder once: configurations, logs, result tables, and the commands behind them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gan_denoise.data.dataset import Dataset
from gan_denoise.data.dataset_options import FASHION_MNIST, DatasetOptions
from gan_denoise.data.fashion_mnist import SIDE
from gan_denoise.data.images import ImagesU8, format_shape
from gan_denoise.errors import InputError
from gan_denoise.eval.labels import NOT_MEASURED
from gan_denoise.export.run_folder import DENOISER, GAN, IMAGES, JOINT, RunFolder
from gan_denoise.export.training_data import from_fingerprint
from gan_denoise.markdown import code, escape_markdown, one_line
from gan_denoise.options import FFD_1, FID, IMAGENET, INCEPTION_FILE, PIXELS, SECOND_CLASSIFIER
from gan_denoise.study.report.training_text import PAPER
from gan_denoise.study.rows import Row, Rows, get_number
from gan_denoise.study.run.log import read_log
from gan_denoise.study.sweep_folder import SweepFolder

PAPER_RESULTS = Path(__file__).parent / "paper.json"  # the published results of preset `paper`

STAGES = {GAN: "GAN", DENOISER: "denoiser", JOINT: "joint training"}
COMPARE = "compare"  # the output of `study compare --json`; without it that of `study sweep`, in its folder
CROSSOVER = "crossover"  # the output of `study compare --epochs --json` on the study itself, and its other seeds
CROSSOVER_IMAGENET = "crossover_imagenet"  # the same with `--features imagenet`; `study run` does not measure it
FEATURES = "features"  # the output of `eval generation --features ... --json`; features-SEED of another training
SUBSETS = "subsets"  # the output of `eval subsets --json`
CONTROLS = "controls"  # the output of `eval controls --json`; `study run` does not measure it
TABLES = ("denoising", "generation", FEATURES, SUBSETS, CONTROLS, "bench")

Content = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """A study, finished or not; what is missing is empty.

    `published` has the published results of preset `paper`, unless this study is of that preset, unchanged.
    """

    folder: Path
    preset: str | None
    preset_changes: dict[str, str]  # of `study run --set`: STAGE.FIELD to its value
    meta: dict[str, Content]  # by stage: gan, denoiser, joint
    layers: dict[str, list[Content]]  # by network: generator, discriminator, denoiser
    logs: dict[str, Rows]  # by stage
    results: dict[str, Content]  # by table: denoising, generation, features, subsets, controls, bench
    compare: Content  # the output of `study compare --json`
    crossover: Content  # the same of the study's own epochs
    crossover_imagenet: Content  # the same by ImageNet features
    other_features: list[Content]  # FEATURES of other trainings of the study, with other seeds
    published: Content
    dataset: Dataset | None  # whose test images the figures show

    @property
    def test_images(self) -> ImagesU8 | None:
        """The test images, uint8, that figures show."""
        return None if self.dataset is None else self.dataset.test.images

    @property
    def is_fashion_mnist(self) -> bool:
        """Whether the study is of Fashion-MNIST, as the published results are; so is one without a trained stage."""
        trained = [self.fingerprint(stage) for stage in STAGES if self.fingerprint(stage)]
        return all(from_fingerprint(it).name == FASHION_MNIST and "image_shape" not in it for it in trained)

    @property
    def run(self) -> RunFolder:
        """The layout of the folder."""
        return RunFolder(self.folder)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(C, H, W) of the images."""
        return tuple(self.fingerprint(GAN).get("image_shape", (1, SIDE, SIDE)))

    def stages(self) -> dict[str, str]:
        """The stages and their names; without joint training where the study has not started it."""
        return {stage: name for stage, name in STAGES.items() if stage != JOINT or self.meta[JOINT] or self.logs[JOINT]}

    def config(self, stage: str) -> Content:
        """The configuration of a stage."""
        return dict(self.fingerprint(stage).get("config", {}))

    def fingerprint(self, stage: str) -> Content:
        """What the weights of a stage depend on: config, seed, data, device, threads."""
        return dict(self.meta[stage].get("fingerprint", {}))

    def changes(self, stage: str) -> Rows:
        """What --resume-inexact changed during training, by step."""
        return list(self.meta[stage].get("inexact_resumes", []))

    def rows(self, table: str) -> Rows:
        """The rows of one of this study's tables."""
        return list(self.results[table].get("rows", []))

    def skipped(self, table: str) -> Mapping[str, str]:
        """What was not measured in a table, and why."""
        return dict(self.results[table].get("skipped", {}))

    def compare_rows(self) -> Rows:
        """The rows of `study compare`."""
        return list(self.compare.get("rows", []))

    def crossover_rows(self) -> Rows:
        """The rows of the study's own epochs."""
        return list(self.crossover.get("rows", []))

    def imagenet_rows(self) -> Rows:
        """The rows of the study's own epochs by ImageNet features."""
        return list(self.crossover_imagenet.get("rows", []))

    def published_rows(self, table: str) -> Rows:
        """The published rows of the same table, of preset `paper`."""
        return list(self.published.get(table, {}).get("rows", []))

    def features_by_name(self) -> dict[str, Rows]:
        """The rows of FEATURES by feature network, one for each training, this one's first."""
        groups: dict[str, list[Row]] = {str(row["features"]): [row] for row in self.rows(FEATURES)}
        for content in self.other_features:
            for row in content.get("rows", []):
                groups.setdefault(str(row["features"]), []).append(row)
        return dict(groups)

    def measure_command(self, table: str) -> str:
        """The command line that repeats the measurement of a table."""
        result = self.results[table]
        command = "bench" if table == "bench" else f"eval {'generation' if table == FEATURES else table}"
        options = {"--model": self.run.export, "--threads": result.get("machine", {}).get("threads")}
        features = [INCEPTION_FILE if row["features"] == FID else row["features"] for row in self.rows(FEATURES)]
        is_all = {FFD_1, SECOND_CLASSIFIER, IMAGENET, PIXELS} <= set(features) or not features
        named = [name for name in features if Path(name).suffix] if is_all else features
        names = [("--features", name) for name in [*(["all"] if is_all else []), *named]]
        settings = result.get("settings", {})
        options |= {"--seed": settings.get("seed"), "--repeats": settings.get("repeats")}
        options |= {"-n": None if table == "bench" else _largest_n(self.rows(table))}
        options |= {"--alone": settings.get("alone")}
        return _command(command, [*(names if table == FEATURES else []), *options.items()])

    def controls_command(self) -> str:
        """The command line that measures the controls and writes them where `study report` reads them."""
        return f"{self.measure_command(CONTROLS)} --json > {shlex.quote(str(self.run.result(CONTROLS)))}"

    def compare_command(self) -> str:
        """The command line that repeats the comparison of runs."""
        return self._compare_command(self.compare, COMPARE)

    def crossover_command(self) -> str:
        """The command line that measures the epochs of the study again."""
        return self._compare_command(self.crossover, CROSSOVER)

    def imagenet_command(self) -> str:
        """The command line that measures the epochs of the study again by ImageNet features."""
        return self._compare_command(self.crossover_imagenet, CROSSOVER_IMAGENET, IMAGENET)

    def _compare_command(self, content: Content, table: str, features: str | None = None) -> str:
        settings = content.get("settings", {})
        epochs = str(settings.get("epochs", ""))
        options: list[tuple[str, object]] = [("--epochs", "" if epochs == "all" else None)]
        options += [("--at", epochs if epochs[:1].isdecimal() else None)]
        options += [("--with", name) for name in str(settings.get("with", "")).split(", ") if name]
        options += [
            ("--features", features),
            ("--test", "" if "test images" in str(settings.get("reference")) else None),
        ]
        options += [("-n", _largest_n(content.get("rows", []))), ("--seed", settings.get("seed")), ("--json", "")]
        results = shlex.quote(str(self.run.result(table)))
        return one_line(f"{_command('study compare', options)} {settings.get('folders', '')} > {results}")

    def run_command(self) -> str:
        """The command line that repeats this study."""
        fingerprint = self.fingerprint("gan")
        options = {f"--{name}": fingerprint.get(name) for name in ("seed", "device", "threads", "precision")}
        changes = [("--set", f"{field}={value}") for field, value in self.preset_changes.items()]
        images = self._image_options()
        return _command(
            "study run", [("--preset", self.preset), *changes, *images, *options.items(), ("--out", self.folder)]
        )

    def data_command(self) -> str:
        """The command line that describes the images."""
        return _command("data info", [option for option in self._image_options() if option[0] != "--flip"])

    def _image_options(self) -> list[tuple[str, object]]:
        """The options that select the images of the study; none for Fashion-MNIST."""
        recorded = self.fingerprint("gan").get(IMAGES)
        values = {} if recorded is None else DatasetOptions.from_json(recorded).values()
        return [(option, "" if value is True else value) for option, value in values.items()]

    def dry_run_command(self, stage: str) -> str:
        """The command line that prints a stage's configuration."""
        changes = [
            ("--set", f"{field.removeprefix(f'{stage}.')}={value}")
            for field, value in self.preset_changes.items()
            if field.startswith(f"{stage}.") or stage == JOINT  # which has the fields gan and denoiser
        ]
        return _command(f"train {stage}", [("--preset", self.preset), *changes, ("--dry-run", "")])

    def report_command(self) -> str:
        """The command line that writes this report again."""
        return _command("study report", {"": self.folder})


def describe_reference(content: Content) -> str:
    """How many images of each generator `study compare` took, and what they are compared with."""
    n, reference = _largest_n(content.get("rows", [])), content.get("settings", {}).get("reference", "not recorded")
    start = f"{n:,} images of each generator; reference" if n else "Reference"
    return f"{start}: {escape_markdown(reference)}"


def load_study(folder: Path, dataset: Dataset | None, published: Path = PAPER_RESULTS) -> Study:
    """The study in `folder`; missing files are no error. `dataset` are the images that it was trained on.

    Raises InputError when a file is damaged, or a stage was trained on other data.
    """
    run = RunFolder(folder)
    description = _read_json(run.study)
    preset = description.get("preset")
    meta = {stage: _read_meta(run.stage(stage).meta) for stage in STAGES}
    layers: dict[str, list[Content]] = {}
    for stage in STAGES:
        layers |= dict(_read_json(run.stage(stage).architecture))
    changes = _preset_changes(description.get("changes"))
    if dataset is not None:
        for stage, content in meta.items():
            _check_images(run.stage(stage).path, content, dataset)
    study = Study(
        folder=folder,
        preset=str(preset) if preset else None,
        preset_changes=changes,
        meta=meta,
        layers=layers,
        logs={stage: _read_log(run.stage(stage).log) for stage in STAGES},
        results={table: _read_json(run.result(table)) for table in TABLES},
        compare=_read_json(run.result(COMPARE)) or _sweep_comparison(folder),
        crossover=_read_json(run.result(CROSSOVER)),
        crossover_imagenet=_read_json(run.result(CROSSOVER_IMAGENET)),
        other_features=[_read_json(path) for path in sorted(run.results.glob(f"{FEATURES}-*.json"))],
        published={} if preset == PAPER and not changes else _read_json(published),
        dataset=dataset,
    )
    return study if study.is_fashion_mnist else replace(study, published={})


def _sweep_comparison(folder: Path) -> Content:
    """The comparison that the sweep wrote which made the run; empty for a run of none."""
    run = folder.resolve()
    sweep = SweepFolder(run.parent)
    return _read_json(sweep.compare) if run in sweep.finished_runs() else {}


def _largest_n(rows: Rows) -> int | None:
    """The largest number of images in a row of a table; None without any."""
    return max((int(count) for row in rows if (count := get_number(row, "n")) is not None), default=None)


def source_line(study: Study, table: str) -> str:
    """The source of a table: command, n, machine and model, and where the published lines come from."""
    result, rows = study.results[table], study.rows(table)
    count = _largest_n(rows)
    parts = [f"Command: {code(study.measure_command(table))}", _machine(result.get("machine"))]
    parts += [f"n = {count:,}"] if count is not None else []
    parts += [f"model {code(str(result['model_sha256'])[:12])}"] if result.get("model_sha256") else []
    line = "; ".join(parts) + "."
    if table != SUBSETS and study.published_rows(table):  # whose table has this study's rows alone
        training = dict(study.published.get("training", {}))
        hours = get_number(training, "hours")
        time = "" if hours is None else f" in {hours:.1f} h"
        machine = f" on {escape_markdown(training['machine'])}" if training.get("machine") else ""
        line += f" Published lines: preset `{PAPER}`, trained{time}{machine}; "
        line += f"measured on {_machine(study.published[table].get('machine'))}."
    return line


def training_facts(study: Study) -> list[str]:
    """One line for each stage: seed, device, threads, torch, machine and commit."""
    lines = []
    for stage, name in study.stages().items():
        meta, fingerprint = study.meta[stage], study.fingerprint(stage)
        facts = [f"seed {fingerprint.get('seed')}", fingerprint.get("device"), _threads(fingerprint.get("threads"))]
        facts += [f"torch {fingerprint.get('torch')}", meta.get("machine"), f"commit {str(meta.get('commit'))[:12]}"]
        line = ", ".join(str(fact) for fact in facts) if fingerprint else f"machine and seed {NOT_MEASURED}"
        lines.append(f"{name}: {escape_markdown(line)}.")
    return lines


def _machine(machine: object) -> str:
    """CPU, threads and onnxruntime version of a table's machine."""
    if not isinstance(machine, dict):
        return escape_markdown(machine or "an unknown machine")
    parts = [str(machine.get("cpu", "an unknown CPU")), _threads(machine.get("threads"))]
    version = dict(machine.get("versions", {})).get("onnxruntime")
    return escape_markdown(", ".join(parts + ([f"onnxruntime {version}"] if version else [])))


def _threads(count: object) -> str:
    return "1 thread" if count == 1 else f"{'unknown' if count is None else count} threads"


def _read_log(path: Path) -> Rows:
    try:
        return [event for event in read_log(path) if get_number(event, "epoch") is not None]
    except (OSError, ValueError) as error:
        message = f"an unreadable file ({error})"
        raise InputError.expected(path, "a training log", message, "train that stage again") from error


def _read_meta(path: Path) -> Content:
    content = _read_json(path)
    fingerprint = content.get("fingerprint", {})
    is_whole = isinstance(fingerprint, dict) and isinstance(fingerprint.get("config", {}), dict)
    if not is_whole or not isinstance(content.get("inexact_resumes", []), list):
        raise InputError.expected(path, "the description of a trained stage", "a damaged one", "train that stage again")
    return content


def _check_images(stage: Path, meta: Content, dataset: Dataset) -> None:
    """Raises InputError if a stage was trained on other data than these; an excerpt of the same name is accepted."""
    fingerprint = meta.get("fingerprint")
    data = from_fingerprint(fingerprint) if fingerprint else None
    shape = None if fingerprint is None else tuple(fingerprint.get("image_shape", (1, SIDE, SIDE)))
    if data is not None and (data.name != dataset.name or shape != dataset.train.shape):
        hint = "--dataset and --data choose the images that it was trained on"
        expected = f"a stage trained on {dataset.name}, {format_shape(dataset.train.shape)}"
        raise InputError.expected(stage, expected, f"one trained on {data}, {format_shape(shape or ())}", hint)


def _preset_changes(changes: object) -> dict[str, str]:
    """The changed fields in `study.json`, which a user may have edited; earlier versions wrote none."""
    return {str(field): str(value) for field, value in changes.items()} if isinstance(changes, dict) else {}


def _read_json(path: Path) -> Content:
    hint = "delete it; gan-denoise study run writes it again"
    try:
        content = json.loads(path.read_text()) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError.expected(path, "a JSON file", f"an unreadable one ({error})", hint) from error
    if not isinstance(content, dict):
        raise InputError.expected(path, "a JSON object", type(content).__name__, hint)
    return content


def _command(command: str, options: Mapping[str, object] | Sequence[tuple[str, object]]) -> str:
    items = options.items() if isinstance(options, Mapping) else options
    arguments = [
        f"{name} {shlex.quote(str(value)) if value != '' else ''}".strip() for name, value in items if value is not None
    ]
    return one_line(" ".join(["gan-denoise", command, *arguments]))
