"""What a run gives back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from graphcore.errors import GraphcoreError
from graphcore.events import RunState
from graphcore.keys import Key


@dataclass(slots=True, kw_only=True)
class NodeReport:
    """How one node of a run came to its result.

    `start` counts seconds from the run's start; `size` is in bytes. `source` is "run" or "cache".
    """

    node: str
    type: str
    key: Key
    source: str
    start: float
    seconds: float
    size: int
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The end of a run.

    `outputs` holds the declared outputs by name; `nodes` the outputs of the target nodes by node and output name;
    `shown` what nodes showed to people, by node. After a failure they hold what was reached. `error` is the first of
    `errors`, the failures by node.
    """

    run_id: str
    state: RunState
    outputs: Mapping[str, object]
    nodes: Mapping[str, Mapping[str, object]]
    shown: Mapping[str, tuple[Mapping[str, object], ...]]
    errors: Mapping[str, GraphcoreError]
    error: GraphcoreError | None
    seconds: float
    reports: tuple[NodeReport, ...]

    def __getitem__(self, name: str) -> object:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    @property
    def succeeded(self) -> bool:
        """Whether the run ended without an error."""
        return self.state is RunState.SUCCEEDED

    def raise_for_state(self) -> RunResult:
        """Return self if the run succeeded, else raise its error."""
        if self.error is not None:
            raise self.error
        return self
