"""Exported graphs for other tools, and quantized ones."""
