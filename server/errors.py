"""Errors of the server, each with the HTTP status it is answered with.

ServerError                 base; `.status` is the HTTP status
├── RequestError            the request cannot be understood or is not allowed (4xx)
│   └── NotFound            there is no such thing, or it is not the caller's to see
├── QueueFull               no more runs are taken for now (429, with a time to wait)
└── StoreError              the store cannot be written or read (disk full, read-only, damaged)
"""

from __future__ import annotations

from typing import Final

from graphcore.errors import GraphcoreError


class ServerError(GraphcoreError):
    """Something that the server answers with an error status."""

    code = "server"
    status = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        if status is not None:
            self.status = status


class RequestError(ServerError):
    """The request cannot be understood, or is not allowed."""

    code = "bad-request"
    status = 400


class NotFound(RequestError):
    """There is no such thing, or it is not the caller's to see: the same answer for both."""

    code = "not-found"
    status = 404

    def __init__(self, what: str = "There is nothing here.") -> None:
        super().__init__(what)


class QueueFull(ServerError):
    """No more runs are taken for now."""

    code = "queue-full"
    status = 429


class StoreError(ServerError):
    """The store cannot be written or read."""

    code = "store"
    status = 503


class StartError(ServerError):
    """The server cannot start; the message says what to change."""

    code = "cannot-start"


DISK_FULL: Final = "store-full"
READ_ONLY: Final = "store-read-only"
DAMAGED: Final = "store-damaged"
