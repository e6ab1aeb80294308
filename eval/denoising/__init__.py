"""The denoising benchmark: networks and classical filters on noisy test images."""
