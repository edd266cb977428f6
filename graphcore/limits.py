"""Budgets: nothing that a document or a run asks for is unbounded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The budgets of validation and of a run.

    `pixels` counts width x height x batch of a node. `expanded_nodes` and `expansion_depth` bound what nodes
    may expand into during one run, loops included; `mapped_calls` bounds the calls of one node over a list.
    """

    nodes: int = 200_000
    links: int = 2_000_000
    text_chars: int = 1_000_000
    list_items: int = 100_000
    nesting: int = 64
    pixels: int = 2**28
    steps: int = 10_000
    batch: int = 4096
    expanded_nodes: int = 100_000
    expansion_depth: int = 1_000
    mapped_calls: int = 100_000
