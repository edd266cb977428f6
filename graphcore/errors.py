"""Every error that graphcore raises on purpose, as one tree.

    GraphcoreError                  catch this to catch all of them
    ├── DeclarationError            a node is declared wrongly (told to its author, with file and line)
    ├── DocumentError               the bytes are not a workflow (not JSON, unknown shape, over a limit)
    ├── ValidationError             a workflow has problems; `.problems` lists every one of them
    ├── ExecutionError              a node failed; names the node's path, its inputs in short and the cause
    ├── Cancelled                   the run was cancelled; `.reason` says by what
    ├── ResourceError               something outside is missing or refused (a file, memory, a device)
    │   └── ModelFileError          a model file is absent, damaged, unsafe, or of the wrong family
    ├── InputError                  a node was given values it cannot work with
    └── CacheError                  internal to the cache; a run never ends with it

Each error has a `code` (kebab-case, documented in docs/errors.md), one sentence as its `message`, and a
`location` (a node id, a JSON pointer or a file name; empty where there is none).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a workflow.

    `pointer` is a JSON pointer (RFC 6901) into the document as it was submitted.
    `nearest` is the known name closest to an unknown one, or None.
    """

    code: str
    message: str
    node: str | None = None
    input: str | None = None
    pointer: str = ""
    expected: str | None = None
    got: str | None = None
    nearest: str | None = None

    def as_json(self) -> dict[str, object]:
        """The problem as plain JSON; absent fields are left out."""
        fields = {
            "code": self.code,
            "message": self.message,
            "node": self.node,
            "input": self.input,
            "pointer": self.pointer,
            "expected": self.expected,
            "got": self.got,
            "nearest": self.nearest,
        }
        return {name: value for name, value in fields.items() if value is not None}


class GraphcoreError(Exception):
    """Base of all errors of graphcore."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, location: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        if code is not None:
            self.code = code

    def as_json(self) -> dict[str, object]:
        """The error in the one shape that the command line and the server print."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.location:
            error["location"] = self.location
        return error


class DeclarationError(GraphcoreError):
    """A node's declaration is wrong."""

    code = "declaration"


class DocumentError(GraphcoreError):
    """The input is not a workflow document."""

    code = "document"

    def __init__(self, message: str, *, code: str | None = None, pointer: str = "") -> None:
        super().__init__(message, code=code, location=pointer)
        self.pointer = pointer


class ValidationError(GraphcoreError):
    """A workflow has problems; none of it was run."""

    code = "invalid-workflow"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        first = self.problems[0].message if self.problems else "no details"
        more = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(f"{first}{more}")

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "message": self.message,
            "problems": [problem.as_json() for problem in self.problems],
        }


class ExecutionError(GraphcoreError):
    """A node failed while it ran.

    `path` is the node's id, with the ids of the nodes it was expanded from before it, joined by ':'.
    `inputs` holds its inputs in short. The node's own exception is `__cause__`.
    """

    code = "node-failed"

    def __init__(
        self,
        message: str,
        *,
        path: str,
        node_type: str,
        inputs: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, code=code, location=path)
        self.path = path
        self.node_type = node_type
        self.inputs = dict(inputs or {})

    def as_json(self) -> dict[str, object]:
        return super().as_json() | {"node": self.path, "type": self.node_type, "inputs": self.inputs}


class Cancelled(GraphcoreError):
    """The run was cancelled."""

    code = "cancelled"

    def __init__(self, reason: str = "cancelled by the caller") -> None:
        super().__init__(f"The run was cancelled: {reason}.")
        self.reason = reason


class ResourceError(GraphcoreError):
    """Something outside the workflow is missing or refused."""

    code = "resource"


class ModelFileError(ResourceError):
    """A model file is absent, damaged, unsafe, or of another family than asked for."""

    code = "model-file"


class InputError(GraphcoreError):
    """A node was given values that it cannot work with."""

    code = "node-input"


class CacheError(GraphcoreError):
    """A cache entry cannot be used; the run computes the value instead."""

    code = "cache"


@dataclass(slots=True)
class ProblemList:
    """Collects problems during a pass over a document."""

    items: list[Problem] = field(default_factory=list)

    def add(
        self,
        code: str,
        message: str,
        *,
        node: str | None = None,
        input: str | None = None,
        pointer: str = "",
        expected: str | None = None,
        got: str | None = None,
        nearest: str | None = None,
    ) -> None:
        """Append one problem."""
        self.items.append(
            Problem(
                code=code,
                message=message,
                node=node,
                input=input,
                pointer=pointer,
                expected=expected,
                got=got,
                nearest=nearest,
            )
        )
