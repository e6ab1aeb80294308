"""Metrics, benchmarks and result tables of images and exported graphs; only `bench --vs torch` imports torch."""
