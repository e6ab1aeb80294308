"""Everything measured: pure functions on arrays; networks run from their exported ONNX."""
