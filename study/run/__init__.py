"""A training run on disk: stages, checkpoints, metadata, logs, progress."""
