"""Nodes that keep unsafe pictures back, and mark pictures as made by a model."""
