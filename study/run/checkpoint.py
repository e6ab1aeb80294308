"""Checkpoints: safetensors and a readable JSON beside it, written atomically, the last two kept.

`step-00000470.json` holds a hash of itself and of `step-00000470.safetensors` and is written after it, so a checkpoint
exists when its JSON does, and a damaged one is noticed and the one before it taken.
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
    """What was saved after `step` steps; `trainer_state` are the trainer's own numbers, such as sums over the epoch."""

    step: int
    tensors: dict[str, Tensor]
    trainer_state: dict[str, Any]


def save(folder: Path, step: int, modules: Modules, trainer_state: dict[str, Any]) -> None:
    """Write the state of networks and optimizers after `step` steps. Raises OutputError when it cannot."""
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in _state(module).items()}
    content = save_tensors({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    stem = f"step-{step:08d}"
    write_atomic(folder / f"{stem}.safetensors", content)
    write_atomic(folder / f"{stem}.json", _described(step, trainer_state, content))
    for old in _descriptions(folder)[KEEP_LAST:]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None when there is none at all.

    Warns when a newer one is damaged. Raises InputError when there are checkpoints and all are damaged.
    """
    descriptions = _descriptions(folder)
    for description in descriptions:
        try:
            return _load(description)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            warnings.warn(f"{description}: damaged ({error}), the checkpoint before it is taken", stacklevel=2)
    if descriptions:
        raise InputError(f"{folder}: {len(descriptions)} damaged checkpoints found, a whole one wanted", "start anew")
    return None


def restore(modules: Modules, tensors: dict[str, Tensor]) -> None:
    """Put saved tensors back into networks and optimizers of the same structure."""
    for name, module in modules.items():
        state = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
        if isinstance(module, nn.Module):
            module.load_state_dict(state)
        else:
            _restore_optimizer(module, state)


def _load(description: Path) -> Checkpoint:
    text = description.read_text()
    found = json.loads(text)
    content = description.with_suffix(".safetensors").read_bytes()
    if text != _described(found["step"], found["trainer_state"], content):
        raise ValueError("hash mismatch")
    return Checkpoint(found["step"], load_tensors(content), found["trainer_state"])


def _described(step: int, trainer_state: dict[str, Any], content: bytes) -> str:
    """The JSON beside the tensors' bytes, equal in every letter when it is made again of what was read from it."""
    description = {"step": step, "trainer_state": trainer_state}
    sha256 = hashlib.sha256(json.dumps(description, allow_nan=False).encode() + content).hexdigest()
    return json.dumps({**description, "sha256": sha256}, indent=1) + "\n"


def _descriptions(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.json"), reverse=True)


def _state(module: nn.Module | Optimizer) -> dict[str, Tensor]:
    if isinstance(module, nn.Module):
        return module.state_dict()
    states = module.state_dict()["state"]
    return {f"{index}/{key}": torch.as_tensor(value) for index, s in states.items() for key, value in s.items()}


def _restore_optimizer(optimizer: Optimizer, flat: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        index, name = key.split("/")
        states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
