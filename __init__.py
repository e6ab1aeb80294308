"""gan-denoise: a GAN and a denoiser trained on Fashion-MNIST, fused into one ONNX graph."""

from __future__ import annotations

__version__ = "0.1.0"
