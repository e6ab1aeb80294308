"""Denoise image files: which files are read and written, and tiles of large images."""
