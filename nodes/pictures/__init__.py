"""Nodes that make, read, change and write pictures and masks."""
