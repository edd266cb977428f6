"""Samplers: short generator functions from noise to picture, by family; `registry` knows them by name."""
