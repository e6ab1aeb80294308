"""What a stage's weights depend on: written down before its first step, compared when it goes on."""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gan_denoise import __version__
from gan_denoise.cores import usable_cores
from gan_denoise.data.fashion_mnist import Dataset
from gan_denoise.errors import InputError, OutputError
from gan_denoise.files import write_atomic
from gan_denoise.study.config import Config, config_sha256, to_json
from gan_denoise.study.sizes import described

INEXACT = "inexact"  # where a run's description keeps what was changed on the way


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stage is run. What changes the result's bits (seed, device, threads) belongs to its identity."""

    seed: int = 0
    device: str = "auto"  # auto, cpu or cuda
    threads: int = 0  # 0 means one a usable core
    precision: str = "float32"  # or bfloat16: convolutions in half precision, weights and losses not
    resume: bool = False
    resume_inexact: bool = False  # go on although what belongs to the identity differs
    tensorboard: bool = False


def identity_of(config: Config, dataset: Dataset, options: Options) -> dict[str, Any]:
    """What two runs must share for their weights to be equal bit for bit."""
    return {
        "config": to_json(config),
        "config_sha256": config_sha256(config),
        "data_sha256": dataset.sha256,
        **described(dataset),
        "seed": options.seed,
        "device": pick_device(options.device).type,
        "threads": options.threads or usable_cores(),
        "precision": options.precision,
        "torch": torch.__version__,
    }


def read_identity(folder: Path) -> dict[str, Any]:
    """The identity of the run in a stage's folder. Raises InputError when it is missing or damaged."""
    path = folder / "meta.json"
    try:
        identity: dict[str, Any] = json.loads(path.read_text())["identity"]
        dict(identity["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: missing or damaged, a run's description wanted", "another --out starts anew"
        ) from error
    return identity


def pick_device(name: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda`. Raises InputError for `cuda` without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: no usable CUDA GPU found, one wanted", "--device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_identity(path: Path, identity: dict[str, Any], options: Options) -> dict[str, list[Any]]:
    """What differs from the run described in `path`, each as before and now; describes the run where there is none.

    Raises OutputError when there is one and it is not to go on, InputError when something differs and may not.
    """
    if not path.exists() and not list((path.parent / "checkpoints").glob("step-*.json")):
        circumstances = {
            "version": __version__,
            "commit": _git_commit(),
            "machine": machine_name(),
            "python": platform.python_version(),
        }
        write_atomic(path, json.dumps({"identity": identity, **circumstances}, indent=1) + "\n")
        return {}
    if not (options.resume or options.resume_inexact):
        raise OutputError(f"{path.parent}: holds a run", "--resume goes on with it, another --out starts anew")
    found, wanted = _flat(read_identity(path.parent)), _flat(identity)
    names = dict.fromkeys([*wanted, *found])
    changed = {name: [found.get(name), wanted.get(name)] for name in names if found.get(name) != wanted.get(name)}
    if changed and not options.resume_inexact:
        name, (before, now) = next(iter(changed.items()))
        hint = "give the same options as before, or another --out; --resume-inexact goes on and records it"
        raise InputError(f"{name}: the run in {path.parent} has {before}, {now} was asked for", hint)
    return changed


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity whose configuration's dials stand beside the rest, each under its name."""
    rest = {name: value for name, value in identity.items() if name not in ("config", "config_sha256")}
    return {**identity.get("config", {}), **rest}


def record_changes(folder: Path, identity: dict[str, Any], changed: dict[str, list[Any]], step: int) -> None:
    """Add to the description of the run in a stage's folder what is other from `step` on; its identity is the new one.

    Weights that it had finished with count no more: they are not those of the new identity.
    """
    if changed:
        for weights in (*folder.glob("*.safetensors"), *folder.glob("joined/*/*.safetensors")):
            weights.with_suffix(".json").unlink(missing_ok=True)
        path = folder / "meta.json"
        described = json.loads(path.read_text())
        inexact = [*described.get(INEXACT, []), {"step": step, "changed": changed}]
        write_atomic(path, json.dumps({**described, "identity": identity, INEXACT: inexact}, indent=1) + "\n")


def refuse_inexact(folder: Path) -> None:
    """Raises InputError when the run in a stage's folder went on under other conditions than it began."""
    read_identity(folder)
    if json.loads((folder / "meta.json").read_text()).get(INEXACT):
        found = f"{folder}: a training that --resume-inexact continued found, an exact one wanted"
        raise InputError(found, "another --out starts anew; export takes this one as it is")


def machine_name() -> str:
    """The processor's name and the cores that this process may use."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {usable_cores()} cores"


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return "unknown"
