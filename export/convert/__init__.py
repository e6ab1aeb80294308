"""PyTorch networks to checked ONNX graphs; needs torch."""
