"""Nodes that load, mix, adapt and save models."""
