"""The order of a graph: iterative, linear, and with cycles named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_NEW: Final = 0
_OPEN: Final = 1
_DONE: Final = 2


def depth_first_order(sources: Sequence[Sequence[int]], roots: Sequence[int]) -> list[int]:
    """The nodes above `roots`, each after all of its sources.

    One branch is finished before the next is begun, the wider one first, so that few results wait at a time. `sources`
    lists, for each node, the nodes that feed it. On a cycle the nodes of it are left out of the order.
    """
    state = bytearray(len(sources))
    order: list[int] = []
    for root in roots:
        if state[root] != _NEW:
            continue
        stack = [(root, iter(sources[root]))]
        state[root] = _OPEN
        while stack:
            current, remaining = stack[-1]
            for source in remaining:
                if state[source] == _NEW:
                    state[source] = _OPEN
                    stack.append((source, iter(sources[source])))
                    break
            else:
                stack.pop()
                state[current] = _DONE
                order.append(current)
    return order


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
