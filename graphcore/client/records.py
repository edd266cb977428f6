"""What the client gives back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

FINISHED: Final = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file that a run made; fetch it with `download`."""

    id: str
    node: str
    kind: str
    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run stands. `values` are its declared outputs, `outputs` its files, `error` why it did not succeed."""

    id: str
    state: str
    values: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()
    error: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the run has ended, however it did."""
        return self.state in FINISHED

    @property
    def succeeded(self) -> bool:
        """Whether the run has ended well."""
        return self.state == "succeeded"

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Run:
        """A run as the server shows it."""
        return cls(
            id=held["id"],
            state=held["state"],
            values=held.get("values") or {},
            outputs=tuple(
                Output(**{name: entry[name] for name in ("id", "node", "kind", "name", "url")})
                for entry in held.get("outputs") or ()
            ),
            error=held.get("error"),
            raw=held,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One event of a run. `number` is None for progress and previews, which are not kept."""

    number: int | None
    kind: str
    data: Mapping[str, Any]


@dataclass(slots=True)
class EventReader:
    """Puts a stream of server-sent events together, a line at a time."""

    last: int = -1
    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, line: str) -> Iterator[RunEvent]:
        """Add a line without its end; yields the event that it completes."""
        if line:
            name, _, value = line.partition(":")
            if name:
                self._fields[name] = value.removeprefix(" ")
            return
        fields, self._fields = self._fields, {}
        if "data" in fields:
            number = int(fields["id"]) if "id" in fields else None
            if number is not None:
                self.last = number
            yield RunEvent(
                number=number, kind=fields.get("event", "message"), data=json.loads(fields["data"])
            )
