"""Measurements, each with its limits: `python -m benchmarks`."""
