"""Nodes that make, change and keep latents."""
