"""ONNX: convert networks, check and run graphs, read and write images, package for other tools."""
