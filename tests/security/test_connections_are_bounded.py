"""G1: slow senders, floods of connections and giant headers are ended, and others are served meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from server import running
from tests.served import Served, settings_in


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits half a second for a request, and takes eight connections."""
    monkeypatch.setattr(running, "_HEADER_S", 0.5)
    with Served(settings_in(tmp_path_factory.mktemp("impatient"), max_connections=8)) as server:
        yield server


def closed(connection: socket.socket, within: float) -> bool:
    """True if the server ends a connection in time."""
    connection.settimeout(within)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_g1_a_request_that_trickles_in_is_ended(impatient: Served) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port)) as silent:
        with socket.create_connection(("127.0.0.1", impatient.port)) as slow:
            slow.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: loc")
            assert closed(slow, 10)
        assert closed(silent, 10)
    assert impatient.get("/api/v1/health").status == 200


def test_g1_connections_beyond_the_limit_are_turned_away(impatient: Served) -> None:
    many = [socket.create_connection(("127.0.0.1", impatient.port)) for _ in range(12)]
    try:
        assert sum(closed(connection, 0.2) for connection in many) >= 4
    finally:
        for connection in many:
            connection.close()
    deadline = time.monotonic() + 10
    while True:
        try:
            assert impatient.get("/api/v1/health").status == 200
            return
        except OSError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"  # noqa: ISC004
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_g1_headers_that_are_too_large_or_no_http_are_answered_with_400(served: Served, head: bytes) -> None:
    answer = served.raw(head)

    assert answer.status == 400
    assert answer.code == "bad-request"
    assert b"Traceback" not in answer.body
