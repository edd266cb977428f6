"""Nodes that sample, and what sampling needs."""
