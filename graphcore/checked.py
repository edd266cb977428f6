"""A workflow that passed validation: what keys, plans and runs work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from graphcore.sockets import SocketType
from graphcore.spec import InputSpec, NodeSpec
from graphcore.workflow import Dialect, Workflow


@dataclass(slots=True, eq=False)
class CheckedLink:
    """A link into an input.

    `source` is the index of the feeding node (a negative one, -1 - n, is node n outside an expansion), `output` the
    index of its output. `position` is the place in the list of an input that gathers, or -1. `deferred` links
    (lazy and raw ones) are not computed before the node runs; of `raw` ones the node gets the link itself. `guard` is
    the input whose type, choices or range the value must still be checked against when it is there, or None.
    """

    input: str
    source: int
    output: int
    position: int
    deferred: bool
    raw: bool
    guard: InputSpec | None = None


@dataclass(slots=True, eq=False)
class CheckedNode:
    """A node whose inputs are known to be right.

    `arguments` holds the plain values of all inputs, defaults included (a list with holes where links feed a list).
    `late` is true when its key depends on values that only a run can tell, `constants` when run-time values stand among
    the arguments.
    """

    id: str
    spec: NodeSpec
    arguments: dict[str, object]
    links: list[CheckedLink]
    late: bool = False
    constants: bool = False


@dataclass(frozen=True, slots=True)
class OutputPlace:
    """Where a value comes from: a node's index and the index of its output."""

    node: int
    output: int


@dataclass(slots=True, kw_only=True, eq=False)
class CheckedGraph:
    """All nodes, each after those that feed it, and where the results are.

    `targets` are the nodes that a run is for, `outputs` the declared outputs. The first `needed` nodes are those
    that the targets depend on.
    """

    nodes: list[CheckedNode]
    needed: int
    index: dict[str, int]
    targets: tuple[int, ...]
    outputs: Mapping[str, OutputPlace]
    workflow: Workflow
    dialect: Dialect
    types: dict[int, tuple[SocketType, ...]] = field(default_factory=dict)
