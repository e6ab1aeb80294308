"""List the layers of a network, for the architecture figures."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from gan_denoise.export.run_folder import StageFolder
from gan_denoise.files import write_atomic
from gan_denoise.study.run import ranks

Layers = list[dict[str, Any]]


@torch.no_grad()
def list_layers(network: nn.Module, input_shape: tuple[int, ...], *extra_inputs: Tensor) -> Layers:
    """One entry per layer in the order of execution: `layer`, `output` shape per sample, `parameters`.

    Runs the network once on zeros (1, *input_shape) and on `extra_inputs`, in evaluation mode, on its device.
    """
    device = next(network.parameters()).device
    layers: Layers = [{"layer": "Input", "output": list(input_shape), "parameters": 0}]

    def record(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        count = sum(parameter.numel() for parameter in module.parameters())
        layers.append({"layer": _title(module), "output": list(output.shape[1:]), "parameters": count})

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(record) for module in leaves]
    was_training = network.training
    network.eval()
    network(torch.zeros(1, *input_shape, device=device), *(extra.to(device) for extra in extra_inputs))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return layers


def write_architecture(folder: StageFolder, **networks: Layers) -> None:
    """Write `architecture.json`: the layers of each named network. Of several ranks the first one does."""
    if ranks.is_first():
        write_atomic(folder.architecture, json.dumps(networks, indent=1) + "\n")


def _title(module: nn.Module) -> str:
    """The layer's type and main parameters, as in `Conv2d 4x4, stride 2`."""
    kind = type(module).__name__
    match module:
        case nn.Conv2d() | nn.ConvTranspose2d():
            depthwise = "depthwise " if module.groups > 1 else ""
            return f"{kind} {depthwise}{module.kernel_size[0]}x{module.kernel_size[1]}, stride {module.stride[0]}"
        case nn.Dropout():
            return f"{kind} {module.p:g}"
        case nn.LeakyReLU():
            return f"{kind} {module.negative_slope:g}"
    details = module.extra_repr() if kind == "GaussianNoise" else ""
    return f"{kind} {details}".strip()
