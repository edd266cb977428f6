"""Nodes that hold, calculate and show plain values, and say what runs."""
