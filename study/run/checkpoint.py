"""Checkpoints: safetensors and a readable JSON, written atomically; the last two are kept.

`step-00000470.json` is written after `step-00000470.safetensors` and holds a hash of both, so a checkpoint exists once
its JSON does. A damaged checkpoint is detected, and the previous one is loaded.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_denoise.errors import InputError
from gan_denoise.files import write_atomic

KEEP_LAST = 2
Modules = dict[str, nn.Module | Optimizer]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `step` steps; `trainer_state` holds the trainer's own numbers, such as sums over the epoch."""

    step: int
    tensors: dict[str, Tensor]
    trainer_state: dict[str, Any]


def save(folder: Path, step: int, modules: Modules, trainer_state: dict[str, Any]) -> None:
    """Write the state of networks and optimizers after `step` steps. Raises OutputError if writing fails."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in _state(module).items()}
    content = save_tensors({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    stem = f"step-{step:08d}"
    write_atomic(folder / f"{stem}.safetensors", content)
    write_atomic(folder / f"{stem}.json", _description(step, trainer_state, content))
    for old in _list_descriptions(folder)[KEEP_LAST:]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest intact checkpoint, or None if there are no checkpoints.

    Warns if a newer one is damaged. Raises InputError if all are damaged.
    """
    descriptions = _list_descriptions(folder)
    for path in descriptions:
        try:
            return _load(path)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            warnings.warn(f"{path}: damaged ({error}); falling back to the previous checkpoint", stacklevel=2)
    if descriptions:
        got = f"{len(descriptions)} damaged"
        raise InputError.expected(folder, "an intact checkpoint", got, "train again with another --out")
    return None


def restore(modules: Modules, tensors: dict[str, Tensor]) -> None:
    """Load saved tensors into networks and optimizers of the same structure."""
    for name, module in modules.items():
        state = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if isinstance(module, nn.Module):
            module.load_state_dict(state)
        else:
            _restore_optimizer(module, state)


def _load(path: Path) -> Checkpoint:
    text = path.read_text()
    description = json.loads(text)
    content = path.with_suffix(".safetensors").read_bytes()
    if text != _description(description["step"], description["trainer_state"], content):
        raise ValueError("hash mismatch")
    return Checkpoint(description["step"], load_tensors(content), description["trainer_state"])


def _description(step: int, trainer_state: dict[str, Any], content: bytes) -> str:
    """The JSON text for the tensors' bytes; a function of its arguments, so that a reader can compare it."""
    description = {"step": step, "trainer_state": trainer_state}
    sha256 = hashlib.sha256(json.dumps(description, allow_nan=False).encode() + content).hexdigest()
    return json.dumps({**description, "sha256": sha256}, indent=1) + "\n"


def _list_descriptions(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.json"), reverse=True)


def _state(module: nn.Module | Optimizer) -> dict[str, Tensor]:
    if isinstance(module, nn.Module):
        return module.state_dict()
    states = module.state_dict()["state"]
    return {f"{index}/{key}": torch.as_tensor(value) for index, state in states.items() for key, value in state.items()}


def _restore_optimizer(optimizer: Optimizer, flat: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        index, name = key.split("/")
        states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
