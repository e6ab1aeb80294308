"""What a stage's weights depend on: written down before its first step, compared when it goes on."""

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
from gan_denoise.data.fashion_mnist import CLASSES, SIDE
from gan_denoise.errors import InputError, OutputError
from gan_denoise.export.run_folder import StageFolder
from gan_denoise.files import write_atomic
from gan_denoise.machine import machine_name, usable_cores
from gan_denoise.study.config import Config, RunOptions, config_sha256, to_json
from gan_denoise.study.run.device import pick_device

INEXACT = "inexact_resumes"  # where a run's description keeps what was changed on the way


def run_fingerprint(config: Config, dataset: Dataset, options: RunOptions) -> dict[str, Any]:
    """What two runs must share for their weights to be equal bit for bit."""
    return {
        "config": to_json(config),
        "config_sha256": config_sha256(config),
        "data_sha256": dataset.sha256,
        **describe_images(dataset),
        "seed": options.seed,
        "device": pick_device(options.device).type,
        "threads": options.threads or usable_cores(),
        "precision": options.precision,
        "torch": torch.__version__,
    }


def verify_fingerprint(stage: StageFolder, fingerprint: dict[str, Any], options: RunOptions) -> dict[str, list[Any]]:
    """What differs from the run described in the stage's meta.json, each as before and now; describes the run where there is none.

    Raises OutputError when there is one and it is not to go on, InputError when something differs and may not.
    """
    if not stage.meta.exists() and not list(stage.checkpoints.glob("step-*.json")):
        circumstances = {
            "version": __version__,
            "commit": _git_commit(),
            "machine": machine_name(),
            "python": platform.python_version(),
        }
        write_atomic(stage.meta, json.dumps({"fingerprint": fingerprint, **circumstances}, indent=1) + "\n")
        return {}
    if not (options.resume or options.resume_inexact):
        raise OutputError(f"{stage.path}: holds a run", "--resume goes on with it, another --out starts anew")
    found, wanted = _flat(stage.read_fingerprint()), _flat(fingerprint)
    names = dict.fromkeys([*wanted, *found])
    changed = {name: [found.get(name), wanted.get(name)] for name in names if found.get(name) != wanted.get(name)}
    if changed and not options.resume_inexact:
        name, (before, now) = next(iter(changed.items()))
        hint = "give the same options as before, or another --out; --resume-inexact goes on and records it"
        raise InputError(f"{name}: the run in {stage.path} has {before}, {now} was asked for", hint)
    return changed


def _flat(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """A fingerprint whose configuration's dials stand beside the rest, each under its name."""
    rest = {name: value for name, value in fingerprint.items() if name not in ("config", "config_sha256")}
    return {**fingerprint.get("config", {}), **rest}


def record_changes(stage: StageFolder, fingerprint: dict[str, Any], changed: dict[str, list[Any]], step: int) -> None:
    """Add to the description of the run in a stage's folder what is other from `step` on; its fingerprint is the new one.

    Weights that it had finished with count no more: they are not those of the new fingerprint.
    """
    if changed:
        for weights in (*stage.path.glob("*.safetensors"), *stage.final.path.glob("*/*.safetensors")):
            weights.with_suffix(".json").unlink(missing_ok=True)
        described = stage.read_meta()
        inexact = [*described.get(INEXACT, []), {"step": step, "changed": changed}]
        write_atomic(
            stage.meta, json.dumps({**described, "fingerprint": fingerprint, INEXACT: inexact}, indent=1) + "\n"
        )


def check_exact(stage: StageFolder) -> None:
    """Raises InputError when the run in a stage's folder went on under other conditions than it began."""
    if stage.read_meta().get(INEXACT):
        found = f"{stage.path}: a training that --resume-inexact continued found, an exact one wanted"
        raise InputError(found, "another --out starts anew; export takes this one as it is")


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"


def describe_images(dataset: Dataset) -> dict[str, list[int] | list[str]]:
    """What the identity of a stage says of images that are not as those of Fashion-MNIST are."""
    known: dict[str, list[int] | list[str]] = {}
    if dataset.train.shape != (1, SIDE, SIDE):
        known["image_shape"] = list(dataset.train.shape)
    if dataset.classes != CLASSES:
        known["classes"] = list(dataset.classes)
    return known
