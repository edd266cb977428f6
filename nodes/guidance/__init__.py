"""Nodes that change how models are guided and sampled."""
