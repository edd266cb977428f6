"""Nodes for moving pictures and sound."""
