"""Train a GAN and a denoiser on Fashion-MNIST, export both as one ONNX graph, and measure the result."""

from __future__ import annotations

__version__ = "0.1.0"
