"""Convert torch-fidelity's file of Inception-v3 to a graph of the features that FID is defined on."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gan_denoise.errors import InputError
from gan_denoise.export.convert import parity
from gan_denoise.export.convert.to_onnx import to_onnx
from gan_denoise.export.runtime import Graph, Signature

INCEPTION = Signature("inception.onnx", "image", ("features",))
FEATURES = "2048"  # torch-fidelity's name of the last layer before the classes, and its width


class Inception(nn.Module):
    """torch-fidelity's network for images (N, 3, H, W) in [0, 1] in place of bytes; features (N, 2048)."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.network = FeatureExtractorInceptionV3("inception", [FEATURES], feature_extractor_weights_path=str(weights))

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.network((image.clamp(0, 1) * 255).round().to(torch.uint8))[0]
        return features


def convert_inception(weights: Path, sides: tuple[int, int]) -> bytes:
    """The graph for images of `sides` (H, W), which it resizes to 299x299 as the first FID did.

    Raises InputError if the file holds no such weights, GateError if the graph differs from the network.
    """
    damaged = InputError.expected(weights, "the weights of torch-fidelity's Inception-v3", "another file")
    try:
        tensors = torch.load(weights, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise damaged from error
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "weights.pth")  # torch-fidelity unpickles what it is given, so it gets tensors alone
        torch.save(tensors, plain)
        try:
            network = Inception(plain).eval()
        except (RuntimeError, TypeError, AttributeError) as error:  # other layers
            raise damaged from error
    model = to_onnx(network, INCEPTION, (3, *sides)).SerializeToString(deterministic=True)
    images = torch.rand(max(parity.BATCHES[:3]), 3, *sides, generator=torch.Generator().manual_seed(0)).numpy()
    parity.check_network(Graph(model, INCEPTION, INCEPTION.file), network, images)
    return bytes(model)
