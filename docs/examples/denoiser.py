"""Put your own denoiser after the shipped generator: python docs/examples/denoiser.py FOLDER [STEPS]."""

import sys
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from gan_denoise.data import sources
from gan_denoise.export.convert.fuse import fuse
from gan_denoise.export.convert.to_onnx import to_onnx, with_metadata
from gan_denoise.export.runtime import DENOISER, FUSED, GENERATOR, read_graph
from gan_denoise.files import write_atomic


class Residual(nn.Sequential):
    """Noisy images (N, 1, H, W) to restored ones in [0, 1]: subtracts the noise that its layers predict."""

    def forward(self, noisy: Tensor) -> Tensor:
        noise: Tensor = super().forward(noisy)
        return (noisy - noise).clamp(0, 1)


folder, steps = Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 300
torch.manual_seed(0)
images = torch.from_numpy(sources.load_fashion_mnist().train.images).unsqueeze(1)
denoiser = Residual(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 5, padding=2))
adam = torch.optim.Adam(denoiser.parameters(), 5e-3)
for _ in range(steps):
    clean = images[torch.randint(len(images), (32,))] / 255  # (32, 1, 28, 28)
    noisy = clean + torch.rand(32, 1, 1, 1) / 2 * torch.randn_like(clean)
    adam.zero_grad()
    (denoiser(noisy) - clean).square().mean().backward()
    adam.step()
graph = with_metadata(to_onnx(denoiser, DENOISER, (1, 28, 28)), {"pixel_range": "[0, 1]"})
fused = fuse(onnx.load_model_from_string(read_graph(GENERATOR, None)), graph)
for signature, model in ((DENOISER, graph), (FUSED, fused)):
    write_atomic(folder / signature.file, model.SerializeToString())
