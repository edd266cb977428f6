"""Nodes that read data sets and fine-tune models."""
