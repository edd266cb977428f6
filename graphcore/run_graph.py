"""The graph of a run, which grows as nodes expand: its nodes, their places by id, their keys, and how each stands."""

from __future__ import annotations

from collections.abc import Mapping

from graphcore.checked import CheckedGraph, CheckedNode
from graphcore.expansion import Expansion, Growth, grow
from graphcore.graph_keys import GraphKeys
from graphcore.keys import Key
from graphcore.ledger import Ledger
from graphcore.lists import Expand
from graphcore.run_options import RunHouse


class RunGraph:
    """A checked graph while it is run. `ledger` holds the outputs that are there."""

    def __init__(self, checked: CheckedGraph, house: RunHouse, nonce: bytes) -> None:
        self.checked = checked
        self.nodes: list[CheckedNode] = list(checked.nodes)
        self.ids: dict[str, int] = dict(checked.index)
        self.keys = GraphKeys(self.nodes, house.services.files, nonce, needed=checked.needed)
        self.ledger = Ledger(self.nodes)
        self._house = house
        self._growth = Growth(house.limits)
        self._foreign = bytearray()

    def expand(self, index: int, expand: Expand, key: Key) -> Expansion:
        """Put a sub-graph in the place of node `index`; raises InputError if it is not valid, or beyond the budget."""
        self._growth.allow(index, expand)
        first = len(self.nodes)
        expansion = grow(self, self._house, index, expand, key)
        self._growth.note(index, range(first, len(self.nodes)))
        self.ledger.grow(index)
        self.keys.extend()
        return expansion

    def expands_into_itself(self, index: int, key: Key) -> bool:
        """True if a node that this one was expanded from has the same key."""
        return self._growth.within_itself(index, key, self.keys.keys)

    def lasts(self, index: int) -> bool:
        """True if a node's result may outlive this process: no code of a ComfyUI pack has had a part in it."""
        for place in range(len(self._foreign), len(self.nodes)):
            node = self.nodes[place]
            inside = self._growth.parent(place)
            self._foreign.append(
                node.spec.foreign is not None
                or (inside is not None and self._foreign[inside] > 0)
                or any(self._foreign[link.source] for link in node.links)
            )
        return not self._foreign[index]

    def give(self, outputs: Mapping[int, tuple[object, ...]]) -> None:
        """Take the outputs of these nodes as given: they are not run, and what depends on them is keyed anew."""
        for index, values in outputs.items():
            self.ledger.readers[index] += 1
            self.ledger.done(index, values)
        if not outputs:
            return
        changed = set(outputs)
        for index, node in enumerate(self.nodes):
            if index in outputs:
                self.keys.override(index, outputs[index])
            elif any(link.source in changed for link in node.links):
                changed.add(index)
                if self.keys.keys[index] is not None:
                    self.keys.refresh(index)
