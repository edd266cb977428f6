"""Nodes that let pictures steer sampling."""
