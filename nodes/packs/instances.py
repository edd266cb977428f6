"""The objects of packs' nodes: one for each node of a prompt, kept from run to run, as packs keep state in them."""

from __future__ import annotations

from typing import Any, Self

from graphcore.context import Services
from nodes.packs.dynamic_prompt import RunState


class Instances:
    """A service: the node objects of an engine, by node id and class."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Any] = {}
        self._used: set[tuple[str, str]] = set()
        self._state: RunState | None = None

    @classmethod
    def create(cls, services: Services) -> Self:
        return cls()

    def get(self, node_id: str, name: str, cls: Any, state: RunState) -> Any:
        """The object of a node; those that the run before this one did not use are dropped."""
        if state is not self._state:
            if self._state is not None:
                present = {key for key in self._held if state.prompt.has_node(key[0])}
                self._held = {key: node for key, node in self._held.items() if key in self._used | present}
            self._state, self._used = state, set()
        key = (node_id, name)
        self._used.add(key)
        node = self._held.get(key)
        if node is None or not isinstance(node, cls):
            node = self._held[key] = cls()
        return node

    def close(self) -> None:
        """Drop all of them."""
        self._held.clear()
        self._state = None
