"""Trained runs side by side."""
