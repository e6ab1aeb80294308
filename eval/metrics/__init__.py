"""Metrics as pure functions of arrays, one a module."""
