"""The plan of a run: which nodes will hit a cache, which will miss and why, what that will cost. Nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from graphcore.cache.entry import Cache
from graphcore.cache.index import PastNode, Timing
from graphcore.checked import CheckedGraph, CheckedNode
from graphcore.files import Files
from graphcore.graph_keys import GraphKeys
from graphcore.keys import Key
from graphcore.remembering import work_of


@runtime_checkable
class Memory(Protocol):
    """What a cache may know of the past: costs, earlier inputs, results that it no longer holds."""

    def timing(self, node_type: str, work: str) -> Timing | None:
        """How long such work of such nodes has taken, or None."""
        ...

    def past(self, node: str, node_type: str) -> PastNode | None:
        """How a node of this id and type looked when it was last run, or None."""
        ...

    def was_seen(self, key: Key) -> bool:
        """Whether there was once a result of this key."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """What will become of one node.

    `action` is "hit" (its result is there), "run", "deferred" (run only if a node asks for it) or "skip"
    (nobody needs it). `reason` says why it is run. `seconds` and `size` (bytes of its result) are estimates, None
    where nothing like it was run before.
    """

    node: str
    type: str
    action: str
    reason: str
    seconds: float | None
    size: int | None

    def as_json(self) -> dict[str, object]:
        """The planned node as plain JSON."""
        return {
            "node": self.node,
            "type": self.type,
            "action": self.action,
            "reason": self.reason,
            "seconds": self.seconds,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan of a run. `seconds` and `peak_bytes` sum up the estimates; `unknown` nodes have none."""

    nodes: tuple[PlannedNode, ...]
    seconds: float
    peak_bytes: int
    hits: int
    runs: int
    unknown: int

    def as_json(self) -> dict[str, object]:
        """The plan as plain JSON."""
        return {
            "nodes": [node.as_json() for node in self.nodes],
            "seconds": self.seconds,
            "peak_bytes": self.peak_bytes,
            "hits": self.hits,
            "runs": self.runs,
            "unknown": self.unknown,
        }


def plan_run(graph: CheckedGraph, files: Files | None, cache: Cache) -> Plan:
    """Plan a run of a checked graph."""
    return _Planner(graph, files, cache).plan()


class _Planner:
    def __init__(self, graph: CheckedGraph, files: Files | None, cache: Cache) -> None:
        self.graph = graph
        self.nodes: Sequence[CheckedNode] = graph.nodes
        self.keys = GraphKeys(graph.nodes, files)
        self.cache = cache
        store = getattr(cache, "store", cache)
        self.memory = store if isinstance(store, Memory) else None
        usable = {
            key
            for node, key in zip(self.nodes, self.keys.keys, strict=True)
            if key is not None and node.spec.uncacheable is None
        }
        self.held = cache.known(usable)

    def plan(self) -> Plan:
        actions = self._actions()
        planned = [self._node(index, actions.get(index, "skip")) for index in range(len(self.nodes))]
        running = [node for node in planned if node.action == "run"]
        return Plan(
            nodes=tuple(planned),
            seconds=sum(node.seconds or 0.0 for node in running),
            peak_bytes=self._peak(planned),
            hits=sum(node.action == "hit" for node in planned),
            runs=len(running),
            unknown=sum(node.seconds is None for node in running),
        )

    def _actions(self) -> dict[int, str]:
        """Walk from the targets up to what is held, as the executor does."""
        actions: dict[int, str] = {}
        stack = [*self.graph.targets, *(place.node for place in self.graph.outputs.values())]
        deferred: list[int] = []
        while stack or deferred:
            asked = "run" if stack else "deferred"
            index = stack.pop() if stack else deferred.pop()
            if index in actions:
                continue
            key = self.keys.keys[index]
            if key in self.held:
                actions[index] = "hit"
                continue
            actions[index] = asked
            for link in self.nodes[index].links:
                (deferred if link.deferred or asked == "deferred" else stack).append(link.source)
        return actions

    def _node(self, index: int, action: str) -> PlannedNode:
        node = self.nodes[index]
        timing = self.memory.timing(node.spec.name, work_of(node)) if self.memory is not None else None
        return PlannedNode(
            node=node.id,
            type=node.spec.name,
            action=action,
            reason="" if action in ("hit", "skip") else self._reason(index),
            seconds=None if timing is None else timing.seconds,
            size=None if timing is None else timing.size,
        )

    def _reason(self, index: int) -> str:
        node, key = self.nodes[index], self.keys.keys[index]
        if node.spec.uncacheable is not None:
            return f"never cached: {node.spec.uncacheable}"
        if key is None:
            return "its key depends on values of the run"
        if self.memory is None:
            return "not in memory"
        if self.memory.was_seen(key):
            return "evicted"
        past = self.memory.past(node.id, node.spec.name)
        if past is None:
            return "never seen"
        if past.version != node.spec.version:
            return f"new version: {past.version} became {node.spec.version}"
        now = self.keys.input_digests(index)
        changed = [name for name in now if past.inputs.get(name) != now[name]]
        changed += [name for name in past.inputs if name not in now]
        return (
            f"new input: {', '.join(changed)}"
            if changed
            else "not kept: quick, shown to people, or made with another device, dtype or version"
        )

    def _peak(self, planned: Sequence[PlannedNode]) -> int:
        """The most bytes of results that are alive at a time, as the executor drops them."""
        readers: dict[int, int] = {}
        for index, item in enumerate(planned):
            if item.action == "run":
                for link in self.nodes[index].links:
                    readers[link.source] = readers.get(link.source, 0) + 1
        alive = peak = 0
        counted: set[int] = set()
        for index, item in enumerate(planned):
            if item.action != "run":
                continue
            for link in self.nodes[index].links:
                if planned[link.source].action == "hit" and link.source not in counted:
                    counted.add(link.source)
                    alive += planned[link.source].size or 0
            alive += item.size or 0
            peak = max(peak, alive)
            for link in self.nodes[index].links:
                readers[link.source] -= 1
                if readers[link.source] == 0:
                    alive -= planned[link.source].size or 0
        return peak
