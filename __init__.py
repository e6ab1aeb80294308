"""gan-denoise: a GAN and a denoiser trained on Fashion-MNIST, fused into one ONNX graph."""

__version__ = "0.1.0"
