"""The fingerprint of a stage, all that its weights depend on: written before the first step, compared on resume."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from gan_denoise import __version__
from gan_denoise.data.dataset import Dataset
from gan_denoise.data.dataset_options import FASHION_MNIST
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export.run_folder import IMAGES, StageFolder
from gan_denoise.files import write_atomic
from gan_denoise.machine import machine_name
from gan_denoise.study.config import ADDED_FIELDS, Config, RunOptions, config_sha256, to_json
from gan_denoise.study.run import ranks
from gan_denoise.study.run.device import pick_device

INEXACT = "inexact_resumes"  # key in meta.json: the changes of each --resume-inexact
PROCESSES = "processes"  # key in the fingerprint: how many trained together, if there were several


def run_fingerprint(config: Config, dataset: Dataset, options: RunOptions) -> dict[str, Any]:
    """All that two trainings must share for their weights to be bit-equal."""
    return {
        "config": to_json(config),
        "config_sha256": config_sha256(config),
        "data_sha256": dataset.sha256,
        **describe_images(dataset),
        "seed": options.seed,
        "device": pick_device(options.device).type,
        "threads": ranks.threads(options.threads),
        **({PROCESSES: ranks.count()} if ranks.count() > 1 else {}),
        "precision": options.precision,
        "torch": torch.__version__,
    }


def verify_fingerprint(stage: StageFolder, fingerprint: dict[str, Any], options: RunOptions) -> dict[str, list[Any]]:
    """What changed since the stage's meta.json was written, name to [before, now]; writes meta.json for a new stage.

    Raises OutputError if the stage has been started and `options` do not resume it, InputError if something changed and
    `resume_inexact` is not set.
    """
    if not stage.meta.exists() and not list(stage.checkpoints.glob("step-*.json")):
        environment = {
            "version": __version__,
            "commit": _git_commit(),
            "machine": machine_name(),
            "python": platform.python_version(),
        }
        write_atomic(stage.meta, json.dumps({"fingerprint": fingerprint, **environment}, indent=1) + "\n")
        return {}
    if not (options.resume or options.resume_inexact):
        raise OutputError(f"{stage.path}: holds a training run", "add --resume to continue it, or choose another --out")
    before, now = _flatten(stage.read_fingerprint()), _flatten(fingerprint)
    names = dict.fromkeys([*now, *before])
    changed = {name: [before.get(name), now.get(name)] for name in names if before.get(name) != now.get(name)}
    if changed and not options.resume_inexact:
        name, (old, new) = next(iter(changed.items()))
        hint = "give the options of the first start, or another --out; --resume-inexact resumes and records the change"
        raise InputError(f"{name}: run {stage.path} was started with {old}, got {new}", hint)
    return changed


def _flatten(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint with the fields of its configuration at the top level.

    Without the name and the place of the data: their hash identifies them, and earlier versions did not record them.
    """
    left_out = ("config", "config_sha256", "dataset", IMAGES)
    rest = {name: value for name, value in fingerprint.items() if name not in left_out}
    return {**_with_added(fingerprint.get("config", {})), PROCESSES: 1, **rest}


def _with_added(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the fields that its version did not have, and their values then; nested ones too."""
    filled = {name: _with_added(value) if isinstance(value, dict) else value for name, value in config.items()}
    return {**ADDED_FIELDS, **filled}


def record_changes(stage: StageFolder, fingerprint: dict[str, Any], changed: dict[str, list[Any]], step: int) -> None:
    """Record in the stage's meta.json what changed at `step`, and the new fingerprint.

    Invalidates finished weights, which belong to the old fingerprint.
    """
    if changed:
        for file in (*stage.path.glob("*.safetensors"), *stage.final.path.glob("*/*.safetensors")):
            file.with_suffix(".json").unlink(missing_ok=True)
        meta = stage.read_meta()
        inexact = [*meta.get(INEXACT, []), {"step": step, "changed": changed}]
        write_atomic(stage.meta, json.dumps({**meta, "fingerprint": fingerprint, INEXACT: inexact}, indent=1) + "\n")


def check_exact(stage: StageFolder) -> None:
    """Raises InputError if the stage was resumed with --resume-inexact."""
    if stage.read_meta().get(INEXACT):
        hint = "train again with another --out; `export` accepts this run"
        raise InputError.expected(stage.path, "a training without changes", "one resumed with --resume-inexact", hint)


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


def describe_images(dataset: Dataset) -> dict[str, Any]:
    """The name of the data set, and the shape and the classes of its images, where they differ from Fashion-MNIST's.

    `training_data.from_fingerprint` reads the name, `recorded_images` what was loaded, which is left out for
    Fashion-MNIST: it has one content, wherever it is.
    """
    description: dict[str, Any] = {}
    if dataset.name != FASHION_MNIST:
        description["dataset"] = dataset.name
        if dataset.options is not None:
            description[IMAGES] = dataset.options.to_json()
    if dataset.flip:
        description["flip"] = True
    if dataset.train.shape != (1, SIDE, SIDE):
        description["image_shape"] = list(dataset.train.shape)
    if dataset.classes != CLASSES:
        description["classes"] = list(dataset.classes)
    return description
