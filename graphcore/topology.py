"""The order of a graph: iterative, linear, and with cycles named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_NEW: Final = 0
_OPEN: Final = 1
_DONE: Final = 2


class DepthFirstOrder:
    """Nodes in an order in which each stands after all of its sources.

    One branch is finished before the next is begun, so that few results wait at a time. `sources` lists, for each
    node, the nodes that feed it.
    """

    def __init__(self, sources: Sequence[Sequence[int]]) -> None:
        self._sources = sources
        self._state = bytearray(len(sources))
        self.order: list[int] = []
        self.cyclic = False

    def add(self, roots: Iterable[int]) -> None:
        """Append `roots` and what stands above them; sets `cyclic` if nodes feed each other in a circle."""
        sources, state, order = self._sources, self._state, self.order
        for root in roots:
            stack = [root]
            while stack:
                current = stack[-1]
                if state[current] == _NEW:
                    state[current] = _OPEN
                    for source in reversed(sources[current]):
                        if state[source] == _NEW:
                            stack.append(source)
                        elif state[source] == _OPEN:
                            self.cyclic = True
                    continue
                stack.pop()
                if state[current] == _OPEN:
                    state[current] = _DONE
                    order.append(current)


def cycles(sources: Sequence[Sequence[int]]) -> list[list[int]]:
    """One cycle for each knot of nodes that depend on each other, as a walk from source to consumer.

    Tarjan's strongly connected components, by networkx.
    """
    import networkx

    graph: networkx.DiGraph[int] = networkx.DiGraph()
    graph.add_nodes_from(range(len(sources)))
    graph.add_edges_from((source, node) for node, feeding in enumerate(sources) for source in feeding)
    found = []
    for component in networkx.strongly_connected_components(graph):
        start = min(component)
        if len(component) > 1 or graph.has_edge(start, start):
            walk = networkx.find_cycle(graph.subgraph(component), start)
            found.append([edge[0] for edge in walk])
    return sorted(found)
