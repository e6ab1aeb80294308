"""Metrics, benchmarks and result tables; torch is imported for `bench --vs torch,compile` only."""
