"""Serve the graphs over HTTP by the Open Inference Protocol v2: the extra `serve`, no torch."""
