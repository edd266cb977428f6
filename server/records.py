"""The server's own records: what was submitted, how a run stands, what it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final


class State(Enum):
    """How a run stands: queued, then running, then one of three ends. A lost attempt goes back to queued."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def finished(self) -> bool:
        """Whether a run that stands so has ended."""
        return self not in (State.QUEUED, State.RUNNING)


LOCAL: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A client's key for a submission, and the digest of what it submitted."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A run that somebody asks for; it has been validated.

    `document` is the workflow's JSON as it came. `inputs` are values for its declared inputs, `targets` what to run
    for; `keep_going` lets other branches finish after a failure. Among equal priorities runs go by `number` (None: in
    the order of submission; `front`: before all others). `metadata` goes to the nodes (what a picture's text chunks
    take from the client); `extra` is the submitting protocol's own and is only kept. `secrets` are texts by the marks
    that stand for them (see `server.sealing`). `alias` is a name that the client chose for the run, which need not be
    unique; `client` names who is to be told, where a protocol has such names.
    """

    document: bytes
    inputs: Mapping[str, object] = field(default_factory=dict)
    targets: tuple[str, ...] | None = None
    priority: int = 0
    number: float | None = None
    front: bool = False
    previews: bool = False
    keep_going: bool = True
    metadata: Mapping[str, object] = field(default_factory=dict)
    extra: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    principal: str = LOCAL
    source: str = "api"
    alias: str | None = None
    client: str | None = None
    workflow_name: str | None = None
    idempotency: Idempotency | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """How a run stands. Times are seconds since the epoch; `attempt` counts from 1 once it has begun."""

    seq: int
    id: str
    state: State
    priority: int
    position: float
    attempt: int
    losses: int
    interruptions: int
    principal: str
    source: str
    alias: str | None
    client: str | None
    workflow_name: str | None
    created: float
    started: float | None
    finished: float | None
    error: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run was asked with; `secrets` only while it is open."""

    document: bytes
    inputs: Mapping[str, Any]
    targets: tuple[str, ...] | None
    previews: bool
    keep_going: bool
    metadata: Mapping[str, Any]
    extra: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRecord:
    """A file that a run made. `folder` is output or temp; `id` is what clients ask for it by."""

    id: str
    run: str
    node: str
    position: int
    kind: str
    folder: str
    subfolder: str
    filename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResultRecord:
    """The end of a run, as its worker told it.

    `values` are the declared outputs as plain JSON, `shown` what nodes showed to people, by node, in order.
    """

    seconds: float
    values: Mapping[str, Any]
    shown: Mapping[str, Any]
    errors: Mapping[str, Any]
    facts: Mapping[str, Any]
    ran: int
    cached: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event that is durable. `number` counts from 0 within a run, over all its attempts."""

    run: str
    number: int
    body: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of event ("node-finished")."""
        return str(self.body["event"])


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a node is, with a picture if previews were asked for. Not kept; only the last one counts."""

    run: str
    node: str
    done: int
    total: int
    media_type: str = ""
    preview: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A submission that is durable; `replayed` if an equal one with the same key was accepted before."""

    run: RunRecord
    replayed: bool
