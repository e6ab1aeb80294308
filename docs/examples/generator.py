"""Put your own generator before the shipped denoiser: python docs/examples/generator.py own.onnx [IMAGES]."""

import sys
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from gan_denoise.data import sources
from gan_denoise.data.images import to_float
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.runtime import DENOISER, GENERATOR, read_graph


class Gaussian(nn.Module):
    """z (N, 100) to images (N, 1, 28, 28) in [0, 1]: the mean image and 100 principal components, weighted by z."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        pixels = images.flatten(1)  # (images, 784)
        _, lengths, axes = torch.pca_lowrank(pixels, 100)
        self.linear = nn.Linear(100, pixels.shape[1])
        self.linear.weight.data = axes * lengths / len(pixels) ** 0.5
        self.linear.bias.data = pixels.mean(0)

    def forward(self, z: Tensor) -> Tensor:
        pixels: Tensor = self.linear(z).clamp(0, 1)
        return pixels.reshape(-1, 1, 28, 28)


file, count = Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 10_000
torch.manual_seed(0)
generator = Gaussian(torch.from_numpy(to_float(sources.load_fashion_mnist().train.images[:count])))
graph = with_metadata(to_onnx(generator, GENERATOR, (100,)), {"pixel_range": "[0, 1]"})
onnx.save_model(fuse(graph, onnx.load_model_from_string(read_graph(DENOISER, None))), file)
