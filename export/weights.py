"""Trained weights as files: safetensors, and a readable JSON beside it that says what network they belong to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from gan_denoise.errors import InputError
from gan_denoise.files import write_atomic
from gan_denoise.models.denoiser import Denoiser
from gan_denoise.models.features import FeatureNetwork
from gan_denoise.models.gan import Generator

Network = TypeVar("Network", bound=nn.Module)


def save(path: Path, network: nn.Module, arguments: dict[str, Any]) -> None:
    """Write weights to `path` (`*.safetensors`) and what the network is built with to `*.json` beside it."""
    content = save_tensors({key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()})
    write_atomic(path, content)
    description = {"arguments": arguments, "sha256": hashlib.sha256(content).hexdigest()}
    write_atomic(path.with_suffix(".json"), json.dumps(description, indent=1) + "\n")


def load_generator(folder: Path) -> Generator:
    """The generator in `folder`, in evaluation. Raises InputError when it is missing or damaged."""
    arguments, tensors = read(folder / "generator.safetensors")
    return _filled(Generator, arguments, tensors, folder)


def load_denoiser(folder: Path) -> Denoiser:
    """The denoiser in `folder`, in evaluation. Raises InputError when it is missing or damaged."""
    arguments, tensors = read(folder / "denoiser.safetensors")
    return _filled(Denoiser, arguments, tensors, folder)


def load_features(folder: Path) -> FeatureNetwork:
    """The feature network in `folder`, in evaluation. Raises InputError when it is missing or damaged."""
    arguments, tensors = read(folder / "features.safetensors")
    return _filled(FeatureNetwork, arguments, tensors, folder)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a network is built with, and its tensors by name. Raises InputError when they are missing or damaged."""
    try:
        description = json.loads(path.with_suffix(".json").read_text())
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != description["sha256"]:
            raise ValueError("hash mismatch")
        return description["arguments"], load_tensors(content)
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing, trained weights wanted", "finish the training first") from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"{path}: damaged ({error}), trained weights wanted", "train again") from error


def _filled(kind: type[Network], arguments: dict[str, Any], tensors: dict[str, Any], folder: Path) -> Network:
    try:
        network = kind(**arguments)
        network.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{folder}: weights of another network found, a {kind.__name__} wanted", "train again"
        ) from error
    return network.eval()
