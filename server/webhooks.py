"""Tells a target of the operator's list that a run has ended: signed, tried again, never redirected.

The messages follow Standard Webhooks: the header `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
`id.timestamp.body`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import logging
import socket
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from server.errors import RequestError
from server.hub import Message
from server.records import RunRecord, StoredEvent
from server.security.hosts import parse_host
from server.store.database import Database

_PAUSES_S: Final = (2.0, 10.0, 60.0, 300.0, 1800.0)
_LIMIT_S: Final = 10.0
_AT_ONCE: Final = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An entry of the operator's list: a host, with a port and a scheme where they are given."""

    scheme: str | None
    host: str
    port: int | None


def parse_targets(entries: Iterable[str]) -> tuple[Target, ...]:
    """Read entries such as `hooks.example.com`, `host:8443`, `http://127.0.0.1:9000`; raises RequestError."""
    targets = []
    for entry in entries:
        scheme, separator, authority = entry.rpartition("://")
        host = parse_host(authority.rstrip("/"))
        if host is None or (separator and scheme not in ("http", "https")):
            raise RequestError(
                f"'{entry}' is no webhook target; write a host, or http(s)://host:port.", code="bad-target"
            )
        targets.append(Target(scheme=scheme or None, host=host.name, port=host.port))
    return tuple(targets)


class _PinnedResolver(AbstractResolver):
    """Resolves once for each connection, and refuses addresses inside other networks than the operator named."""

    def __init__(self, inner_hosts: Iterable[str]) -> None:
        self._resolver = ThreadedResolver()
        self._inner = frozenset(inner_hosts)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if host in self._inner:
            return found
        public = [entry for entry in found if ipaddress.ip_address(entry["host"].split("%")[0]).is_global]
        if not public:
            raise OSError(f"{host} resolves to addresses that are not public")
        return public

    async def close(self) -> None:
        await self._resolver.close()


class Webhooks:
    """Checks targets, and delivers."""

    def __init__(self, *, database: Database, targets: Sequence[Target], secret: str) -> None:
        self._database = database
        self._targets = tuple(targets)
        self._secret = secret.encode()
        self._session: aiohttp.ClientSession | None = None
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.delivered = 0

    def check(self, url: str) -> str:
        """A target that may be told; raises RequestError for any other."""
        try:
            parts = urlsplit(url)
            host = parse_host(parts.netloc)
        except ValueError:
            host = None
        if host is None or not self._listed(parts, host.name, host.port):
            raise RequestError(
                "This webhook target is not on the server's list; its operator adds it with --webhook-allow.",
                code="webhook-not-allowed",
                status=422,
            )
        return url

    def _listed(self, parts: SplitResult, name: str, port: int | None) -> bool:
        if parts.scheme not in ("http", "https"):
            return False
        for target in self._targets:
            scheme = target.scheme or "https"
            default = 443 if scheme == "https" else 80
            if (
                target.host == name
                and scheme == parts.scheme
                and (port or default) == (target.port or default)
            ):
                return True
        return False

    async def start(self) -> None:
        """Go on with what was due when the server last stopped."""
        if self._targets:
            self._wake()

    async def stop(self) -> None:
        """End the deliveries under way; they are tried again after the next start."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def hear(self, message: Message, run: RunRecord) -> None:
        """Told of all that happens to runs."""
        if self._targets and isinstance(message, StoredEvent) and message.kind == "run-finished":
            self._wake()

    def _wake(self) -> None:
        task = asyncio.get_running_loop().create_task(self._look())
        self._under_way[-id(task)] = task
        task.add_done_callback(lambda done: self._under_way.pop(-id(done), None))

    async def _look(self) -> None:
        for seq, run, url, state, finished in await self._database.read(_due):
            if seq not in self._under_way:
                body = {"type": "run.finished", "timestamp": finished, "data": {"id": run, "state": state}}
                self._under_way[seq] = asyncio.get_running_loop().create_task(
                    self._deliver(seq, run, url, body)
                )

    async def _deliver(self, seq: int, run: str, url: str, body: Mapping[str, Any]) -> None:
        try:
            for pause in (*_PAUSES_S, None):
                async with self._turns:
                    delivered = await self._try(run, url, body)
                await self._database.write(partial(_tried, seq=seq, delivered=delivered, last=pause is None))
                if delivered or pause is None:
                    self.delivered += delivered
                    return
                await asyncio.sleep(pause)
        finally:
            self._under_way.pop(seq, None)

    async def _try(self, run: str, url: str, body: Mapping[str, Any]) -> bool:
        data = json.dumps(body, separators=(",", ":")).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": run,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._secret, run, stamp, data),
        }
        try:
            self.check(url)
            async with self._client().post(
                url, data=data, headers=headers, allow_redirects=False
            ) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError, RequestError) as error:
            _log.warning("The webhook of the run %s was not taken: %s", run, type(error).__name__)
            return False

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            inner = [
                target.host for target in self._targets if target.scheme == "http" or _is_address(target.host)
            ]
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_PinnedResolver(inner), use_dns_cache=False, limit=_AT_ONCE
                ),
                timeout=aiohttp.ClientTimeout(total=_LIMIT_S),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def signature(secret: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """The signature of a message, as its receiver computes it."""
    digest = hmac.new(secret, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode('ascii')}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def _due(connection: sqlite3.Connection) -> list[tuple[int, str, str, str, float]]:
    return connection.execute(
        "SELECT w.run, r.id, w.url, r.state, r.finished FROM webhooks w JOIN runs r ON r.seq = w.run"
        " WHERE w.state = 'due' LIMIT 1000"
    ).fetchall()


def _tried(connection: sqlite3.Connection, seq: int, delivered: bool, last: bool) -> None:
    """Note a try; an address that is not needed any more is forgotten, as it may hold a secret."""
    state = "delivered" if delivered else "given-up" if last else "due"
    connection.execute(
        "UPDATE webhooks SET tries = tries + 1, state = ?1, url = IIF(?1 = 'due', url, '') WHERE run = ?2",
        (state, seq),
    )
