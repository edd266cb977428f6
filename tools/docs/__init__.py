"""Writes the pages that are generated from the code."""
