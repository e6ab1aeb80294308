"""Metrics as pure functions of arrays, one per module."""
