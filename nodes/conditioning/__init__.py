"""Nodes that make conditionings and say where, when and how strongly they act."""
