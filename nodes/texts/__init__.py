"""Nodes that put texts together, cut and search them."""
