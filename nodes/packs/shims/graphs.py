"""Sub-graphs that nodes put in their place: `comfy_execution.graph_utils`, and a part of `comfy_execution.graph`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from nodes.packs.host import running

GraphDict = dict[str, dict[str, Any]]


class ExecutionBlocker:
    """An output that stops what depends on it: silently without a message, else with one, which is shown."""

    def __init__(self, message: str | None) -> None:
        self.message = message

    def __repr__(self) -> str:
        return f"ExecutionBlocker({self.message!r})"


def is_link(obj: Any) -> bool:
    """True for a link: a list of a node's id and the place of an output."""
    return (
        isinstance(obj, list)
        and len(obj) == 2
        and isinstance(obj[0], str)
        and isinstance(obj[1], (int, float))
        and not isinstance(obj[1], bool)
    )


@dataclass(slots=True)
class _Prefix:
    root: str
    call: int
    graphs: Iterator[int] = field(default_factory=itertools.count)


_PREFIX: Final[ContextVar[_Prefix | None]] = ContextVar("graphcore_graph_prefix", default=None)
_FREE: Final = itertools.count()


class Node:
    """A node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = dict(inputs)
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to one of its outputs."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Give it an input; None takes the input away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        """What an input holds."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Show it as another node."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node as part of an API prompt."""
        written: dict[str, Any] = {"class_type": self.class_type, "inputs": dict(self.inputs)}
        if self.override_display_id is not None:
            written["override_display_id"] = self.override_display_id
        return written


class GraphBuilder:
    """Builds the graph that a node returns as `expand`; ids are made so that none is there twice in a run."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = self.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """What ids of graphs begin with that are built from here on, in this thread or task."""
        _PREFIX.set(_Prefix(prefix_root, call_index, itertools.count(graph_index)))

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """What the ids of one more graph begin with: `<node>.<call>.<graph>.`."""
        prefix = _PREFIX.get()
        if prefix is None:
            run = running()
            prefix = (
                _Prefix("", 0, _FREE)
                if run is None
                else _Prefix(run.context.node_id, run.list_index or 0, run.graphs)
            )
        number = next(prefix.graphs) if graph_index is None else graph_index
        return f"{root or prefix.root}.{prefix.call if call_index is None else call_index}.{number}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Add a node (or find the one with this id); inputs are values or links."""
        own = id
        if own is None:
            own, self.id_gen = str(self.id_gen), self.id_gen + 1
        full = self.prefix + own
        if full not in self.nodes:
            self.nodes[full] = Node(full, class_type, kwargs)
        return self.nodes[full]

    def lookup_node(self, id: str) -> Node | None:
        """The node with this id, or None."""
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> GraphDict:
        """The graph as an API prompt."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Let all that were linked to an output have a value or another link; None takes those inputs away."""
        old = [self.prefix + node_id, index]
        for node in self.nodes.values():
            for key in [key for key, value in node.inputs.items() if is_link(value) and list(value) == old]:
                node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        """Take a node away."""
        del self.nodes[self.prefix + id]


def add_graph_prefix(graph: GraphDict, outputs: Any, prefix: str) -> tuple[GraphDict, tuple[Any, ...]]:
    """A graph and its outputs with `prefix` before every id."""
    added = {
        prefix + node_id: {
            **info,
            "inputs": {
                name: [prefix + value[0], value[1]] if is_link(value) else value
                for name, value in info.get("inputs", {}).items()
            },
        }
        for node_id, info in graph.items()
    }
    linked = tuple([prefix + output[0], output[1]] if is_link(output) else output for output in outputs)
    return added, linked


class NodeInputError(Exception):
    """An input is not as its node wants it."""


class DependencyCycleError(Exception):
    """Nodes wait for each other."""


def get_input_info(
    class_def: Any, input_name: str, valid_inputs: Mapping[str, Any] | None = None
) -> tuple[Any, str | None, dict[str, Any] | None]:
    """An input's type, the group it stands in ("required", "optional", "hidden") and its options; Nones without it."""
    groups = class_def.INPUT_TYPES() if valid_inputs is None else valid_inputs
    for group in ("required", "optional", "hidden"):
        declared = groups.get(group, {}).get(input_name)
        if declared is not None:
            if isinstance(declared, str):
                return declared, group, {}
            return declared[0], group, declared[1] if len(declared) > 1 else {}
    return None, None, None


def validate_node_input(received_type: Any, input_type: Any, strict: bool = False) -> bool:
    """True if an output of one type may feed an input of another.

    Types may be several, between commas, and `*` is any. They fit if they share one; `strict` wants all that may come.
    """
    if received_type == input_type or "*" in (received_type, input_type):
        return True
    if not isinstance(received_type, str) or not isinstance(input_type, str):
        return False
    received = {kind.strip() for kind in received_type.split(",")}
    wanted = {kind.strip() for kind in input_type.split(",")}
    if "*" in received | wanted:
        return True
    return received <= wanted if strict else bool(received & wanted)
