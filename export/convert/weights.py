"""Trained weights as files: safetensors, and beside it a readable JSON that names the network and its arguments."""

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
from gan_denoise.export.run_folder import StageFolder
from gan_denoise.files import write_atomic
from gan_denoise.models.autoencoder import Denoiser
from gan_denoise.models.classifier import FeatureNetwork, ResidualFeatureNetwork
from gan_denoise.models.conditional_gan import ConditionalDiscriminator, ConditionalGenerator
from gan_denoise.models.dcgan import Generator
from gan_denoise.models.depthwise_unet import DepthwiseUNet
from gan_denoise.models.dncnn import DnCNN
from gan_denoise.models.mlp_gan import FullyConnectedGenerator
from gan_denoise.models.unet import UNet

Network = TypeVar("Network", bound=nn.Module)


AnyGenerator = Generator | ConditionalGenerator | FullyConnectedGenerator
AnyDenoiser = Denoiser | UNet | DnCNN | DepthwiseUNet
AnyClassifier = FeatureNetwork | ResidualFeatureNetwork
GENERATORS: dict[str, type[AnyGenerator]] = {
    "Generator": Generator,
    "FullyConnectedGenerator": FullyConnectedGenerator,
    "ConditionalGenerator": ConditionalGenerator,
}
DENOISERS: dict[str, type[AnyDenoiser]] = {
    "Denoiser": Denoiser,
    "UNet": UNet,
    "DnCNN": DnCNN,
    "DepthwiseUNet": DepthwiseUNet,
}
DISCRIMINATORS = {"ConditionalDiscriminator": ConditionalDiscriminator}
CLASSIFIERS: dict[str, type[AnyClassifier]] = {
    "FeatureNetwork": FeatureNetwork,
    "ResidualFeatureNetwork": ResidualFeatureNetwork,
}


def save_weights(path: Path, network: nn.Module, arguments: dict[str, Any], half: bool = False) -> None:
    """Write weights to `path` (`*.safetensors`), and class and arguments of the network to `*.json` beside it.

    `half` stores kernels and matrices in float16, for snapshots; biases and batch-norm statistics stay float32.
    """
    tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    if half:
        tensors = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    content = save_tensors(tensors)
    write_atomic(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    description = {"network": type(network).__name__, "arguments": arguments, "sha256": sha256}
    write_atomic(path.with_suffix(".json"), json.dumps(description, indent=1) + "\n")


def load_generator(folder: Path) -> AnyGenerator:
    """Load the generator in `folder`, in evaluation mode. Raises InputError when it is missing or damaged."""
    return _load(StageFolder(folder).weights("generator"), GENERATORS)


def load_denoiser(folder: Path) -> AnyDenoiser:
    """Load the denoiser in `folder`, in evaluation mode. Raises InputError when it is missing or damaged."""
    return _load(StageFolder(folder).weights("denoiser"), DENOISERS)


def load_discriminator(folder: Path) -> ConditionalDiscriminator:
    """Load the discriminator in `folder`, in evaluation mode. Raises InputError when it is missing or damaged."""
    return _load(StageFolder(folder).weights("discriminator"), DISCRIMINATORS)


def load_classifier(folder: Path) -> AnyClassifier:
    """Load the feature network in `folder`, in evaluation mode. Raises InputError when it is missing or damaged."""
    return _load(StageFolder(folder).weights("classifier"), CLASSIFIERS)


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A network's JSON description, and its tensors by name. Raises InputError when they are missing or damaged."""
    try:
        content = path.read_bytes()
        description: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
        if hashlib.sha256(content).hexdigest() != description["sha256"]:
            raise ValueError("hash mismatch")
        return description, load_tensors(content)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not found", "finish the training first") from error
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError.expected(path, "trained weights", f"a damaged file ({error})", "train again") from error


def _load(path: Path, classes: dict[str, type[Network]]) -> Network:
    description, tensors = read_weights(path)
    default = next(iter(classes))  # for files that were written when there was one class
    try:
        network = classes[description.get("network", default)](**description["arguments"])
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        expected = f"weights of a {' or '.join(classes)}"
        raise InputError.expected(path, expected, "those of another network", "train again") from error
    return network.eval()
