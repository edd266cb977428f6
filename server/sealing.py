"""Secrets in what is submitted: apart from the request while the run is open, forgotten when it ends.

Nodes may declare inputs as secret (`graphcore.Secret`). A mark stands for the text of such an input wherever else it
would be kept: in the document, the inputs, and what goes into pictures and lists. The marks are replaced again in what
a worker is given.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from graphcore.checked import CheckedGraph
from server.records import RunRequest, Submission

_MARK: Final = re.compile(r"\(secret [0-9a-f]{16}\)")


def is_mark(value: object) -> bool:
    """True for what stands in a secret's place."""
    return isinstance(value, str) and _MARK.fullmatch(value) is not None


def secrets_of(graph: CheckedGraph) -> frozenset[str]:
    """The texts of a graph's secret inputs."""
    found = set[str]()
    for node in graph.nodes:
        for declared in node.spec.inputs:
            value = node.arguments.get(declared.name) if declared.secret else None
            if isinstance(value, str) and value and value != declared.default:
                found.add(value)
    return frozenset(found)


def seal(submission: Submission, texts: frozenset[str]) -> Submission:
    """A submission with a mark in the place of each secret text."""
    if not texts:
        return submission
    marks = {text: f"(secret {secrets.token_hex(8)})" for text in texts}
    return replace(
        submission,
        document=_replaced_in(submission.document, marks),
        inputs=_replaced(submission.inputs, marks),
        metadata=_replaced(submission.metadata, marks),
        extra=_replaced(submission.extra, marks),
        secrets={mark: text for text, mark in marks.items()},
    )


def unseal(request: RunRequest) -> RunRequest:
    """A request with its secrets in their places, for a worker; what goes into pictures keeps the marks."""
    if not request.secrets:
        return request
    return replace(
        request,
        document=_replaced_in(request.document, request.secrets),
        inputs=_replaced(request.inputs, request.secrets),
    )


def _replaced_in(document: bytes, texts: Mapping[str, str]) -> bytes:
    replaced = _replaced(json.loads(document), texts)
    return json.dumps(replaced, separators=(",", ":"), ensure_ascii=False).encode()


def _replaced(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, Mapping):
        return {name: _replaced(held, texts) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replaced(held, texts) for held in value]
    return value
