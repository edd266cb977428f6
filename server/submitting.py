"""From a request to a submission: the document is read, checked against the rules, and written down as it came."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from server.errors import RequestError
from server.records import Idempotency, Submission
from server.sealing import seal, secrets_of
from server.security.tokens import Principal
from server.services import Services

_LONGEST_KEY: Final = 255


async def document_of(
    workflow: Mapping[str, Any] | str, principal: Principal, services: Services
) -> tuple[bytes, str | None]:
    """A workflow's document, and its name if it is a saved one; raises NotFound."""
    if isinstance(workflow, str):
        saved = await services.workflows.get(workflow, principal.name)
        return saved.document, saved.name
    return json.dumps(workflow, separators=(",", ":"), ensure_ascii=False).encode(), None


async def submission_of(
    *,
    document: bytes,
    name: str | None,
    inputs: Mapping[str, Any],
    targets: list[str] | None,
    priority: int,
    previews: bool,
    webhook: str | None,
    idempotency: Idempotency | None,
    principal: Principal,
    services: Services,
) -> Submission:
    """A submission that has been checked; raises DocumentError or ValidationError with every problem."""
    graph = await services.checker.check(document, inputs=inputs, targets=targets)
    submission = Submission(
        document=document,
        inputs=dict(inputs),
        targets=None if targets is None else tuple(targets),
        priority=priority,
        previews=previews,
        principal=principal.name,
        workflow_name=name,
        idempotency=idempotency,
        webhook=None if webhook is None else services.webhooks.check(webhook),
    )
    return seal(submission, secrets_of(graph))


def idempotency_of(keys: list[str], path: str, body: bytes) -> Idempotency | None:
    """The Idempotency-Key of a request, with the digest of what it asks; raises RequestError for an odd one."""
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise RequestError(
            f"An Idempotency-Key is 1 to {_LONGEST_KEY} printable characters, sent once.",
            code="bad-idempotency-key",
        )
    return Idempotency(key=key, digest=hashlib.sha256(path.encode() + b"\0" + body).digest())
