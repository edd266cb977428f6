"""What a node asks for while it runs: the values of lazy inputs, and the nodes that it expands into."""

from __future__ import annotations

from typing import Any

from graphcore.arguments import guarded
from graphcore.checked import CheckedLink, CheckedNode
from graphcore.demand import Demand
from graphcore.failures import BlockedInput
from graphcore.journal import Journal
from graphcore.keys import Key
from graphcore.lists import Blocked, Each, Expand, Lazy, RawLink
from graphcore.run_graph import RunGraph
from graphcore.workflow import Link


class OnDemand:
    """Answers the nodes of one run that ask for more."""

    def __init__(self, graph: RunGraph, demand: Demand, journal: Journal) -> None:
        self._graph = graph
        self._demand = demand
        self._journal = journal

    def defer(self, node: CheckedNode, link: CheckedLink) -> Lazy[Any] | RawLink[Any]:
        """What a node is given for a lazy or raw input."""
        source, foreign = self._graph.nodes[link.source], node.spec.foreign is not None
        if link.raw:
            name = link.output if foreign else source.spec.outputs[link.output].name
            return RawLink(Link(source.id, name))

        async def fetch() -> Any:
            await self._demand.obtain([link.source])
            held = self._graph.ledger.outputs[link.source]
            assert held is not None
            value = held[link.output]
            if isinstance(value, Blocked) and not foreign:
                raise BlockedInput(value)
            if link.guard is None or isinstance(value, Each):
                return value
            return guarded(link.guard, value)

        return Lazy(fetch)

    async def expand(self, index: int, expand: Expand, key: Key) -> tuple[object, ...]:
        """The outputs of node `index` from the sub-graph that takes its place, which is run.

        Raises InputError if the sub-graph is not valid, and UpstreamFailed if one of its nodes has failed.
        """
        ledger = self._graph.ledger
        expansion = self._graph.expand(index, expand, key)
        self._journal.expanded(self._graph.nodes[index], expansion.ids, expand.stands_for)
        read = [*expansion.sources(), *expansion.targets]
        for source in read:
            ledger.readers[source] += 1
        try:
            await self._demand.obtain(read)
            return expansion.outputs(ledger.outputs)
        finally:
            for source in read:
                ledger.release(source)
